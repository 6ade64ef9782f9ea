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

from slash80.addressing.family import FAMILIES, IPV4, IPV6
from slash80.firewall.records import Settings
from slash80.firewall.ruleset import build

GOLDEN = Path(__file__).parent / "golden"
CLOSED = Settings(closed=True, trusted=(), echo="limit", echo_rate=10, masquerade=(IPV4,), keep_source=())
CLUSTERS = (
    *("2001:db8:b::/56", "2001:db8:a::/48", "2001:db8:a:100::/56", "2001:db8:b:100::/56"),
    *("10.0.0.0/8", "10.80.0.0/16", "198.51.100.7/32", "198.51.100.6/32"),
)
SETTINGS = {
    "closed": CLOSED,
    "open": replace(CLOSED, closed=False),
    "trusted": replace(CLOSED, trusted=tuple(map(ip_network, CLUSTERS))),
    "loose": replace(CLOSED, strict=False),
    "echo-open": replace(CLOSED, echo="open"),
    "echo-drop": replace(CLOSED, echo="drop", echo_rate=50),
    "echo-rate": replace(CLOSED, echo_rate=50),
    "services": replace(CLOSED, services=tuple(map(ip_network, ("10.96.0.0/16", "fd00:10:96::/112")))),
    "services-trusted": replace(CLOSED, cluster=tuple(map(ip_network, ("10.80.0.0/16", "2001:db8:a:b::/64")))),
    "masquerade-none": replace(CLOSED, masquerade=()),
    "masquerade-both": replace(
        CLOSED, masquerade=(IPV4, IPV6), keep_source=tuple(map(ip_network, ("10.80.0.0/16", "2001:db8::/32")))
    ),
}
NETWORKS = st.one_of(
    st.builds(lambda a, n: ip_network((a, n), strict=False), st.integers(0, 2**32 - 1), st.integers(8, 32)),
    st.builds(lambda a, n: ip_network((a, n), strict=False), st.integers(2**120, 2**128 - 1), st.integers(16, 128)),
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
    """The list of chains and rules, by which a damaged table is noticed, is that of the text."""
    ruleset = build(settings)

    expected = {chain.name: [*filter(None, [chain.hook]), *chain.rules] for chain in ruleset.chains}
    assert expected == _written(ruleset.text)


@given(ANY)
def test_the_text_holds_nothing_but_nft(settings: Settings) -> None:
    """No object of Python got into it, all brackets close, and a comment of nft can hold the fingerprint."""
    ruleset = build(settings)

    assert [] == re.findall(r"""[<>']|None|True|\w\(""", ruleset.text)
    assert ruleset.text.count("{") == ruleset.text.count("}")
    assert (True, 32) == (ruleset.fingerprint.isalnum(), len(ruleset.fingerprint))


@given(ANY)
def test_a_closed_pod_ends_in_a_drop(settings: Settings) -> None:
    """Whatever else is configured, `edge` ends in a drop; in an open network its last rule is that of deleted pods."""
    last = {chain.name: chain.rules[-1] for chain in build(settings).chains if chain.rules}

    assert ("goto untrusted" if settings.closed else 'oifname "x80*" drop') == last["edge"]
    assert "counter drop" == last["untrusted"]


@given(ANY)
def test_jumps_lead_to_chains_that_are_defined_before(settings: Settings) -> None:
    """Older versions of nft read a table from the top, and refuse a jump to a chain that comes later."""
    text = build(settings).text
    for line in text.splitlines():
        for word in ("goto ", "jump "):
            if word in line:
                target = line.split(word)[1]
                assert text.index(f"chain {target} ") < text.index(f"{line}\n")
