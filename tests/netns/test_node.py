"""What the plugin does to the node as a whole: forwarding, advertised routes, the whole prefix, no nft."""

import dataclasses
import ipaddress
import random
import shutil
from pathlib import Path

import pytest

from lab import snapshot, state
from lab.attacker import Sniffer
from lab.plugin import Frozen
from lab.probes import Server, advertise_router, ask, source_seen
from lab.rig import Rig
from lab.topology import INTERNET6, ROUTER_LINK_LOCAL
from lab.waiting import wait_until
from netns.conftest import MakeRig


@pytest.fixture
def advertised(make_rig: MakeRig) -> Rig:
    """Make a node whose IPv6 default route comes from a router advertisement."""
    rig = make_rig(static_default6=False)
    advertise_router(rig.site.router, "node1", ROUTER_LINK_LOCAL)
    wait_until(lambda: bool(rig.host.query("-6 route show default")))
    return rig


def test_advertised_default_route_survives_forwarding(advertised: Rig) -> None:
    """The first ADD enables forwarding, and the node keeps the default route that it learned."""
    attachment = advertised.attach()

    assert advertised.host.sysctl("ipv6/conf/all/forwarding") == "1"
    assert advertised.host.sysctl("ipv6/conf/eth0/accept_ra") == "2"
    assert [route["gateway"] for route in advertised.host.query("-6 route show default")] == [ROUTER_LINK_LOCAL]
    with Server(advertised.site.internet):
        assert attachment.ipv6 == source_seen(attachment.pod, INTERNET6)


def test_forwarding_node_still_follows_its_router(advertised: Rig) -> None:
    """A forwarding node notices when its router withdraws and returns."""
    advertised.attach()
    advertise_router(advertised.site.router, "node1", ROUTER_LINK_LOCAL, lifetime=0)
    wait_until(lambda: not advertised.host.query("-6 route show default"))

    advertise_router(advertised.site.router, "node1", ROUTER_LINK_LOCAL)

    wait_until(lambda: bool(advertised.host.query("-6 route show default")))


def test_pod_cannot_become_the_nodes_router(advertised: Rig) -> None:
    """A router advertisement of a pod changes no default route of the node, whatever new links accept by default."""
    # With the kernel's default of 1 a node that forwards would ignore advertisements on any link but a guarded one.
    advertised.host.sysctl("ipv6/conf/default/accept_ra", 2)
    attachment = advertised.attach()
    attachment.pod.ip("addr add fe80::bad/64 dev eth0 nodad")
    advertise_router(attachment.pod, "eth0", "fe80::bad")
    with Server(advertised.host):  # answered after the advertisement was dealt with: one cable keeps its order
        assert ask(attachment.pod, advertised.node.ipv6) is not None

    assert [route["gateway"] for route in advertised.host.query("-6 route show default")] == [ROUTER_LINK_LOCAL]


