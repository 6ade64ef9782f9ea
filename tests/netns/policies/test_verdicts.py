"""What passes the policies' table and what does not, with the base table beside it."""

import socket
from ipaddress import ip_address

import pytest

from lab.namespaces import Namespace
from lab.policies import Judged, Wall, everybody
from lab.probes import SHORTLY, Server, ask, is_silent, ping, source_seen
from lab.rig import Attachment
from lab.topology import INTERNET4, INTERNET6
from netns.policies.conftest import Pods
from slash80.firewall import in_force
from slash80.firewall.installed import InstalledTable

OUTSIDE = {"ipv6": INTERNET6, "ipv4": INTERNET4}


def _reached(client: Namespace, server: Attachment, family: str) -> bool:
    return source_seen(client, getattr(server, family)) is not None


def _refused(client: Namespace, server: Attachment, family: str) -> bool:
    return ask(client, getattr(server, family), timeout=SHORTLY) is None


def test_a_peer_is_let_in_and_another_pod_is_not(wall: Wall, served: Pods, family: str) -> None:
    """A pod whose ingress allows one pod is reached by that pod, and by no other pod and no host outside."""
    a, b, c = served
    wall.build(Judged(a, ingress=everybody(b)), Judged(b), Judged(c))

    assert _reached(b.pod, a, family)
    assert _refused(c.pod, a, family)
    assert _refused(wall.rig.site.internet, a, family)
    assert _reached(wall.rig.site.internet, c, family)


def test_a_pod_sends_to_its_peers_only(wall: Wall, served: Pods, family: str) -> None:
    """A pod whose egress allows one pod reaches that pod, and no other pod and no host outside; it may be reached."""
    a, b, c = served
    wall.build(Judged(a, egress=everybody(b)), Judged(b), Judged(c))

    with Server(wall.rig.site.internet):
        assert _reached(a.pod, b, family)
        assert _refused(a.pod, c, family)
        assert ask(a.pod, OUTSIDE[family], timeout=SHORTLY) is None
        assert _reached(c.pod, a, family)


