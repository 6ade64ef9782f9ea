"""Every cell of cells.txt by a real packet: all with the same settings are sent at once, and what comes is compared."""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product

import pytest

from lab import cells, forgery
from lab.attacker import Sniffer
from lab.cells import Cell
from lab.forgery import TH_ACK, TH_SYN
from lab.rig import Attachment, Rig, changed
from lab.topology import Site
from lab.waiting import wait_until
from netns.conftest import MakeRig

SIDE = "eth1"
SIDE6, SIDE4 = "2001:db8:51de::", "203.0.113.128"
TRUSTED = {6: "2001:db8:7::7", 4: "100.64.7.7"}
STRANGER = {6: "2001:db8:bad::99", 4: "203.0.113.99"}  # no host: its kernel would refuse what the pod begins
CLUSTER_IP = {6: "fd00:10:96::7", 4: "10.96.0.7"}
THEIR_PORT = 443
# The pod's port, and those that lead there.
PORTS = {
    "other": {"direct": 80, "nodeport": 30080, "clusterip": 80, "hostport": 8080},
    "exposed": {"direct": 8443, "nodeport": 30443, "clusterip": 8443, "hostport": 9443},
    "annotated": {"direct": 8444, "nodeport": 30444, "clusterip": 8444, "hostport": 9444},
}
SETTINGS = {"mode": "mode", "services": "services", "hostports": "hostPorts"}  # keys by their columns
PROTOCOLS = ("tcp", "udp", "sctp")
NEW_PROTOCOL, REPLY_PROTOCOL = 253, 254  # for experiments (RFC 3692); connection tracking knows no ports of theirs
MARK, STEP = b"\x51\xa8", 16  # numbers of packets are apart, since TCP answers with the next one
INIT, INIT_ACK, DATA = 1, 2, 0


@dataclass(frozen=True)
class Probe:
    """A cell in one family, and the number that its packet carries."""

    cell: Cell
    version: int
    number: int

    @property
    def mark(self) -> bytes:
        """What the packet is known by."""
        return MARK + struct.pack("!H", self.number)


@dataclass(frozen=True)
class Ground:
    """The node with its pods, and what the packets need to know of it."""

    rig: Rig
    pod: Attachment
    sibling: Attachment

    def address(self, whose: Attachment | str, version: int) -> str:
        """Return an address of a pod, or of what a cell names."""
        if isinstance(whose, Attachment):
            return whose.ipv6 if version == 6 else whose.ipv4
        if whose in ("own", "sibling", "forged"):
            return self.address(self.pod if whose == "own" else self.sibling, version)
        if whose in ("node", "nodeport", "hostport"):
            return self.rig.node.ipv6 if version == 6 else self.rig.node.ipv4
        others = {"trusted": TRUSTED, "misrouted": TRUSTED, "stranger": STRANGER, "clusterip": CLUSTER_IP}
        return others[whose][version]

    @cached_property
    def macs(self) -> dict[str, str]:
        """The addresses of the node's links, by the router's names of the links to them."""
        found = {link["ifname"]: str(link["address"]) for link in self.rig.host.query("link show")}
        return {"node1": found["eth0"], "side": found[SIDE]}

    def send(self, cell: Cell, packet: bytes) -> None:
        """Send a packet by the link that the cell names."""
        inside = {"node": self.rig.host, "own": self.pod.pod, "sibling": self.sibling.pod}
        if namespace := inside.get(cell.source):
            forgery.send(namespace, packet)
        else:
            link = "side" if cell.link == "side" else "node1"
            forgery.send_on(self.rig.site.router, link, packet, mac=self.macs[link])


@pytest.fixture(params=product(*(cells.VALUES[key] for key in SETTINGS)), ids="-".join)
def settings(request: pytest.FixtureRequest) -> dict[str, str]:
    """Each combination of the firewall's settings that are columns of the table."""
    return dict(zip(SETTINGS, request.param, strict=True))


@pytest.fixture
def ground(make_rig: MakeRig, settings: dict[str, str]) -> Ground:
    """Attach two pods on a node with two uplinks; a NodePort, a ClusterIP and a host port lead to the first."""
    rig = make_rig(route_ipv4_pods=True)
    _second_uplink(rig.site)
    firewall = {
        **{SETTINGS[column]: value for column, value in settings.items()},
        "serviceCIDRs": ["fd00:10:96::/112", "10.96.0.0/16"],
        "trusted": ["2001:db8:7::/64", "100.64.7.0/24"],
        "expose": [f"{protocol}/{PORTS['exposed']['direct']}" for protocol in PROTOCOLS],
        "exposeFrom": "all",
    }
    rig = rig.having(ipv4={"masquerade": False}, firewall=firewall)
    asked = ", ".join(f"{protocol}/{PORTS['annotated']['direct']}" for protocol in PROTOCOLS)
    mappings = [
        {"hostPort": ports["hostport"], "containerPort": ports["direct"], "protocol": protocol}
        for ports, protocol in product(PORTS.values(), PROTOCOLS)
    ]
    requested = {"portMappings": mappings, "io.kubernetes.cri.pod-annotations": {"slash80.io/expose": asked}}
    pod = rig.attach(conf=changed(rig.conf, runtimeConfig=requested))
    found = Ground(rig, pod, rig.attach())
    rig.host.nft("\n".join(_proxy(found, version) for version in (6, 4)))
    return found


