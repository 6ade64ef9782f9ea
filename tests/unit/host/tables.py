"""A stand-in for the firewall's table that keeps no rules, for tests of what is asked of it."""

from collections.abc import Collection

from slash80.errors import FirewallUnusable
from slash80.firewall.installed import InstalledTable
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import Element, Ruleset

Change = tuple[frozenset[Element], frozenset[Element]]


class FakeTable(InstalledTable):
    """Has elements, and records what is added and deleted."""

    def __init__(self, *, refusal: str = "") -> None:
        super().__init__()
        self.found: frozenset[Element] | None = frozenset()
        self.changes: list[Change] = []
        self.told: NodeFacts | None = NodeFacts()
        self.policies = False
        self._refusal = refusal

    def is_whole(self, ruleset: Ruleset) -> bool:
        """Be whole."""
        return True

    def elements(self) -> frozenset[Element] | None:
        """Return what is there."""
        return self.found

    def has_policies(self) -> bool:
        """Report whether there is a table of policies beside it."""
        return self.policies

    def own(self) -> NodeFacts | None:
        """Return what the table was told is the node's own."""
        return self.told and NodeFacts.of(self.told.own)

    def facts(self) -> NodeFacts | None:
        """Return what the table was told of the node."""
        return self.told

    def update(self, facts: NodeFacts) -> None:
        """Be told."""
        self.told = facts

    def change(self, add: Collection[Element] = (), delete: Collection[Element] = ()) -> None:
        """Record the change, or fail."""
        if self._refusal:
            raise FirewallUnusable(self._refusal)
        self.changes.append((frozenset(add), frozenset(delete)))