@pytest.mark.parametrize(
    ("egress", "ingress", "passes"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_two_pods_of_a_node_need_both_sides(
    wall: Wall, served: Pods, family: str, *, egress: bool, ingress: bool, passes: bool
) -> None:
    """Between two pods of one node the sender's egress and the receiver's ingress both have to allow a connection."""
    a, b, c = served
    wall.build(
        Judged(a, egress=everybody(b) if egress else {}), Judged(b, ingress=everybody(a) if ingress else {}), Judged(c)
    )

    assert (_reached if passes else _refused)(a.pod, b, family)


def test_a_port_is_a_port_of_one_protocol(wall: Wall, served: Pods, family: str) -> None:
    """A rule with a TCP port lets no UDP, no other port and no ping pass; one without ports lets all of it pass."""
    a, b, c = served
    address = getattr(a, family)
    wall.build(Judged(a, ingress=dict.fromkeys(b.addresses, "tcp dport 7") | everybody(c)), Judged(b), Judged(c))

    with Server(a.pod, port=8):
        assert ask(b.pod, address, "tcp")
        assert not ask(b.pod, address, "udp", timeout=SHORTLY)
        assert not ask(b.pod, address, "tcp", port=8, timeout=SHORTLY)
        assert is_silent(b.pod, address)
        assert ask(c.pod, address, "udp", port=8)
        assert ping(c.pod, address) == 1


def test_each_family_is_isolated_by_itself(wall: Wall, served: Pods) -> None:
    """A pod that allows a peer in IPv4 is not reached by it in IPv6."""
    a, b, c = served
    wall.build(Judged(a, ingress={b.ipv4: ""}), Judged(b), Judged(c))

    assert _reached(b.pod, a, "ipv4")
    assert _refused(b.pod, a, "ipv6")


def test_a_node_reaches_its_own_pods_and_they_reach_it(wall: Wall, served: Pods, family: str) -> None:
    """A pod that may reach no other pod is reached by its own node, as by a kubelet's probe, and reaches the node."""
    wall.build(Judged(served.a, egress={}, ingress={}), Judged(served.b, closed=True), Judged(served.c))

    with Server(wall.rig.host):
        for pod in served[:2]:
            assert _reached(wall.rig.host, pod, family)
            assert source_seen(pod.pod, getattr(wall.rig.node, family))


def test_a_closed_pod_and_one_without_verdict_reach_nothing(wall: Wall, served: Pods, family: str) -> None:
    """A pod that is closed, and one that is missing in the maps, reach no pod and are reached by none."""
    a, b, c = served
    wall.build(Judged(a), Judged(b, closed=True))

    for pod in (b, c):
        assert _refused(pod.pod, a, family)
        assert _refused(a.pod, pod, family)
    assert "closed" in wall.counted()


def test_a_forged_source_gets_no_verdict_of_its_owner(wall: Wall, served: Pods, family: str) -> None:
    """A pod that takes the address of another one reaches nothing that only that one may reach."""
    a, b, c = served
    wall.build(Judged(a, ingress=everybody(b)), Judged(b), Judged(c))
    stolen, bits = getattr(b, family), {"ipv6": 128, "ipv4": 32}[family]
    c.pod.ip(f"addr add {stolen}/{bits} dev eth0" + (" nodad" if family == "ipv6" else ""))

    with c.pod.socket(socket.AF_INET6 if family == "ipv6" else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(SHORTLY)
        sender.bind((stolen, 0))
        sender.sendto(b"?", (getattr(a, family), 7))
        with pytest.raises(OSError, match="timed out"):
            sender.recv(100)


def test_a_pod_reaches_itself_by_its_service(wall: Wall, served: Pods, family: str) -> None:
    """A pod that may reach no other pod reaches itself by a Service's address, and not another pod behind one."""
    a, b, c = served
    wall.build(Judged(a, egress={}, ingress={}), Judged(b), Judged(c))
    word, service = {"ipv4": ("ip", "10.96.0.7"), "ipv6": ("ip6", "fd00:10:96::7")}[family]
    for number, pod in enumerate((a, b)):
        address = ip_address(service) + number
        wall.rig.host.nft(
            f"""table inet proxy{number} {{
                chain before {{
                    type nat hook prerouting priority dstnat;
                    {word} daddr {address} meta l4proto {{ tcp, udp }} dnat {word} to {getattr(pod, family)}
                }}
                chain after {{
                    type nat hook postrouting priority srcnat;
                    {word} saddr . {word} daddr {{ {getattr(a, family)} . {getattr(a, family)} }} masquerade
                }}
            }}"""
        )

    assert source_seen(a.pod, service)
    assert not ask(a.pod, str(ip_address(service) + 1), timeout=SHORTLY)


def test_errors_about_a_connection_pass(wall: Wall, served: Pods, family: str) -> None:
    """A pod that is reached by no host learns from a router outside that its packets are too big."""
    a, b, c = served
    site = wall.rig.site
    site.narrow_path(1300)
    wall.build(Judged(a, ingress={}), Judged(b), Judged(c))
    target = OUTSIDE[family]

    with Server(site.internet):
        assert ask(a.pod, target, "tcp", payload=bytes(20_000))
        assert "mtu 1300" in a.pod.command("ip", "route", "get", target)


def test_replies_and_what_is_established_go_on(wall: Wall, served: Pods, family: str) -> None:
    """A connection that was there before the rules goes on, as do replies to it, until it is ended on purpose."""
    a, b, c = served
    with b.pod.socket(socket.AF_INET6 if family == "ipv6" else socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(10)
        sender.connect((getattr(a, family), 7))
        sender.send(b"before")
        assert sender.recv(100)
        wall.build(Judged(a, ingress={}), Judged(b, ingress={}), Judged(c))
        sender.send(b"after")
        assert sender.recv(100)


def test_what_is_dropped_is_counted(wall: Wall, served: Pods, family: str) -> None:
    """`slash80 firewall show` has what policies dropped by direction and family, beside what the base table dropped."""
    a, b, c = served
    wall.build(Judged(a, egress={}), Judged(b, ingress={}), Judged(c, closed=True))
    for client, server in ((a, c), (a, b), (c, a)):
        assert _refused(client.pod, server, family)
    assert _refused(wall.rig.site.internet, b, family)
    table = InstalledTable()
    try:
        dropped = wall.run(lambda: in_force.read(table.dump)).dropped
    finally:
        table.close()

    found = {one.reason: one.packets for one in dropped if one.family == family and one.packets}
    assert {"egress": 2, "closed": 1, "ingress": 1} == found
    assert "untrusted" in {one.reason for one in dropped}


def test_a_node_without_policies_has_no_table(wall: Wall, served: Pods, family: str) -> None:
    """After the table was removed every pod is as it was without policies; removing it again is fine."""
    wall.build(Judged(served.a, closed=True), Judged(served.b), Judged(served.c))
    for _ in range(2):
        wall.run(wall.table.remove)

    assert _reached(served.b.pod, served.a, family)
    assert wall.run(wall.table.read) is None
