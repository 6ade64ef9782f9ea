"""Metrics of the firewall."""

import pytest

from slash80.agent.metrics.firewall import FirewallDrops, FirewallRepairs
from slash80.errors import FirewallUnusable
from slash80.firewall.drops import REASONS
from slash80.firewall.nf_tables import NfTables
from slash80.firewall.records import Ruleset
from slash80.host import kept_firewall
from slash80.host.kept_firewall import KeptFirewall
from slash80.netlink.codec import Message, Step, attribute
from unit.agent.metrics.scraped import collected
from unit.agent.reconcilers.fakes import Setting

DROPPING = {
    "nft list table inet slash80": [
        ("edge", "forged ipv6", 3),
        ("untrusted", "untrusted ipv4", 5),
        ("edge", "about", 9),
    ],
    "nft list chain inet slash80-policy dropped_egress": [("dropped_egress", "egress ipv4", 7)],
    "nft list chain inet slash80-policy closed": [("closed", "closed ipv6", 2)],
}


def _rule(chain: str, comment: str, packets: int) -> Message:
    counted = attribute(1, bytes(8)) + attribute(2, packets.to_bytes(8, "big"))
    counter = attribute(1, attribute(1, b"counter\0") + attribute(2, counted))
    text = comment.encode() + b"\0"
    names = attribute(1, b"slash80\0") + attribute(2, chain.encode() + b"\0")
    return Message(0, bytes(4) + names + attribute(4, counter) + attribute(7, bytes([0, len(text)]) + text))


class FakeTables(NfTables):
    """Nf_tables with these rules, or none that can be asked."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = self.closed = False
        self.asked: list[str] = []

    def dump(self, step: Step) -> list[Message] | None:
        """Return the rules."""
        if self.broken:
            raise FirewallUnusable("no nf_tables")
        self.asked.append(step.what)
        return [_rule(*one) for one in DROPPING[step.what]] if step.what in DROPPING else None

    def close(self) -> None:
        """Note it."""
        self.closed = True


def test_drops_are_told_by_reason_and_family() -> None:
    """Also those of NetworkPolicies, each by its direction, of whose table nothing but the chains that drop is read."""
    tables = FakeTables()
    found = collected(FirewallDrops(lambda: tables))
    dropped = {("forged", "ipv6"): 3, ("untrusted", "ipv4"): 5, ("egress", "ipv4"): 7, ("closed", "ipv6"): 2}
    for (reason, family), packets in dropped.items():
        assert packets == found.value("firewall_drops_total", reason=reason, family=family)
        assert reason in REASONS
    assert len(dropped) == len(found.series("firewall_drops_total"))
    assert "nft list table inet slash80-policy" not in tables.asked
    assert tables.closed


def test_sockets_are_closed_where_the_kernel_cannot_be_asked() -> None:
    """Each scrape would else take further descriptors from the agent."""
    tables = FakeTables()
    tables.broken = True
    with pytest.raises(FirewallUnusable):
        collected(FirewallDrops(lambda: tables))
    assert tables.closed


def test_repairs_are_counted_by_object(setting: Setting) -> None:
    """Since the boot where the state directory has that, else since this agent's start; each from the beginning on."""
    collector = FirewallRepairs(setting.state_dir, setting.board)
    found = collected(collector)
    assert 0 == found.value("firewall_reasserts_total")
    assert [0, 0, 0] == [*found.series("repairs_total").values()]
    kept_firewall.write(setting.state_dir, KeptFirewall(Ruleset("", "", ()), "a", repairs=4))
    setting.board.repaired("firewall")
    setting.board.repaired("pod_elements", 6)
    found = collected(collector)
    assert 4 == found.value("firewall_reasserts_total")
    objects = ("firewall", "pod_elements", "policy_table")
    assert (1, 6, 0) == tuple(found.value("repairs_total", object=name) for name in objects)
