"""Routes to other nodes: what is added, what is removed, and what is left to others."""

import errno
from ipaddress import ip_address, ip_network

import pytest

from slash80.wiring import node_routes
from slash80.wiring.plan import NodeRoute
from unit.kernels import Kernel
from unit.wiring.plans import route

WANTED = NodeRoute(ip_network("10.80.2.0/24"), ip_address("192.0.2.2"))
ADD, DELETE = (f"ip route {word} 10.80.2.0/24 via 192.0.2.2 proto 180" for word in ("add", "del"))
WAY, NEAR = "ip route get 192.0.2.2", route("192.0.2.0/24", index=2, proto=2)
THERE = route("10.80.2.0/24", index=2, gateway="192.0.2.2")
ROUTES = "ip -4 route show"


def _changed(kernel: Kernel) -> list[str]:
    """Return what was done but questions."""
    return [words for words in kernel.done if " get " not in words]


def test_a_missing_route_is_added() -> None:
    """The command that did it is told."""
    kernel = Kernel({WAY: [NEAR], ADD: 0})

    assert [ADD] == node_routes.reconcile(kernel, [WANTED]).done == _changed(kernel)


def test_a_route_that_the_kernel_refuses_costs_that_route_only() -> None:
    """Another node says where its prefix and address are, and may say nonsense."""
    bad = NodeRoute(ip_network("10.80.3.0/24"), ip_address("192.0.2.3"))
    refused = "ip route add 10.80.3.0/24 via 192.0.2.3 proto 180"
    kernel = Kernel({WAY: [NEAR], "ip route get 192.0.2.3": [NEAR], ADD: 0, refused: errno.EINVAL})
    found = node_routes.reconcile(kernel, [bad, WANTED])

    assert ([ADD], [refused]) == (found.done, [command for command, _ in found.failed])
    assert "Invalid argument" in found.failed[0][1]


def test_a_prefix_of_one_address_is_asked_for_like_any_other() -> None:
    """A node may have registered with an IPv4 /32."""
    kernel = Kernel({"ip route get 192.0.2.9": [route("0.0.0.0/0", index=2, gateway="192.0.2.1")]})
    assert not node_routes.has_route(kernel, ip_network("192.0.2.9/32"))


def test_a_route_that_is_there_is_left_alone() -> None:
    """Nothing is asked of the kernel but what it has."""
    kernel = Kernel({WAY: [NEAR], ROUTES: [THERE]})

    assert ([], []) == (node_routes.reconcile(kernel, [WANTED]).done, _changed(kernel))


@pytest.mark.parametrize("gateway", ["192.0.2.9", "192.0.2.2"])
def test_a_route_of_ours_that_nobody_wants_is_removed(gateway: str) -> None:
    """A node that is gone or has another address leaves none behind."""
    old = f"ip route del 10.80.2.0/24 via {gateway} proto 180"
    kernel = Kernel({ROUTES: [route("10.80.2.0/24", index=2, gateway=gateway)], old: 0})

    assert [old] == node_routes.reconcile(kernel, []).done


@pytest.mark.parametrize(
    "other",
    [
        route("10.80.2.0/24", index=2, gateway="192.0.2.2", proto=4),
        route("10.80.1.1/32"),
        route("10.80.1.0/24", index=0, kind=7),
    ],
)
def test_no_other_route_is_removed(other: bytes) -> None:
    """One of another protocol, a pod's, or a cover stays."""
    kernel = Kernel({ROUTES: [other]})

    assert ([], []) == (node_routes.reconcile(kernel, []).done, _changed(kernel))


@pytest.mark.parametrize(
    "way",
    [
        errno.ENETUNREACH,
        [route("0.0.0.0/0", index=2, gateway="192.0.2.1", proto=3)],
        [route("192.0.2.0/24", index=0, kind=7)],
    ],
)
def test_a_gateway_behind_a_router_gets_no_route(way: int | list[bytes]) -> None:
    """The network between must route to it; an existing route is deleted."""
    kernel = Kernel({WAY: way, ROUTES: [THERE], DELETE: 0})

    assert [DELETE] == node_routes.reconcile(kernel, [WANTED]).done


def test_a_strangers_route_in_the_way_is_told_and_left() -> None:
    """The command that is refused is returned, and the other routes are made all the same."""
    second = NodeRoute(ip_network("10.80.3.0/24"), ip_address("192.0.2.2"))
    add2 = ADD.replace("80.2.0", "80.3.0")
    result = node_routes.reconcile(Kernel({WAY: [NEAR], ADD: errno.EEXIST, add2: 0}), [WANTED, second])

    assert ([add2], [ADD]) == (result.done, result.blocked)


def test_a_route_that_went_by_itself_is_no_fault() -> None:
    """Its link may have gone meanwhile; it is not reported as done either."""
    result = node_routes.reconcile(Kernel({ROUTES: [THERE], DELETE: errno.ESRCH}), [])

    assert ([], []) == (result.done, result.blocked)


@pytest.mark.parametrize(
    ("way", "known"),
    [
        (errno.ENETUNREACH, False),
        ([route("0.0.0.0/0", index=2, gateway="192.0.2.1", proto=3)], False),
        ([route("10.80.0.0/16", index=2, gateway="192.0.2.1", proto=3)], True),
        ([route("10.80.2.0/24", index=0, kind=7, proto=3)], False),
    ],
)
def test_a_way_is_more_than_the_default_route(way: int | list[bytes], known: bool) -> None:  # noqa: FBT001
    """A default route leads everywhere and so says nothing about a prefix, nor does one that discards packets."""
    assert known == node_routes.has_route(Kernel({"ip route get 10.80.2.1": way}), WANTED.dst)
