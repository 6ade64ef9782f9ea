"""A host outside writes addresses into the source of its packets that are not its own.

The node's rp_filter is off, as on many nodes, so that nothing but slash80 stops him.
"""

import json
import re
import select
import socket
from collections.abc import Iterable
from contextlib import ExitStack
from functools import partial
from ipaddress import ip_address, ip_network
from itertools import product

import pytest

from lab import forgery
from lab.attacker import Sniffer
from lab.probes import ANSWERED, SHORTLY, Server, ask, family_of, ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until
from netns.conftest import MakeRig, root

SIDE = "eth1"
SIDE_ADDRESSES = {"node": ("2001:db8:51de::2", "203.0.113.130"), "router": ("2001:db8:51de::1", "203.0.113.129")}
PORT = 9


LINKS = {"eth0": 1000, SIDE: 1001}  # with a source port for each
PROTOCOLS = {socket.IPPROTO_UDP: "udp", socket.IPPROTO_TCP: "tcp"}
INTERNET = {"ipv6": INTERNET6, "ipv4": INTERNET4}
TRUSTED = ("another node", "another node's pod", "a trusted host")
Arrival = tuple[str, int, str, str]  # whose address the source is, family, protocol and link


@pytest.fixture
def rig(make_rig: MakeRig) -> Rig:
    """Put the plugin on a node with a second uplink, in a cluster of two, that trusts the Internet host's prefixes."""
    rig = make_rig(nodes=2, route_ipv4_pods=True)
    _second_uplink(rig)
    for key in ("all", "default", "eth0", SIDE):
        rig.host.sysctl(f"ipv4/conf/{key}/rp_filter", 0)
    nodes = rig.site.nodes
    return rig.having(
        firewall={
            "clusterPrefixes": [prefix for node in nodes for prefix in (node.prefix6, node.prefix4)],
            "nodePrefixes": [f"{node.ipv6}/128" for node in nodes] + [f"{node.ipv4}/32" for node in nodes],
            "trusted": ["2001:db8:ffff::/64", "198.51.100.0/24"],
        }
    )


def _second_uplink(rig: Rig) -> None:
    rig.site.router.ip(f"link add side index 2000 type veth peer name {SIDE} netns {rig.host.name}")
    for end, link, role in ((rig.site.router, "side", "router"), (rig.host, SIDE, "node")):
        ipv6, ipv4 = SIDE_ADDRESSES[role]
        end.sysctl(f"ipv6/conf/{link}/accept_dad", 0)
        end.ip(f"addr add {ipv6}/64 dev {link} nodad", f"addr add {ipv4}/26 dev {link}", f"link set {link} up")
    for end, link in ((rig.site.router, "side"), (rig.host, SIDE)):
        wait_until(partial(end.links_work, link))


def _lead(rig: Rig, link: str, *targets: str) -> None:
    """Have the router send what it has for these addresses by one of the node's links."""
    gateways = SIDE_ADDRESSES["node"] if link == SIDE else (rig.node.ipv6, rig.node.ipv4)
    rig.site.router.ip(*(f"route replace {one} via {gateways['.' in one]}" for one in targets))


def _sources(rig: Rig, pod: Attachment, other: Attachment) -> dict[str, tuple[str, str]]:
    """Return addresses of both families by whose they are."""
    node, neighbour = rig.node, rig.site.nodes[1]
    return {
        "this pod": pod.addresses,
        "another pod": other.addresses,
        "an unused address": (node.pod6("dead"), node.pod4(199)),
        "the node": (node.ipv6, node.ipv4),
        "the node's other link": SIDE_ADDRESSES["node"],
        "loopback": ("::1", "127.0.0.1"),
        "another node": (neighbour.ipv6, neighbour.ipv4),
        "another node's pod": (neighbour.pod6("1"), neighbour.pod4(1)),
        "a trusted host": (INTERNET6, INTERNET4),
        "a stranger": ("2001:db8:bad::66", "203.0.113.66"),
    }


def _strike(rig: Rig, link: str, sources: dict[str, tuple[str, str]], *targets: str) -> None:
    """Send a datagram and a SYN of each source from the router."""
    _lead(rig, link, *targets)
    port = LINKS[link]  # a connection for each link
    for target in targets:
        for source in (one for both in sources.values() for one in both if (":" in one) == (":" in target)):
            for kind in (forgery.datagram, forgery.syn):
                forgery.send(rig.site.router, kind((source, port), (target, PORT)))


