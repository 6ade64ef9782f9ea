"""Which routes, and whose, take addresses of the node's prefixes."""

import errno
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from slash80.addressing.family import IPV4, IPV6
from slash80.addressing.pool import Pool, Range
from slash80.errors import BelongsToAnother
from slash80.wiring import conflicts
from unit.kernels import Kernel
from unit.wiring.plans import link, neighbour, route

FOUR, SIX = ip_network("10.80.1.0/24"), ip_network("2001:db8:0:1:1::/80")
A4, A6 = ip_address("10.80.1.5"), ip_address("2001:db8:0:1:1::5")
AT = "ip link show (index 5)"
BRIDGE, TUNNEL = {AT: [link("br0", kind="bridge")]}, {AT: [link("wg0", up=0x81)]}


def taken(way: bytes | int, links: dict[str, Any] = BRIDGE) -> dict[str, str]:
    """Return what a route takes, as the kernel returns it for an address of a prefix."""
    address = A6 if isinstance(way, bytes) and way[0] == 10 else A4
    kernel = Kernel({f"ip route get {address}": way if isinstance(way, int) else [way]} | links)
    found = conflicts.routed_elsewhere(kernel, [address], [FOUR, SIX])
    return {f"{taken.first} to {taken.last}": words for taken, words in found.items()}


WHOLE4, WHOLE6 = "10.80.1.0 to 10.80.1.255", f"{SIX[0]} to {SIX[-1]}"
TAKING = {
    "a bridge's equal subnet": (route("10.80.1.0/24", proto=2), WHOLE4, "route 10.80.1.0/24 dev br0 proto kernel"),
    "a narrower route": (
        route("10.80.1.0/29", gateway="192.0.2.9", proto=4),
        "10.80.1.0 to 10.80.1.7",
        "route 10.80.1.0/29 via 192.0.2.9 dev br0 proto static",
    ),
    "the node's own address": (route("10.80.1.5/32", kind=2, proto=2), "10.80.1.5 to 10.80.1.5", "route local 10.80"),
    "a link's broadcast address": (route("10.80.1.5/32", kind=3), "10.80.1.5 to 10.80.1.5", "route broadcast 10.80"),
    "AnyIP": (route(str(SIX), kind=2, proto=3), WHOLE6, f"route local {SIX} dev br0 proto boot leads there"),
    "AnyIP of a larger whole": (route("2001:db8::/32", kind=2, proto=3), WHOLE6, "route local 2001:db8::/32"),
    "the uplink's subnet": (route("10.80.0.0/16", proto=2), WHOLE4, "route 10.80.0.0/16 dev br0 proto kernel"),
    "a route to a link without a gateway": (route("10.80.0.0/16", proto=4), WHOLE4, "route 10.80.0.0/16 dev br0"),
    "another node's prefix": (route("10.80.1.0/24", gateway="192.0.2.9"), WHOLE4, "via 192.0.2.9 dev br0 proto 180"),
    "an equal subnet in IPv6": (route(str(SIX), proto=2), WHOLE6, f"route {SIX} dev br0 proto kernel"),
    "a subnet of another table": (route("10.80.1.0/24", proto=3, table=52), WHOLE4, "proto boot table 52 leads there"),
}


@pytest.mark.parametrize(("way", "what", "words"), TAKING.values(), ids=TAKING.keys())
def test_route_takes_its_part_of_the_prefix(way: bytes, what: str, words: str) -> None:
    """The part of the prefix inside the route is taken, and it is named as `ip route` shows it."""
    ((found, told),) = taken(way).items()

    assert (what, True) == (found, words in told)


HARMLESS = {
    "no route": errno.ENETUNREACH,
    "our cover": errno.EHOSTUNREACH,
    "a blackhole": errno.EINVAL,
    "our cover, as another kernel tells it": route(str(SIX), index=0, kind=7),
    "a default route": route("0.0.0.0/0", gateway="192.0.2.1", proto=3),
    "a default route to a link": route("0.0.0.0/0", proto=3),
    "a route to a larger whole": route("10.0.0.0/8", gateway="192.0.2.1", proto=4),
    "a subnet that the prefix is carved out of": route("2001:db8:0:1::/64", proto=2),
    "a pod of another state directory": route("10.80.1.5/32"),
}


@pytest.mark.parametrize("way", HARMLESS.values(), ids=HARMLESS.keys())
def test_discarding_and_wider_routes_take_nothing(way: bytes | int) -> None:
    """A route that discards packets, or one wider than the pods' own, takes nothing."""
    assert {} == taken(way)


