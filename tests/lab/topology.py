"""The site every test runs on: nodes behind a router, an honest host on the internet and an attacker.

    internet 2001:db8:ffff::10, 198.51.100.10 --+
                                                 router --- node i: 2001:db8:0:<i>::2/64, 192.0.2.<16i-14>/28
    attacker 2001:db8:bad::66, 203.0.113.66 ----+                   pods 2001:db8:0:<i>:1::/80, 10.80.<i>.0/24

The router sends each node its /80. It knows the IPv4 pod ranges only when asked to, so that IPv4 from pods
must be masqueraded. Every address of the site is NODAD: nothing waits. What the nodes' kernels do by
themselves is left at its default.
"""

from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Self

from lab.namespaces import Namespace, unique_name
from lab.waiting import wait_until

INTERNET6, INTERNET4 = "2001:db8:ffff::10", "198.51.100.10"
ATTACKER6, ATTACKER4 = "2001:db8:bad::66", "203.0.113.66"
ROUTER_LINK_LOCAL = "fe80::a"
UPLINK = "eth0"


@dataclass(frozen=True)
class Node:
    """One node: its namespace and the numbers that the site gave it."""

    namespace: Namespace
    number: int

    @property
    def ipv6(self) -> str:
        """The node's own address."""
        return f"2001:db8:0:{self.number:x}::2"

    @property
    def ipv4(self) -> str:
        """The node's own address."""
        return f"192.0.2.{16 * (self.number - 1) + 2}"

    @property
    def router6(self) -> str:
        """The router's address on the node's link."""
        return f"2001:db8:0:{self.number:x}::1"

    @property
    def router4(self) -> str:
        """The router's address on the node's link."""
        return f"192.0.2.{16 * (self.number - 1) + 1}"

    @property
    def prefix6(self) -> str:
        """What the router sends to this node."""
        return f"2001:db8:0:{self.number:x}:1::/80"

    @property
    def prefix4(self) -> str:
        """The node's range for pods; the router knows it only when asked to."""
        return f"10.80.{self.number}.0/24"

    def pod6(self, suffix: str) -> str:
        """Return an address of the node's prefix, for requests by address."""
        return self.prefix6.removesuffix("::/80") + "::" + suffix

    def pod4(self, suffix: int) -> str:
        """Return an address of the node's IPv4 range, for requests by address."""
        return f"10.80.{self.number}.{suffix}"