def _arrived(rig: Rig, sources: dict[str, tuple[str, str]], pod: Attachment) -> set[Arrival]:
    """Strike at a pod by both links, and return what it received."""
    found = set()
    for link in LINKS:
        with Sniffer(pod.pod, "eth0") as sniffer:
            _strike(rig, link, sources, *pod.addresses)
            packets = [one for one in sniffer.packets() if one.protocol in PROTOCOLS]
        for packet in packets:
            whose = next(whose for whose, both in sources.items() if packet.source in both)
            found.add((whose, 6 if ":" in packet.source else 4, PROTOCOLS[packet.protocol], link))
    return found


def _all(links: Iterable[str], *whose: str) -> set[Arrival]:
    return set(product(whose, (4, 6), PROTOCOLS.values(), links))


@pytest.mark.every_shape
def test_a_pod_receives_from_trusted_sources_by_the_link_that_leads_back(rig: Rig) -> None:
    """What is the node's own comes from no link, a trusted prefix of others only from the one that leads to it."""
    pod, other = rig.attach(), rig.attach()
    sources = _sources(rig, pod, other)

    assert _all(["eth0"], *TRUSTED) == _arrived(rig, sources, pod)


def test_a_source_counts_on_every_link_where_the_check_is_loose(rig: Rig) -> None:
    """With `loose` a trusted prefix of others counts on every link, and what is the node's own still on none."""
    rig = rig.having(firewall={"trustedSource": "loose"})
    pod, other = rig.attach(), rig.attach()
    sources = _sources(rig, pod, other)

    assert _all(LINKS, *TRUSTED) == _arrived(rig, sources, pod)


def test_an_unused_address_is_not_trusted_without_its_discard_route(rig: Rig) -> None:
    """Network managers delete such routes, and then the default route leads to the address."""
    pod, other = rig.attach(), rig.attach()
    sources = {"an unused address": _sources(rig, pod, other)["an unused address"]}
    for prefix in (rig.node.prefix6, rig.node.prefix4):
        rig.host.ip(f"route del unreachable {prefix} proto 180 metric 4294967295")

    assert set() == _arrived(rig, sources, pod)


def test_the_node_receives_nothing_from_its_own_addresses(rig: Rig) -> None:
    """In no hook: the node itself is as little fooled as its pods, and it still receives from all others."""
    pod, other = rig.attach(), rig.attach()
    sources = _sources(rig, pod, other)
    others = {one for whose in (*TRUSTED, "a stranger") for one in sources[whose]}
    with ExitStack() as stack:
        listening = [
            stack.enter_context(rig.host.socket(family, socket.SOCK_DGRAM))
            for family in (socket.AF_INET6, socket.AF_INET)
        ]
        for one in listening:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if one.family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(("", PORT))
        for link, targets in (("eth0", (rig.node.ipv6, rig.node.ipv4)), (SIDE, SIDE_ADDRESSES["node"])):
            for target in targets:
                for source in (one for both in sources.values() for one in both if (":" in one) == (":" in target)):
                    packet = forgery.datagram((source, LINKS[link]), (target, PORT), b"")
                    forgery.send(rig.site.router, packet)

        assert {(one, port) for one in others for port in LINKS.values()} == _received(listening)


def _received(listening: list[socket.socket]) -> set[tuple[str, int]]:
    """Return from whom the sockets received, until nothing comes for a while."""
    found = set()
    while ready := select.select(listening, [], [], 0.3)[0]:
        found |= {one.recvfrom(64)[1][:2] for one in ready}
    return found


def test_a_forged_packet_belongs_to_no_connection_of_the_node(rig: Rig, family: str) -> None:
    """A host outside that knows the ports of a connection between the node and a pod has no part in it."""
    pod = rig.attach()
    node, target = getattr(rig.node, family), getattr(pod, family)
    with (
        rig.host.socket(family_of(node), socket.SOCK_DGRAM) as asking,
        pod.pod.socket(family_of(node), socket.SOCK_DGRAM) as answering,
    ):
        asking.bind((node, 0))
        answering.bind((target, PORT))
        for one in (asking, answering):
            one.settimeout(ANSWERED)
        asking.sendto(b"query", (target, PORT))
        _, port = answering.recvfrom(64)[1][:2]
        answering.sendto(b"answer", (node, port))
        assert b"answer" == asking.recv(64)
        forgery.send(rig.site.router, forgery.datagram((node, port), (target, PORT), b"forged"))
        forgery.send(rig.site.router, forgery.datagram((target, PORT), (node, port), b"forged"))
        ping(rig.site.router, node)  # what was sent before the reply has come or was dropped
        asking.sendto(b"again", (target, PORT))
        answering.sendto(b"again", (node, port))

        assert (b"again", b"again") == (answering.recv(64), asking.recv(64))