def test_route_through_a_tunnel_is_not_a_subnet() -> None:
    """Tunnels have no neighbours; the subnet of an address of the node is one."""
    assert {} == taken(route("0.0.0.0/1", proto=3), TUNNEL)
    assert [WHOLE4] == list(taken(route("10.80.0.0/16", proto=2), TUNNEL))


BESIDE4, BESIDE6 = "ip route get 10.80.0.85", "ip route get 2001:db8:0:1:0:5555:5555:5555"


def around(answers: dict[str, Any], *prefixes: Any) -> dict[str, str]:  # noqa: ANN401 -- networks
    """Return what the subnets around the prefixes take, where nothing else is routed."""
    return {str(r.first): words for r, words in conflicts.around(Routed(answers | BRIDGE), prefixes).items()}


class Routed(Kernel):
    """A kernel that has no route where it is not told of one."""

    def exchange(self, steps: Any) -> Any:  # noqa: ANN401 -- as the kernel's
        """Answer each step."""
        routes: dict[str, int | list[bytes]] = {
            step.what: errno.ENETUNREACH for step in steps if step.what.startswith("ip route get")
        }
        self._answers = routes | self._answers
        return super().exchange(steps)


def test_prefix_inside_an_ipv4_subnet_is_taken() -> None:
    """The discard route hides the subnet, so an address beside the prefix is looked up."""
    found = around({BESIDE4: [route("10.80.0.0/16", proto=2)]}, FOUR)

    assert {"10.80.1.0": "route 10.80.0.0/16 dev br0 proto kernel leads there"} == found
    assert {} == around({BESIDE4: [route("10.0.0.0/8", gateway="192.0.2.1", proto=4)]}, FOUR)
    assert {} == around({}, FOUR, SIX)


@pytest.mark.parametrize("nearer", [errno.EHOSTUNREACH, [route("10.80.0.0/24", gateway="192.0.2.9")]])
def test_subnet_is_found_behind_narrower_routes(nearer: int | list[bytes]) -> None:
    """The neighbouring range may belong to another node, or be one of this node's with its discard route."""
    wide = [route("10.80.0.0/16", proto=2)]

    found = around({BESIDE4: nearer, "ip route get 10.80.0.170": nearer, "ip route get 10.80.3.85": wide}, FOUR)
    assert ["10.80.1.0"] == list(found)


def test_known_hosts_of_an_ipv6_subnet_are_excluded() -> None:
    """Gateways and neighbours inside a prefix that is carved out of the subnet are not handed out."""
    gateways = [route("::/0", gateway="2001:db8:0:1:1::1", proto=77), route("2001:db8::/32", gateway="fe80::a")]
    neighbours = [neighbour("2001:db8:0:1:1::77", "02:00:00:00:00:01"), neighbour("fe80::9", "02:00:00:00:00:02")]
    found = around(
        {
            BESIDE6: [route("2001:db8:0:1::/64", proto=2)],
            "ip -6 route show": gateways,
            "ip neighbour show (index 5)": neighbours,
        },
        SIX,
    )

    assert {
        "2001:db8:0:1:1::1": "2001:db8:0:1:1::1 is the gateway of route default via 2001:db8:0:1:1::1 dev br0 proto 77",
        "2001:db8:0:1:1::77": "2001:db8:0:1:1::77 is a neighbour on br0",
    } == found


def test_pool_routed_elsewhere_is_refused_by_status() -> None:
    """STATUS looks up one address after the other, each outside the range taken before."""
    pool = Pool(IPV4, (ip_network("10.80.1.0/29"),))
    halves: dict[str, Any] = {
        "ip route get 10.80.1.1": [route("10.80.1.0/30", proto=4)],
        "ip route get 10.80.1.4": [route("10.80.1.4/30", proto=4)],
    }
    with pytest.raises(BelongsToAnother, match=r"no address of 10\.80\.1\.0/29.*10\.80\.1\.0/30.*10\.80\.1\.4/30"):
        conflicts.refuse(Routed(halves | BRIDGE), [Pool(IPV6, (SIX,)), pool])

    del halves["ip route get 10.80.1.4"]
    conflicts.refuse(Routed(halves | BRIDGE), [pool])


def test_range_includes_its_edges() -> None:
    """Network and broadcast address belong to the range too."""
    assert Range(ip_address("10.80.1.0"), ip_address("10.80.1.255")) == Range.of(FOUR)