def test_static_default_route_keeps_accept_ra(rig: Rig) -> None:
    """Where the default route is static, forwarding is enabled and the uplink's accept_ra stays."""
    rig.attach()

    assert [rig.host.sysctl(key) for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")] == ["1", "1"]
    assert rig.host.sysctl("ipv6/conf/eth0/accept_ra") == "1"


def test_sysctls_written_are_only_forwarding(rig: Rig) -> None:
    """Of all keys looked at, one ADD and DEL changes only forwarding, and what the kernel changes with it."""
    before = snapshot.take(rig.host)

    rig.cycle()

    changed = [line for line in snapshot.difference(before, snapshot.take(rig.host)) if " sysctl " in line]
    kernels_own = "sysctl ipv4/conf/all/accept_redirects"
    assert [line for line in changed if "forward" not in line and kernels_own not in line] == []


def test_pod_with_ipv6_disabled_gets_ipv6(rig: Rig) -> None:
    """ADD enables IPv6 in a namespace where it is disabled."""
    pod = rig.site.pod()
    for name in ("all", "default"):
        pod.sysctl(f"ipv6/conf/{name}/disable_ipv6", 1)
    attachment = rig.attach(pod)

    assert {"0"} == {pod.sysctl(f"ipv6/conf/{name}/disable_ipv6") for name in ("lo", "default", "eth0")}
    with Server(rig.host):
        assert attachment.ipv6 == source_seen(pod, rig.node.ipv6)


def test_host_end_has_no_address_but_the_gateways(rig: Rig) -> None:
    """It has no link-local address of its own beside fe80::1, for which the kernel would detect duplicates."""
    (link,) = rig.host.query(f"addr show dev {rig.attach().host_ifname}")

    assert {"169.254.1.1", "fe80::1"} == {info["local"] for info in link["addr_info"]}


def test_discard_route_covers_each_prefix(rig: Rig) -> None:
    """An unreachable route of slash80 covers each prefix of the node."""
    rig.attach()

    for words, prefix in (("-6", rig.node.prefix6), ("-4", rig.node.prefix4)):
        routes = rig.host.query(f"{words} route show type unreachable {prefix}")
        assert [(prefix, "180")] == [(route["dst"], str(route["protocol"])) for route in routes]


def test_scan_of_the_prefix_loops_no_packet(rig: Rig) -> None:
    """A scan of 1000 unassigned addresses sends nothing back and leaves no entry on the node."""
    rig.attach()
    prefix = ipaddress.IPv6Network(rig.node.prefix6)
    entries = int(rig.host.command("conntrack", "-C"))
    with rig.site.internet.socket(10, 2) as scanner, Sniffer(rig.site.router, "node1") as uplink:
        for _ in range(1000):
            scanner.sendto(b"?", (str(prefix[random.getrandbits(48)]), 9))

        looped = [p for p in uplink.packets() if ipaddress.ip_address(p.target) in prefix]

    assert looped == []
    assert [n for n in rig.host.query("-6 neigh show") if ipaddress.ip_address(n["dst"]) in prefix] == []
    assert int(rig.host.command("conntrack", "-C")) < entries + 50


def without_nft(rig: Rig) -> Rig:
    """Return the rig where nft cannot be executed: the one that was installed with the plugin, or the node's."""
    shipped = [str(rig.plugin.root / "opt/cni/bin/.slash80/nft")] if isinstance(rig.plugin, Frozen) else []
    programs = [str(Path(path).resolve()) for path in (*shipped, shutil.which("nft")) if path]
    return dataclasses.replace(rig, plugin=dataclasses.replace(rig.plugin, hidden=programs))


@pytest.mark.parametrize("shape", ["inprocess", "frozen"], indirect=True)  # an agent would find nft all the same
def test_no_pod_without_a_firewall(rig: Rig) -> None:
    """Where nft cannot be executed, ADD is code 101 and leaves nothing; the same pod is wired once it can."""
    before, pod = snapshot.take(rig.host), rig.site.pod()

    error = without_nft(rig).plugin.refuses("ADD", rig.conf, netns=pod)

    assert error["code"] == 101
    assert "nft" in error["msg"]
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert not pod.has_link("eth0")
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)
    rig.attach(pod)


@pytest.mark.parametrize("shape", ["inprocess", "frozen"], indirect=True)  # as above
def test_status_without_nft(rig: Rig) -> None:
    """STATUS is 50 where nft cannot be executed, and 0 where it can; it changes nothing."""
    rig = rig.having(cniVersion="1.1.0")
    before = snapshot.take(rig.host)

    rig.plugin.status(rig.conf)

    assert without_nft(rig).plugin.refuses("STATUS", rig.conf)["code"] == 50
    assert snapshot.difference(before, snapshot.take(rig.host)) == []


@pytest.mark.every_shape
def test_del_without_nft(rig: Rig) -> None:
    """DEL needs no nft."""
    attachment = rig.attach()

    without_nft(rig).detach(attachment)

    assert not rig.host.has_link(attachment.host_ifname)
    assert state.attachments(rig.state_dir) == 0
