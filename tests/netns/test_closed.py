"""Pods are closed to the outside: an attacker gets no TCP or UDP answer, whenever it strikes."""

import json
import time
from collections.abc import Callable

import pytest

from lab.attacker import Attacker, Sniffer
from lab.namespaces import Namespace
from lab.probes import Server, ask, ping, source_seen
from lab.rig import Attachment, Rig, requesting
from lab.topology import ATTACKER4, ATTACKER6, INTERNET4, INTERNET6
from netns.conftest import MakeRig


def assert_outside_reached(rig: Rig, *pods: Namespace) -> None:
    """Demand that the pods reach the internet in both families."""
    with Server(rig.site.internet):
        answers = [
            ask(pod, address, protocol)
            for pod in pods
            for address in (INTERNET6, INTERNET4)
            for protocol in ("udp", "tcp")
        ]
    assert None not in answers


def assert_closed(attacker: Attacker, *attachments: Attachment) -> None:
    """Demand that no packet of TCP or UDP comes back from any of them."""
    targets = [address for attachment in attachments for address in attachment.addresses]
    attacker.strike(*targets)
    assert attacker.answers(*targets) == []


@pytest.mark.with_and_without_agent
def test_pod_is_closed_before_during_and_after_its_life(routed: Rig, attacker: Attacker) -> None:
    """Under a flood from before ADD until after DEL no answer gets out, while the pod's own traffic works."""
    pod = routed.site.pod()
    targets = routed.node.pod6("42"), routed.node.pod4(42)
    with Server(pod), attacker.flood(*targets):
        attachment = routed.attach(pod, requesting(routed.conf, *targets))
        assert targets == attachment.addresses
        assert_outside_reached(routed, pod)
        routed.detach(attachment)

    assert attacker.answers(*targets) == []


def delete_first_rules(host: Namespace) -> None:
    """Delete the first rule of every chain of ours."""
    listing = json.loads(host.command("nft", "-j", "-a", "list", "table", "inet", "slash80"))["nftables"]
    first = {entry["rule"]["chain"]: entry["rule"]["handle"] for entry in reversed(listing) if "rule" in entry}
    assert first
    host.nft("\n".join(f"delete rule inet slash80 {chain} handle {handle}" for chain, handle in first.items()))


def delete_chain(host: Namespace) -> None:
    """Delete the chain that closes the edge."""
    host.nft("flush chain inet slash80 edge")
    host.command("nft", "delete", "chain", "inet", "slash80", "edge", check=False)


