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
        self._pods = 0
        try:
            self.router = self._namespace("router")
            for key, value in {
                "ipv4/ip_forward": 1,
                "ipv6/conf/all/forwarding": 1,
                "ipv6/conf/default/accept_dad": 0,
            }.items():
                self.router.sysctl(key, value)
            self.internet = self._host("internet", (INTERNET6, "2001:db8:ffff::1"), (INTERNET4, "198.51.100.1"))
            self.attacker = self._host("attacker", (ATTACKER6, "2001:db8:bad::1"), (ATTACKER4, "203.0.113.1"))
            self.nodes = [
                self._node(number, uplink_mtu, static_default6=static_default6) for number in range(1, nodes + 1)
            ]
            self._settle()
            if route_ipv4_pods:
                self.router.ip(*(f"route add {node.prefix4} via {node.ipv4}" for node in self.nodes))
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
        self.router.ip(*lines)

    def _settle(self) -> None:
        """See every cable work: a link just raised drops packets until the kernel's link watch has run."""
        for namespace in (
            self.router,
            self.internet,
            self.attacker,
            *(node.namespace for node in self.nodes),
        ):
            wait_until(partial(_cables_up, namespace))

    def _namespace(self, role: str) -> Namespace:
        name = f"{self._prefix}-{role}"
        self._namespaces.append(Namespace(name))  # before it is made: an interrupt may come at any moment
        namespace = Namespace.create(name)
        namespace.ip("link set lo up")
        return namespace

    def _host(self, role: str, ipv6: tuple[str, str], ipv4: tuple[str, str]) -> Namespace:
        host = self._namespace(role)
        self._cable(host, role, 1500, f"{ipv6[1]}/64", f"{ipv4[1]}/24")
        addresses = _addressed(UPLINK, f"{ipv6[0]}/64", f"{ipv4[0]}/24")
        host.ip(*addresses, f"route add default via {ipv6[1]}", f"route add default via {ipv4[1]}")
        return host

    def _node(self, number: int, mtu: int, *, static_default6: bool) -> Node:
        node = Node(self._namespace(f"node{number}"), number)
        routers = f"{node.router6}/64", f"{node.router4}/28", f"{ROUTER_LINK_LOCAL}/64"
        self._cable(node.namespace, f"node{number}", mtu, *routers)
        gateways = [node.router4, *([node.router6] if static_default6 else [])]
        node.namespace.ip(
            *_addressed(UPLINK, f"{node.ipv6}/64", f"{node.ipv4}/28"),
            *(f"route add default via {gateway}" for gateway in gateways),
        )
        self.router.ip(f"route add {node.prefix6} via {node.ipv6}")
        return node

    def _cable(self, end: Namespace, name: str, mtu: int, *addresses: str) -> None:
        """Lay a cable from the router to `end`, and raise the router's end.

        Neither end has duplicate address detection: it works at once. The router's links inherit that.
        """
        # Two ends with one index in their two namespaces are slow: for the kernel's link watch their event is
        # then not urgent, and IPv6 waits up to a second for it.
        index = 1000 + len(self._namespaces)
        self.router.ip(
            f"link add {name} index {index} mtu {mtu} type veth peer name {UPLINK} mtu {mtu} netns {end.name}",
            *_addressed(name, *addresses),
        )
        end.sysctl(f"ipv6/conf/{UPLINK}/accept_dad", 0)


def _cables_up(namespace: Namespace) -> bool:
    return all(link["operstate"] == "UP" for link in namespace.query("link show type veth"))


def _addressed(link: str, *addresses: str) -> list[str]:
    """Return the lines that give a link its addresses and raise it."""
    lines = [f"addr add {address} dev {link}" + (" nodad" if ":" in address else "") for address in addresses]
    return [*lines, f"link set {link} up"]
