"""The base table as text: golden files for what settings give, and what must hold for any settings.

REWRITE_GOLDEN=1 writes the files again; read the difference before it is committed.
"""

import os
import re
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.rulesets import CLOSED, SETTINGS
from slash80.addressing.family import FAMILIES
from slash80.addressing.metadata import SERVICES4, SERVICES6
from slash80.addressing.ports import PortRange
from slash80.firewall.drops import REASONS, dropped
from slash80.firewall.records import Settings
from slash80.firewall.ruleset import build

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = st.one_of(
    st.builds(lambda a, n: ip_network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(8, 32)),
    st.builds(lambda a, n: ip_network((a, n), strict=False), st.integers(2**120, 2**128 - 1), st.integers(16, 128)),
)
PORTS = st.builds(
    lambda protocol, bounds: PortRange(protocol, min(bounds), max(bounds)),
    st.sampled_from(["tcp", "udp", "sctp"]),
    st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
)
ANY = st.builds(
    Settings,
    closed=st.booleans(),
    trusted=st.lists(NETWORKS, max_size=4).map(tuple),
    echo=st.sampled_from(["limit", "open", "drop"]),
    echo_rate=st.integers(1, 10000),
    masquerade=st.sets(st.sampled_from(FAMILIES)).map(lambda found: tuple(f for f in FAMILIES if f in found)),
    keep_source=st.lists(NETWORKS, max_size=4).map(tuple),
    services=st.lists(NETWORKS, max_size=2).map(tuple),
    cluster=st.lists(NETWORKS, max_size=2).map(tuple),
    strict=st.booleans(),
    host_ports=st.sampled_from(["open", "trusted", "none"]),
    node=st.none() | st.lists(PORTS, max_size=4).map(tuple),
    metadata_open=st.lists(st.sampled_from([*SERVICES4, *SERVICES6]), max_size=3).map(tuple),
    connection_rate=st.integers(0, 1_000_000),
    expose=st.lists(st.sampled_from(["tcp/1-9", "tcp/5", "udp/5", "sctp/7-8"]).map(PortRange.parse)).map(tuple),
    pods_expose=st.booleans(),
)


@pytest.mark.parametrize("name", SETTINGS)
def test_the_text_is_the_golden_one(name: str) -> None:
    """What a setting means in nft's words is read and approved in a file."""
    path, text = GOLDEN / f"{name}.nft", build(SETTINGS[name]).text + "\n"
    if "REWRITE_GOLDEN" in os.environ:
        path.write_text(text)

    assert path.read_text() == text


def test_every_setting_has_a_golden_file_and_no_more_are_there() -> None:
    """A file that nothing is compared with only looks like a test."""
    assert set(SETTINGS) == {path.stem for path in GOLDEN.iterdir()}


def test_different_texts_have_different_fingerprints() -> None:
    """A changed configuration is noticed by its fingerprint."""
    assert len(SETTINGS) == len({build(settings).fingerprint for settings in SETTINGS.values()})


def test_the_order_of_prefixes_changes_nothing() -> None:
    """Two configurations that mean the same have the same fingerprint, repeated and overlapping prefixes or not."""
    trusted = SETTINGS["trusted"].trusted
    again = replace(CLOSED, trusted=(*reversed(trusted), *trusted))

    assert build(SETTINGS["trusted"]).fingerprint == build(again).fingerprint


def _written(text: str) -> dict[str, list[str]]:
    """Take the text apart: the lines of each chain."""
    found: dict[str, list[str]] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("chain "):
            lines = found.setdefault(line.split()[1], [])
        elif line == "}" or line.startswith("set "):
            lines = []
        else:
            lines.append(line)
    return found


@given(ANY)
def test_the_chains_are_what_the_text_says(settings: Settings) -> None:
    """The list of chains and rules, by which a damaged table is noticed, is that of the text and one more."""
    ruleset = build(settings)

    expected = {chain.name: [*filter(None, [chain.hook]), *chain.rules] for chain in ruleset.chains}
    assert expected == _written(ruleset.text) | {"about": []}


@given(ANY)
def test_the_text_holds_nothing_but_nft(settings: Settings) -> None:
    """No object of Python got into it, all brackets close, and a comment of nft can hold the fingerprint."""
    ruleset = build(settings)

    assert [] == re.findall(r"""[<>']|None|True|\w\(""", ruleset.text)
    assert ruleset.text.count("{") == ruleset.text.count("}")
    assert (True, 32) == (ruleset.fingerprint.isalnum(), len(ruleset.fingerprint))


@given(ANY)
def test_a_closed_pod_ends_in_a_drop(settings: Settings) -> None:
    """Whatever else is configured, `edge` ends in a drop of both families, unless the network is open."""
    chains = {chain.name: chain.rules for chain in build(settings).chains}

    assert settings.closed == (chains["edge"][-1] == "goto untrusted")
    assert tuple(dropped("untrusted")) == chains["untrusted"][-2:]


@given(ANY)
def test_every_drop_says_why(settings: Settings) -> None:
    """By these words the counters are read back: `slash80 firewall show` names the reason and the family."""
    drops = [rule for chain in build(settings).chains for rule in chain.rules if re.search(r"\bdrop\b", rule)]

    said = [re.fullmatch(r'.*counter drop comment "(\w+) ipv[46]"', rule) for rule in drops]
    assert [] == [rule for rule, found in zip(drops, said, strict=True) if not found or found[1] not in REASONS]


@given(ANY)
def test_jumps_lead_to_chains_that_are_defined_before(settings: Settings) -> None:
    """Older versions of nft read a table from the top, and refuse a jump to a chain that comes later."""
    text = build(settings).text
    for line in text.splitlines():
        for word in ("goto ", "jump "):
            if word in line:
                target = line.split(word)[1]
                assert text.index(f"chain {target} ") < text.index(f"{line}\n")