BREAKAGES: dict[str, Callable[[Namespace], object]] = {
    "everything flushed": lambda host: host.nft("flush ruleset"),
    "table deleted": lambda host: host.nft("delete table inet slash80"),
    "table flushed": lambda host: host.nft("flush table inet slash80"),
    "chain flushed": lambda host: host.nft("flush chain inet slash80 edge"),
    "chain deleted": delete_chain,
    "rules deleted": delete_first_rules,
    "rule inserted": lambda host: host.nft("insert rule inet slash80 edge accept"),
    "table dormant": lambda host: host.nft("add table inet slash80 { flags dormant; }"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_next_add_restores_a_damaged_firewall(routed: Rig, attacker: Attacker, breakage: str) -> None:
    """After any damage to the rules, the next ADD closes the new pod from the start, and the old one too."""
    old, pod = routed.attach(), routed.site.pod()
    BREAKAGES[breakage](routed.host)
    targets = routed.node.pod6("42"), routed.node.pod4(42)
    with Server(old.pod), Server(pod):
        with attacker.flood(*targets):
            new = routed.attach(pod, requesting(routed.conf, *targets))
            assert_outside_reached(routed, pod)

        assert attacker.answers(*targets) == []
        assert_closed(attacker, old, new)
        assert_outside_reached(routed, old.pod)


@pytest.mark.with_and_without_agent
def test_first_add_after_a_reboot_closes_the_pod(routed: Rig, attacker: Attacker) -> None:
    """With state, rules and pods gone as after a reboot, the first pod is closed and works."""
    routed.attach().pod.delete()
    routed.lose_state()
    routed.host.nft("flush ruleset")

    attachment = routed.attach()

    with Server(attachment.pod):
        assert_closed(attacker, attachment)
    assert_outside_reached(routed, attachment.pod)


def test_foreign_nft_tables_stay(routed: Rig) -> None:
    """Putting slash80's table in place leaves other tables alone."""
    routed.host.nft("add table inet other\nadd chain inet other c\nadd rule inet other c counter")
    before = routed.host.command("nft", "list", "table", "inet", "other")

    routed.cycle()

    assert before == routed.host.command("nft", "list", "table", "inet", "other")


@pytest.mark.parametrize("key", ["trusted", "clusterPrefixes", "nodePrefixes"])
def test_trusted_prefixes_reach_pods(routed: Rig, attacker: Attacker, family: str, key: str) -> None:
    """A trusted prefix and the cluster's own pods and nodes reach the pod, and the attacker still does not."""
    rig = routed.having(firewall={key: ["2001:db8:ffff::/64", "198.51.100.0/24"]})
    server = rig.attach()
    with Server(server.pod):
        expected = INTERNET6 if family == "ipv6" else INTERNET4
        assert expected == source_seen(rig.site.internet, getattr(server, family))
        assert expected == source_seen(rig.site.internet, getattr(server, family), "tcp")
        assert_closed(attacker, server)


def test_open_mode_admits_everyone(routed: Rig, attacker: Attacker) -> None:
    """With mode `open` the attacker gets its answers in both families."""
    server = routed.having(firewall={"mode": "open"}).attach()
    with Server(server.pod):
        attacker.strike(*server.addresses)

        assert set(server.addresses) == {packet.source for packet in attacker.answers(*server.addresses)}


def test_second_network_with_other_firewall_settings_is_refused(routed: Rig, attacker: Attacker) -> None:
    """Firewall settings are the node's: a second network cannot open what another one closed."""
    first, pod = routed.attach(), routed.site.pod()

    routed.plugin.refuses("ADD", routed.having(name="other", firewall={"mode": "open"}).conf, netns=pod)

    assert not pod.has_link("eth0")
    with Server(first.pod):
        assert_closed(attacker, first)


def test_echo_from_outside_is_limited_by_source(routed: Rig, family: str) -> None:
    """One host gets about ten echo replies a second, and another host is not affected."""
    server = routed.attach()
    begun = time.monotonic()
    answered = ping(routed.site.internet, getattr(server, family), count=100)

    assert 5 <= answered <= 20 + 10 * (time.monotonic() - begun)
    assert ping(routed.site.attacker, getattr(server, family)) == 1


@pytest.mark.parametrize(("echo", "expected"), [("drop", 0), ("open", 60)])
def test_echo_modes_drop_and_open(routed: Rig, family: str, echo: str, expected: int) -> None:
    """`drop` answers no ping from outside, `open` every one."""
    server = routed.having(firewall={"echo": echo}).attach()

    assert expected == ping(routed.site.internet, getattr(server, family), count=60, patience=1)


@pytest.mark.parametrize("spoofed", [ATTACKER6, ATTACKER4, "node", "pod"])
def test_pod_cannot_send_from_a_foreign_address(routed: Rig, spoofed: str) -> None:
    """Packets from a foreign, the node's or another pod's address are dropped."""
    rig = routed.having(ipv4={"masquerade": False})  # which would hide a strange IPv4 source
    pod, other = rig.attach(), rig.attach()
    source = {"node": routed.node.ipv6, "pod": other.ipv6}.get(spoofed, spoofed)
    with Sniffer(routed.site.internet, "eth0") as observer:
        pod.pod.ip(f"addr add {source} dev eth0" + (" nodad" if ":" in source else ""))
        ping(pod.pod, INTERNET6 if ":" in source else INTERNET4, source=source, patience=1)

        assert source not in {packet.source for packet in observer.packets()}


def test_node_outside_node_prefixes_is_closed_out(make_rig: MakeRig) -> None:
    """Another node of the same site that is not in nodePrefixes is outside."""
    rig = make_rig(nodes=2, route_ipv4_pods=True)
    server = rig.attach()
    stranger = rig.site.nodes[1]
    with Server(server.pod), Attacker(stranger.namespace, (stranger.ipv6, stranger.ipv4)) as attacker:
        assert_closed(attacker, server)