def test_a_trusted_prefix_counts_on_every_leg_of_its_route(rig: Rig, family: str) -> None:
    """Where the node has two ways to a prefix, the other side may choose either, whichever the node's kernel would."""
    _two_ways(rig, family, INTERNET[family])
    pod = rig.attach()
    address = getattr(pod, family)
    sources = [_neighbour_of(INTERNET[family], number) for number in range(64)]
    with Sniffer(pod.pod, "eth0") as sniffer:
        for link, port in LINKS.items():
            _lead(rig, link, address)
            for source in sources:
                forgery.send(rig.site.router, forgery.datagram((source, port), (address, PORT), b""))

        assert sorted(sources * 2) == sorted(one.source for one in sniffer.packets() if one.protocol in PROTOCOLS)


def _two_ways(rig: Rig, family: str, target: str) -> None:
    length, number = ("64", 0) if family == "ipv6" else ("24", 1)
    first = (rig.node.router6, rig.node.router4)[number]
    ways = f"nexthop via {first} dev eth0 nexthop via {SIDE_ADDRESSES['router'][number]} dev {SIDE}"
    prefix = ip_network(f"{target}/{length}", strict=False)
    rig.host.ip(f"route add {prefix} {ways}")


def _neighbour_of(address: str, number: int) -> str:
    return str(ip_address(address) + number)


def test_a_route_of_policy_routing_counts(rig: Rig, family: str) -> None:
    """Where a rule sends what pods answer by another link than the main table, that link is the trusted one."""
    pod = rig.attach()
    number = family == "ipv4"
    prefix = (rig.node.prefix6, rig.node.prefix4)[number]
    rig.host.command("ip", f"-{'64'[number]}", "rule", "add", "from", prefix, "lookup", "100")
    rig.host.ip(
        f"route add default via {SIDE_ADDRESSES['router'][number]} dev {SIDE} table 100",
        f"route add {getattr(pod, family)} dev {pod.host_ifname} table 100",
    )
    sources = {"a trusted host": (INTERNET6, INTERNET4)}
    version = 4 if number else 6

    assert {one for one in _all([SIDE], "a trusted host") if one[1] == version} == {
        one for one in _arrived(rig, sources, pod) if one[1] == version
    }


def test_what_is_let_in_from_anybody_comes_by_every_link(rig: Rig, family: str) -> None:
    """A trusted source on a wrong link is a stranger: its pings are limited, and what a pod began goes on."""
    pod = rig.attach()
    gateway = SIDE_ADDRESSES["router"][family == "ipv4"]
    target = INTERNET[family]
    with Server(rig.site.internet):
        rig.host.ip(f"route add {target} via {gateway} dev {SIDE}")  # the answers come by the other link

        assert ask(pod.pod, target) is not None
    assert 1 == ping(rig.site.internet, getattr(pod, family))
    with Server(pod.pod):
        assert ask(rig.site.internet, getattr(pod, family), timeout=SHORTLY) is None


def _listed(rig: Rig, chain: str) -> str:
    return rig.host.command("nft", "list", "chain", "inet", "slash80", chain)


def test_status_names_a_prefix_that_comes_by_a_wrong_link(rig: Rig, family: str) -> None:
    """An operator learns which trusted prefix it is, by which link it comes, and which one leads back."""
    pod = rig.attach()
    address = getattr(pod, family)
    _lead(rig, SIDE, address)
    with Server(pod.pod):
        assert ask(rig.site.internet, address, timeout=SHORTLY) is None

    words = ("--state-dir", str(rig.state_dir), "--conf-dir", str(rig.state_dir), "-o", "json")
    told = json.loads(rig.host.command(f"{root()}/opt/cni/bin/slash80", "status", *words, check=False))
    prefix = {"ipv6": "2001:db8:ffff::/64", "ipv4": "198.51.100.0/24"}[family]
    (problem,) = (one for one in told["problemDetails"] if one["reason"] == "TrustedSource")
    assert prefix == problem["subject"]
    assert (
        f"{INTERNET[family]} of trusted {prefix} came in by eth1, but the node answers by eth0," in problem["message"]
    )
    assert re.search(r"counter packets [1-9]\d* bytes \d+ comment", _listed(rig, "misrouted"))
