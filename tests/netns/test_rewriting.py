"""The node's table with other settings: its rules are written again in one transaction, and its sets stay."""

import re
from collections.abc import Iterator
from contextlib import closing
from ipaddress import ip_network
from itertools import pairwise

import pytest

from lab.namespaces import Namespace, unique_name
from slash80.firewall.elements import wanted
from slash80.firewall.installed import InstalledTable, NodePods
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.ruleset import build
from unit.builders import OPENINGS, attachment
from unit.firewall.test_ruleset import SETTINGS

FACTS = (
    NodeFacts.of([ip_network("10.80.1.0/24"), ip_network("2001:db8:0:1:1::/80")], [("eth1", "eth0")]),
    NodeFacts.of([ip_network("10.80.1.0/24"), ip_network("10.80.7.0/24"), ip_network("fd00::/64")]),
)
PODS = (
    NodePods([attachment(1, openings=OPENINGS), attachment(2)]),
    NodePods([attachment(2, openings=OPENINGS), attachment(3)]),
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
