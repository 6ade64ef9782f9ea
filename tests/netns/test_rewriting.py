"""The node's table with other settings: its rules are written again in one transaction, and its sets stay."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_network
from itertools import pairwise

import pytest

from lab.namespaces import Namespace, unique_name
from lab.rulesets import SETTINGS
from slash80.addressing.attachment import Assignment, Attachment, Key
from slash80.addressing.openings import NO_OPENINGS, Openings, PortMapping
from slash80.addressing.ports import SCTP, TCP, PortRange
from slash80.firewall.elements import wanted
from slash80.firewall.installed import InstalledTable, NodePods
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.ruleset import build

OPENINGS = Openings(
    mappings=(PortMapping(TCP, IPv4Address("0.0.0.0"), 8080, 80), PortMapping(SCTP, IPv6Address("2001:db8::1"), 9, 9)),
    expose=(PortRange("udp", 8000, 8100),),
    expose_allowed=True,
)


def _attached(number: int, openings: Openings = NO_OPENINGS) -> Attachment:
    key = Key(f"container{number}", "eth0")
    addresses = Assignment(IPv4Address("10.80.1.0") + number, IPv6Address("2001:db8:0:1:1::") + number, None)
    return Attachment(key, "net", addresses, key.host_ifname, openings=openings)


FACTS = (
    NodeFacts.of([ip_network("10.80.1.0/24"), ip_network("2001:db8:0:1:1::/80")], [("eth1", "eth0")]),
    NodeFacts.of([ip_network("10.80.1.0/24"), ip_network("10.80.7.0/24"), ip_network("fd00::/64")]),
)
PODS = (
    NodePods([_attached(1, OPENINGS), _attached(2)]),
    NodePods([_attached(2, OPENINGS), _attached(3)]),
)
# Each setting comes after another one, and comes again after the last.
PAIRS = list(pairwise([*SETTINGS, next(iter(SETTINGS))]))


@pytest.fixture
def nodes() -> Iterator[tuple[Namespace, Namespace]]:
    """Provide two namespaces, of which one is to become like the other."""
    made = [Namespace(f"{unique_name()}-{name}") for name in ("one", "other")]
    try:
        one, other = (Namespace.create(node.name) for node in made)
        yield one, other
    finally:
        for node in made:
            node.delete()


def _handle(node: Namespace) -> str:
    found = re.search(r"table inet slash80 \{ # handle (\d+)", node.command("nft", "-a", "list", "ruleset"))
    assert found
    return found[1]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_a_table_with_other_settings_is_as_one_that_was_made_with_them(
    nodes: tuple[Namespace, Namespace], before: str, after: str
) -> None:
    """Every rule, set and element is; the table is the one that was there, unless it needs other chains."""
    node, like = nodes
    old, new = build(SETTINGS[before]), build(SETTINGS[after])
    with closing(InstalledTable()) as table, closing(InstalledTable()) as model:
        node.run(table.install, old, "net", PODS[0], facts=FACTS[0])
        handle = _handle(node)
        node.run(table.install, new, "net", PODS[1], facts=FACTS[1])
        like.run(model.install, new, "net", PODS[1], facts=FACTS[1])

        same_chains = [chain.name for chain in old.chains] == [chain.name for chain in new.chains]
        assert same_chains == (handle == _handle(node))
        assert node.run(table.is_whole, new)
        assert like.run(model.digest, new) == node.run(table.digest, new)
        assert wanted(PODS[1].recorded) == node.run(table.elements)
        assert FACTS[1] == node.run(table.facts)


@pytest.mark.parametrize("name", SETTINGS)
def test_no_rule_turns_around_a_part_of_a_number(nodes: tuple[Namespace, Namespace], name: str) -> None:
    """Newer kernels refuse `hton(reg, 2, 1)`, by which nft 1.0.6 has a `meta l4proto` in a key of intervals."""
    command, text = ["nft", "--debug=netlink", "--check", "--file", "-"], build(SETTINGS[name]).text
    run = partial(
        subprocess.run, command, input=f"table inet a {{\n{text}\n}}\n", text=True, stdout=subprocess.PIPE, check=True
    )
    listed = nodes[0].run(run).stdout
    assert "lookup reg" in listed
    turned = re.findall(r"(?:hton|ntoh)\(reg \d+, (\d+), (\d+)\)", listed)
    assert [] == [(size, length) for size, length in turned if size != length]