class Site:
    """A router with everything around it, for one test; a context manager that removes all of it."""

    def __init__(
        self,
        *,
        nodes: int = 1,
        uplink_mtu: int = 1500,
        route_ipv4_pods: bool = False,
        static_default6: bool = True,
    ) -> None:
        self._prefix = unique_name()
        self._namespaces: list[Namespace] = []
        self._pods, self._routes_ipv4_pods = 0, route_ipv4_pods
        try:
            self.router = self._namespace("router")
            for key, value in {
                "ipv4/ip_forward": 1,
                "ipv6/conf/all/forwarding": 1,
                "ipv6/conf/default/accept_dad": 0,
            }.items():
                self.router.sysctl(key, value)
            self.internet, self.attacker = self._namespace("internet"), self._namespace("attacker")
            self.nodes = [Node(self._namespace(f"node{number}"), number) for number in range(1, nodes + 1)]
            self._lay(
                _host_cable(self.internet, "internet", (INTERNET6, "2001:db8:ffff::1"), (INTERNET4, "198.51.100.1")),
                _host_cable(self.attacker, "attacker", (ATTACKER6, "2001:db8:bad::1"), (ATTACKER4, "203.0.113.1")),
                *(_node_cable(node, uplink_mtu, static_default6=static_default6) for node in self.nodes),
            )
            routes = [f"route add {node.prefix6} via {node.ipv6}" for node in self.nodes]
            if route_ipv4_pods:
                routes += [f"route add {node.prefix4} via {node.ipv4}" for node in self.nodes]
            self.router.ip(*routes)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def node(self) -> Node:
        """The first node, for the many tests that need only one."""
        return self.nodes[0]

    def pod(self) -> Namespace:
        """Make an empty namespace as a runtime does for a pod: only `lo`, up."""
        self._pods += 1
        return self._namespace(f"pod{self._pods}")

    def close(self) -> None:
        """Remove every namespace of this site; repeating it is fine."""
        while self._namespaces:
            self._namespaces.pop().delete()

    def narrow_path(self, mtu: int) -> None:
        """Let the router forward only packets up to `mtu` to and from the internet, as a tunnel does."""
        lines = [f"route change 2001:db8:ffff::/64 dev internet proto kernel metric 256 mtu {mtu}"]
        lines += [f"route change {node.prefix6} via {node.ipv6} mtu {mtu}" for node in self.nodes]
        # IPv4 forwarding looks at a route's MTU only when it is locked.
        lines.append(f"route change 198.51.100.0/24 dev internet proto kernel src 198.51.100.1 mtu lock {mtu}")
        lines += [f"route add {node.ipv4} dev node{node.number} mtu lock {mtu}" for node in self.nodes]
        if self._routes_ipv4_pods:
            lines += [f"route change {node.prefix4} via {node.ipv4} mtu lock {mtu}" for node in self.nodes]
        self.router.ip(*lines)

    def _lay(self, *cables: "_Cable") -> None:
        """Lay cables from the router, and see each work: until the kernel's work queues have run they drop packets.

        Neither end has duplicate address detection: it works at once. The router's links inherit that.
        """
        self.router.ip(*(line for number, one in enumerate(cables, 1001) for line in one.lines(number)))
        for one in cables:
            one.end.sysctl(f"ipv6/conf/{UPLINK}/accept_dad", 0)
            defaults = (f"route add default via {gateway}" for gateway in one.gateways)
            one.end.ip(*_addressed(UPLINK, *one.addresses), *defaults)
        wait_until(partial(self.router.links_work, *(one.name for one in cables)))
        for one in cables:
            wait_until(partial(one.end.links_work, UPLINK))

    def _namespace(self, role: str) -> Namespace:
        name = f"{self._prefix}-{role}"
        self._namespaces.append(Namespace(name))  # before it is made: an interrupt may come at any moment
        namespace = Namespace.create(name)
        namespace.raise_loopback()
        return namespace


@dataclass(frozen=True)
class _Cable:
    """A link between the router, where it has a name, and the uplink of another namespace, with what both ends get."""

    name: str
    mtu: int
    routers: tuple[str, ...]
    end: Namespace
    addresses: tuple[str, ...]
    gateways: tuple[str, ...]

    def lines(self, index: int) -> list[str]:
        """Return the lines with which the router makes the cable, and raises its end.

        Two ends with one index in their two namespaces are slow: for the kernel's link watch their event is then not
        urgent, and IPv6 waits up to a second for it.
        """
        peer = f"peer name {UPLINK} mtu {self.mtu} netns {self.end.name}"
        made = f"link add {self.name} index {index} mtu {self.mtu} type veth {peer}"
        return [made, *_addressed(self.name, *self.routers)]


def _host_cable(host: Namespace, name: str, ipv6: tuple[str, str], ipv4: tuple[str, str]) -> _Cable:
    """Return the cable of a host; each pair has its own address and the router's."""
    (own6, router6), (own4, router4) = ipv6, ipv4
    routers, addresses = (f"{router6}/64", f"{router4}/24"), (f"{own6}/64", f"{own4}/24")
    return _Cable(name, 1500, routers, host, addresses, (router6, router4))


def _node_cable(node: Node, mtu: int, *, static_default6: bool) -> _Cable:
    routers = f"{node.router6}/64", f"{node.router4}/28", f"{ROUTER_LINK_LOCAL}/64"
    addresses = f"{node.ipv6}/64", f"{node.ipv4}/28"
    gateways = (node.router4, *([node.router6] if static_default6 else []))
    return _Cable(f"node{node.number}", mtu, routers, node.namespace, addresses, gateways)


def _addressed(link: str, *addresses: str) -> list[str]:
    """Return the lines that give a link its addresses and raise it."""
    lines = [f"addr add {address} dev {link}" + (" nodad" if ":" in address else "") for address in addresses]
    return [*lines, f"link set {link} up"]
