"""The laboratory itself: counting zero answers means something only if an answer that is there is counted."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab import programs, snapshot
from lab.attacker import Attacker, Sniffer
from lab.plugin import Resident
from lab.probes import Protocol, Server, advertise_router, ask, ping, source_seen
from lab.rig import Rig, configuration
from lab.topology import ATTACKER4, ATTACKER6, INTERNET4, INTERNET6, ROUTER_LINK_LOCAL, Site
from lab.waiting import wait_until

NODE = Path(__file__).with_name("test_node.py")


@pytest.fixture
def site() -> Iterator[Site]:
    """Build a site without the plugin."""
    with Site(nodes=2) as built:
        yield built


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize(("server", "client"), [(INTERNET6, "2001:db8:0:2::2"), (INTERNET4, "192.0.2.18")])
def test_nodes_reach_the_internet_with_the_first_packet(
    site: Site, protocol: Protocol, server: str, client: str
) -> None:
    """A node's first datagram or connection is answered, and its source is the node's address."""
    with Server(site.internet):
        assert client == source_seen(site.nodes[1].namespace, server, protocol)


def test_attacker_counts_answers(site: Site) -> None:
    """SYN-ACK, RST and UDP answers of an open host are all counted, in both families."""
    with Server(site.internet), Attacker(site.attacker, (ATTACKER6, ATTACKER4)) as attacker:
        # Port 7: SYN-ACK and a datagram; port 22: RST (its datagram is answered by ICMP only).
        for target in (INTERNET6, INTERNET4):
            attacker.strike(target)
            seen: list[int] = []
            while len(seen) < 3:  # the server's thread may take its time for the datagram
                seen += [packet.protocol for packet in attacker.answers(target)]
            assert sorted(seen) == [6, 6, 17]


def test_flood_ends_with_its_block(site: Site) -> None:
    """The flood sends during the block and is silent after it."""
    with Server(site.internet), Attacker(site.attacker, (ATTACKER6, ATTACKER4)) as attacker:
        with attacker.flood(INTERNET6):
            wait_until(lambda: bool(attacker.answers(INTERNET6)))
        attacker.answers()

        assert attacker.answers() == []


@pytest.mark.parametrize("address", [INTERNET6, INTERNET4])
def test_narrow_path_is_found_by_a_large_transfer(site: Site, address: str) -> None:
    """On a narrow path 1 MB arrives whole, and a large echo request that may not be fragmented does not."""
    site.narrow_path(1280)
    node = site.node.namespace
    with Server(site.internet):
        answer = ask(node, address, "tcp", payload=bytes(1_000_000), timeout=60)

    assert answer is not None
    assert answer.size == 1_000_000
    assert "+1 errors" in node.command("ping", "-n", "-c1", "-W1", "-Mdo", "-s1400", address, check=False)


@pytest.mark.parametrize("address", [INTERNET6, INTERNET4])
def test_ping_counts_replies(site: Site, address: str) -> None:
    """Ping returns how many of its requests were answered."""
    assert ping(site.attacker, address, count=5) == 5


def test_router_advertisement_adds_a_default_route(site: Site) -> None:
    """After one advertisement the kernel of a node uses the router as its default route."""
    node = site.node.namespace
    node.ip("route del default via 2001:db8:0:1::1")

    advertise_router(site.router, "node1", ROUTER_LINK_LOCAL)

    wait_until(lambda: [route["gateway"] for route in node.query("-6 route show default")] == [ROUTER_LINK_LOCAL])


def test_sniffer_sees_arriving_packets_only(site: Site) -> None:
    """A sniffer on a link does not count what its own host sends."""
    with Sniffer(site.internet, "eth0") as sniffer:
        ping(site.attacker, INTERNET6)

        sources = {packet.source for packet in sniffer.packets()}
        assert ATTACKER6 in sources
        assert INTERNET6 not in sources


def test_snapshot_shows_what_changed(site: Site) -> None:
    """A new route and a new rule appear in the difference; counters and elements set by packets do not."""
    node = site.node.namespace
    node.nft(
        "add table inet t\nadd chain inet t c\nadd rule inet t c counter\n"
        "add set inet t s { type ipv6_addr; flags dynamic,timeout; timeout 1m; }"
    )
    before = snapshot.take(node)
    node.nft("add element inet t s { 2001:db8::5 }")
    assert snapshot.difference(before, snapshot.take(node)) == []

    node.ip("route add unreachable 2001:db8:5::/64")
    node.nft("add rule inet t c drop")

    found = snapshot.difference(before, snapshot.take(node))
    assert any(line.startswith("+ route -6 type=unreachable dst=2001:db8:5::/64") for line in found)
    assert any(line.startswith("+ nft table inet t / chain c") and line.endswith("drop") for line in found)


def test_closed_site_leaves_no_namespace() -> None:
    """Closing a site removes the names of all its namespaces, also after a failure inside."""
    site = Site()
    namespaces = [site.router, site.internet, site.attacker, site.node.namespace, site.pod()]
    with pytest.raises(RuntimeError), site:
        site.node.namespace.ip("link del nothing")

    assert not any(namespace.path.exists() for namespace in namespaces)


def test_night_has_every_shape() -> None:
    """A test that usually has one shape is called by an engine, in a process of its own or not, and by an agent."""
    environ = {name: value for name, value in os.environ.items() if name != "SLASH80_PROFILE"}
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-p", "no:randomly", "--collect-only", "-q", NODE]
    usual = programs.run(command, environ=environ)
    night = programs.run(command, environ=environ | {"SLASH80_PROFILE": "nightly"})
    name = "test_node.py::test_static_default_route_keeps_accept_ra"

    assert ["resident"] == re.findall(rf"{name}\[(\w+)\]", usual)
    assert ["inprocess", "frozen", "served"] == re.findall(rf"{name}\[(\w+)\]", night)


def test_resident_plugin_keeps_what_an_agent_keeps(tmp_path: Path) -> None:
    """Its calls share a thread, netlink sockets and a store; a removal is deferred, and done when the call returns."""
    with Site() as site, ExitStack() as stack:
        plugin = Resident(site.node.namespace, tmp_path / "state", stack)
        rig = Rig(site, site.node, plugin, configuration(site.node, tmp_path / "state"))
        kept = []
        for _ in range(2):
            attachment = rig.attach()
            kept.append(
                plugin._thread.submit(lambda: (plugin._kept._thread.netlink, *plugin._kept._by_timeout)).result()
            )
            rig.detach(attachment)

        assert kept[0] == kept[1]
        assert kept[0][0] is not None
        assert [] == [link for link in site.node.namespace.query("link show") if link["ifname"][1:].startswith("80")]