def _second_uplink(site: Site) -> None:
    host = site.node.namespace
    site.router.ip(f"link add side index 2000 type veth peer name {SIDE} netns {host.name}")
    host.sysctl("ipv4/conf/all/rp_filter", 0)
    for end, link, number in ((site.router, "side", 1), (host, SIDE, 2)):
        end.sysctl(f"ipv6/conf/{link}/accept_dad", 0)
        end.sysctl(f"ipv4/conf/{link}/rp_filter", 0)
        end.ip(f"addr add {SIDE6}{number}/64 dev {link} nodad", f"addr add 203.0.113.{128 + number}/26 dev {link}")
        end.ip(f"link set {link} up")
    for end, link in ((site.router, "side"), (host, SIDE)):
        wait_until(partial(end.links_work, link))


def _proxy(ground: Ground, version: int) -> str:
    """Return what kube-proxy does for packets from outside and from the node itself."""
    ip = "ip6" if version == 6 else "ip"
    pod = ground.address(ground.pod, version)
    to = f"[{pod}]" if version == 6 else pod
    rules = [
        f"{ip} daddr {ground.address(way, version)} {protocol} dport {ports[way]} dnat {ip} to {to}:{ports['direct']}"
        for way, ports, protocol in product(("nodeport", "clusterip"), PORTS.values(), PROTOCOLS)
    ]
    chains = (
        f"chain {hook} {{ type nat hook {hook} priority {priority}; {'; '.join(rules)}; }}"
        for hook, priority in (("prerouting", -100), ("output", -100))
    )
    return "\n".join([f"table inet proxy{version} {{", *chains, "}"])


def question(ground: Ground, probe: Probe) -> bytes:
    """Return the packet of the pod's that a reply is to; it has no mark, since errors quote it."""
    ours = ground.address(ground.pod, probe.version), 20000 + probe.number
    theirs = ground.address(probe.cell.source, probe.version), THEIR_PORT
    match probe.cell.protocol:
        case "tcp":
            return forgery.segment(ours, theirs, flags=TH_SYN, sequence=0)
        case "udp":
            return forgery.datagram(ours, theirs, b"?")
        case "sctp":
            return forgery.chunk(ours, theirs, kind=INIT, tag=0, payload=probe.mark[::-1] + bytes(12))
        case "icmp":
            return forgery.echo(ours[0], theirs[0], number=probe.number)
        case _:
            return forgery.packet(REPLY_PROTOCOL, ours[0], theirs[0], b"?")


def answer(ground: Ground, probe: Probe) -> bytes:
    """Return the reply."""
    ours = ground.address(ground.pod, probe.version), 20000 + probe.number
    theirs = ground.address(probe.cell.source, probe.version), THEIR_PORT
    match probe.cell.protocol:
        case "tcp":
            return forgery.segment(theirs, ours, flags=TH_SYN | TH_ACK, sequence=_sequence(probe), acknowledged=1)
        case "udp":
            return forgery.datagram(theirs, ours, probe.mark)
        case "sctp":
            tag = int.from_bytes(probe.mark[::-1], "big")
            return forgery.chunk(theirs, ours, kind=INIT_ACK, tag=tag, payload=probe.mark + bytes(12))
        case "icmp":
            return forgery.echo(theirs[0], ours[0], number=probe.number, reply=True, payload=probe.mark)
        case _:
            return forgery.packet(REPLY_PROTOCOL, theirs[0], ours[0], probe.mark)


def opening(ground: Ground, probe: Probe) -> bytes:
    """Return a packet that begins a connection, or one out of the middle of a connection that is not known."""
    cell, begins = probe.cell, probe.cell.state == "new"
    source = ground.address(cell.source, probe.version), 20000 + probe.number
    to = ground.address(ground.pod if cell.way == "direct" else cell.way, probe.version)
    target = to, PORTS[cell.port][cell.way]
    match cell.protocol:
        case "tcp":
            return forgery.segment(source, target, flags=TH_SYN if begins else TH_ACK, sequence=_sequence(probe))
        case "udp":
            return forgery.datagram(source, target, probe.mark)
        case "sctp":
            kind, tag = (INIT, 0) if begins else (DATA, 7)
            return forgery.chunk(source, target, kind=kind, tag=tag, payload=probe.mark + bytes(12))
        case "icmp":
            return forgery.echo(source[0], to, number=probe.number, reply=not begins, payload=probe.mark)
        case _:
            return forgery.packet(NEW_PROTOCOL, source[0], to, probe.mark)


def _sequence(probe: Probe) -> int:
    return int.from_bytes(probe.mark, "big")


def arrived(sniffer: Sniffer, probes: dict[bytes, Probe]) -> Iterator[Probe]:
    """Yield the probes whose packets have come in."""
    for packet in sniffer.received():
        places = (found.start() for found in re.finditer(re.escape(MARK), packet))
        yield from (probes[mark] for mark in (packet[at : at + 4] for at in places) if mark in probes)


def test_every_cell_is_as_the_table_says(ground: Ground, settings: dict[str, str]) -> None:
    """By sources, links, protocols, states, ways and ports, in both families."""
    possible = cells.possible().items()
    expected = {cell: verdict for cell, verdict in possible if settings.items() <= cell._asdict().items()}
    every = [(cell, version) for cell in expected for version in (6, 4)]
    probes = [Probe(cell, version, STEP * number) for number, (cell, version) in enumerate(every, 1)]
    with Sniffer(ground.pod.pod, "eth0") as sniffer:
        for probe in probes:
            if probe.cell.state == "reply":
                forgery.send(ground.pod.pod, question(ground, probe))
                ground.send(probe.cell, answer(ground, probe))
            else:
                ground.send(probe.cell, opening(ground, probe))
        came = set(arrived(sniffer, {one.mark: one for one in probes}))

    wrong = [(one.cell, one.version) for one in probes if (expected[one.cell] == "arrives") is not (one in came)]
    assert [] == wrong
