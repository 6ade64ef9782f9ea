"""A node where many hosts meet: thousands of first packets, and which of them arrive; none is waited for in silence.

Each host is a namespace at a link of the node: 1 to 9 are pods, at links as pods have them, and 10 is anywhere else. A
packet either arrives at its host or is counted by a rule that drops it, so when both add up nothing is on its way.
"""

import socket
import struct
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from lab.attacker import Sniffer
from lab.forgery import Endpoint, datagram, echo, sctp_init, syn
from lab.namespaces import Namespace, unique_name
from lab.waiting import wait_until
from slash80.addressing.family import Address
from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.policy.model import Flow

HOSTS, STRANGER = range(1, 11), 10
ICMP = 1
_MADE: dict[int, Callable[[Endpoint, Endpoint], bytes]] = {TCP: syn, UDP: datagram, SCTP: sctp_init}
_GATEWAYS = ("169.254.1.1", "fe80::1")
_AT_ONCE = 200  # packets: with their answers on both links fewer than the kernel queues (netdev_max_backlog is 1000)
_NODE_MAC = "02:00:00:00:00:01"


def ifname(host: int) -> str:
    """Return the name of the node's end of a host's link."""
    return "uplink" if host == STRANGER else f"s80host{host}"


def addresses(host: int) -> tuple[Address, Address]:
    """Return the addresses of a host."""
    return ip_address(f"10.80.1.{host}"), ip_address(f"2001:db8::{host}")


class Crossing:
    """The node and its hosts."""

    def __init__(self) -> None:
        self._prefix, self._serial = unique_name(), 1024
        self._namespaces: list[Namespace] = []
        self._raw: dict[Address, socket.socket] = {}
        self._sniffers: list[Sniffer] = []
        try:
            self.node = self._namespace("node")
            for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                self.node.sysctl(key, 1)
            for host in HOSTS:
                self._attach(host)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove everything."""
        for raw in self._raw.values():
            raw.close()
        for sniffer in self._sniffers:
            sniffer.close()
        for namespace in self._namespaces:
            namespace.delete()

    def arriving(self, flows: Iterable[Flow]) -> set[Flow]:
        """Send the first packet of each flow, and return those that arrived; every other one was counted as dropped.

        Each has a source port, or an ICMP identifier, that no packet had before: so it begins a connection.
        """
        self._serial += 1
        rest, found = list(flows), set[Flow]()
        while rest:
            found |= self._arriving(rest[:_AT_ONCE])
            rest = rest[_AT_ONCE:]
        return found

    def _arriving(self, flows: list[Flow]) -> set[Flow]:
        before, found = self._dropped(), set[Flow]()
        for flow in flows:
            self._raw[flow.source].sendto(_packet(flow, self._serial), (str(flow.destination), 0))

        def settled() -> bool:
            for sniffer in self._sniffers:
                found.update(filter(None, (_read(data, self._serial) for data in sniffer.received(quiet=0))))
            return len(found) + self._dropped() - before >= len(flows)

        wait_until(settled)
        assert found <= set(flows)
        assert len(found) + self._dropped() - before == len(flows), "a packet arrived and was counted as dropped"
        return found

    def _dropped(self) -> int:
        """Return how many packets the chains dropped that policies lead to."""
        words = self.node.command("nft", "list", "table", "inet", "slash80-policy").split()
        return sum(int(words[at + 1]) for at, word in enumerate(words) if word == "packets")

    def _namespace(self, role: str) -> Namespace:
        name = f"{self._prefix}-{role}"
        self._namespaces.append(Namespace(name))  # before it is made: an interrupt may come at any moment
        namespace = Namespace.create(name)
        namespace.raise_loopback()
        return namespace

    def _attach(self, host: int) -> None:
        """Lay a link, on which both ends know each other: nothing waits for ARP or neighbour discovery."""
        namespace, link, mac = self._namespace(f"host{host}"), ifname(host), f"02:00:00:00:01:{host:02}"
        # Two ends with one index are slow: see topology.Site.
        self.node.ip(
            f"link add {link} index {1000 + host} address {_NODE_MAC} type veth "
            f"peer name eth0 address {mac} netns {namespace.name}"
        )
        for where, name in ((self.node, link), (namespace, "eth0")):
            where.sysctl(f"ipv6/conf/{name}/accept_dad", 0)
        mine = addresses(host)
        self.node.ip(
            f"link set {link} up",
            *(f"route add {one} dev {link}" for one in mine),
            *(f"neighbour add {one} lladdr {mac} dev {link} nud permanent" for one in mine),
        )
        namespace.ip(
            "link set eth0 up",
            *(f"address add {one}/{one.max_prefixlen} dev eth0" for one in mine),
            *(f"neighbour add {one} lladdr {_NODE_MAC} dev eth0 nud permanent" for one in _GATEWAYS),
            *(f"route add {one} dev eth0" for one in _GATEWAYS[:1]),
            *(f"route add default via {one} dev eth0" for one in _GATEWAYS),
        )
        for one, family in zip(mine, (socket.AF_INET, socket.AF_INET6), strict=True):
            self._raw[one] = namespace.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._sniffers.append(Sniffer(namespace, "eth0"))
        wait_until(lambda: all(one["operstate"] == "UP" for one in self.node.query(f"link show {link}")))


def _packet(flow: Flow, serial: int) -> bytes:
    source, target = str(flow.source), str(flow.destination)
    if flow.protocol == ICMP:
        return echo(source, target, number=serial)
    return _MADE[flow.protocol]((source, serial), (target, flow.port))


def _read(data: bytes, serial: int) -> Flow | None:
    """Return the flow that a packet begins; None for any other packet, such as an answer."""
    if data[0] >> 4 == 4:
        protocol, body = data[9], data[20:]
        source, target = (ip_address(data[at : at + 4]) for at in (12, 16))
    else:
        protocol, body = data[6], data[40:]
        source, target = (ip_address(data[at : at + 16]) for at in (8, 24))
    if protocol in {1, 58}:
        kind, number = struct.unpack("!B3xH", body[:6])
        return Flow(source, target, ICMP) if kind in {8, 128} and number == serial else None
    if protocol not in _MADE:
        return None
    from_, to = struct.unpack("!HH", body[:4])
    return Flow(source, target, protocol, to) if from_ == serial else None
