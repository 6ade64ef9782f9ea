"""IPv6 routes with several links, as the firewall has to know them."""

from ipaddress import ip_network

import pytest
from pytest_mock import MockerFixture

from slash80.wiring import return_paths
from slash80.wiring.query import Link, Route
from unit.kernels import Kernel

NAMES = {2: "eth0", 3: "eth1", 4: "bond0.7", 5: 'odd"name'}


def _route(dst: str, *links: int, table: int = 254, metric: int = 1024) -> Route:
    return Route(ip_network(dst), links[0], None, 3, 1, metric, 0, table=table, links=links)


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        ([_route("::/0", 2), _route("2001:db8::/32", 3)], set()),
        ([_route("::/0", 2, 3)], {("eth0", "eth1"), ("eth1", "eth0")}),
        ([_route("::/0", 2), _route("::/0", 4)], {("eth0", "bond0.7"), ("bond0.7", "eth0")}),
        ([_route("::/0", 2), _route("::/0", 3, metric=2048)], set()),
        ([_route("::/0", 2), _route("::/0", 3, table=100)], set()),
        ([_route("::/0", 2, 3, table=100)], {("eth0", "eth1"), ("eth1", "eth0")}),
        ([_route("fe80::/64", 2), _route("fe80::/64", 3)], set()),
        ([_route("::/0", 2, 5)], set()),
        ([_route("0.0.0.0/0", 2, 3)], set()),
        ([_route("::/0", 2, 9)], set()),
    ],
)
def test_links_that_share_a_route_are_paired(
    mocker: MockerFixture, routes: list[Route], expected: set[tuple[str, str]]
) -> None:
    """In whatever table; not those of different metrics, and none whose name would mean something else in a rule."""
    mocker.patch("slash80.wiring.query.foreign_routes", return_value=routes)
    links = {
        index: Link(index=index, peer=0, name=name, mac=None, mtu=1500, group=0, alias="", kind="", up=True)
        for index, name in NAMES.items()
    }
    mocker.patch("slash80.wiring.query.link_at", side_effect=lambda _, index: links.get(index))

    assert expected == return_paths.multipath(Kernel({}))
