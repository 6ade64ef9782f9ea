"""What the kernel has, read from its messages."""

import errno
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_network

import pytest

from slash80.addressing.family import IPV4, IPV6
from slash80.addressing.mac import Mac
from slash80.netlink.codec import Message, NetlinkError
from slash80.wiring import query
from unit.kernels import Kernel
from unit.wiring.plans import PLAN, address, link, neighbour, route

NAME = PLAN.host_ifname


def test_link_is_parsed_with_its_kind() -> None:
    """All fields of a link are read, also the nested kind."""
    found = query.link(Kernel({f"ip link show {NAME}": [link(NAME)]}), NAME)

    assert found is not None
    assert (5, NAME, PLAN.host_mac, 1500) == (found.index, found.name, found.mac, found.mtu)
    assert (21376, PLAN.alias, "veth", True) == (found.group, found.alias, found.kind, found.up)


def test_link_may_lack_mac_and_alias() -> None:
    """A tunnel has no MAC, and most links have no alias."""
    bare = link("tun0", address=None, ifalias=None, group=None, up=0)
    (found,) = query.links(Kernel({"ip link show": [bare]}))

    assert (None, "", 0, False) == (found.mac, found.alias, found.group, found.up)


def test_link_seen_twice_is_returned_once() -> None:
    """The later sight counts, since it may have been renamed between two dumps."""
    (found,) = query.links(
        Kernel({"ip link show": [link(NAME), link("x80aaaaaaaaaaaa", group=21377)]}), allow_interrupted=True
    )

    assert ("x80aaaaaaaaaaaa", 21377) == (found.name, found.group)


@pytest.mark.parametrize(("code", "found"), [(errno.ENODEV, None), (errno.EPERM, NetlinkError)])
def test_missing_link_is_none_and_other_errors_are_raised(code: int, found: type[NetlinkError] | None) -> None:
    """Only ENODEV means that there is no such link."""
    kernel = Kernel({f"ip link show {NAME}": code})
    if found is None:
        assert query.link(kernel, NAME) is None
        return
    with pytest.raises(found):
        query.link(kernel, NAME)


def test_addresses_of_both_families_are_parsed() -> None:
    """Length and scope are read too."""
    rows = [address(ip_address("169.254.1.1"), 32, scope=254), address(ip_address("fe80::1"), 64, scope=253)]
    found = query.addresses(Kernel({"ip address show (index 5)": rows}), 5)

    assert [("169.254.1.1", 32, 254), ("fe80::1", 64, 253)] == [(str(a.address), a.length, a.scope) for a in found]


def test_routes_are_parsed() -> None:
    """Default routes, those through a gateway, discarding ones, and those with a metric are read."""
    rows = [
        route("::/0", gateway="fe80::2", proto=9, priority=1024),
        route("2001:db8::/80", index=0, kind=7),
        route("2001:db8::5/128", metrics={"attrs": [("RTAX_MTU", 1400)]}),
    ]
    default, covered, host = query.routes(Kernel({"ip -6 route show": rows}), IPV6)

    expected = (ip_network("::/0"), ip_address("fe80::2"), 9, 1024)
    assert expected == (default.dst, default.gateway, default.protocol, default.priority)
    assert (0, 7, None) == (covered.index, covered.kind, covered.gateway)
    assert (5, 180, 1400) == (host.index, host.protocol, host.mtu)


def test_missing_main_table_means_no_routes() -> None:
    """A namespace without routes has no main table, which is not an error; any other refusal is."""
    assert [] == query.routes(Kernel({"ip -4 route show": errno.ENOENT}), IPV4)
    with pytest.raises(NetlinkError):
        query.routes(Kernel({"ip -4 route show": errno.EPERM}), IPV4)


def test_neighbours_without_a_mac_are_ignored() -> None:
    """Such entries failed, or are being resolved."""
    rows = [
        neighbour("fe80::1", "02:00:00:00:00:01"),
        neighbour("169.254.1.1", "02:00:00:00:00:01", 2),
        neighbour("fe80::9", ""),
    ]
    found = query.neighbours(Kernel({"ip neighbour show (index 5)": rows}), 5)

    assert [("fe80::1", True), ("169.254.1.1", False)] == [(str(n.address), n.permanent) for n in found]
    assert {Mac(0x020000000001)} == {n.mac for n in found}


@pytest.mark.parametrize("answer", [errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EINVAL])
def test_route_lookup_may_find_no_route(answer: int) -> None:
    """Without a route, or with one that discards packets, the lookup returns None."""
    kernel = Kernel({"ip route get 10.0.0.1": [route("10.0.0.1/32", kind=2, table=255)], "ip route get ::1": answer})
    way, none = query.route_lookups(kernel, [ip_address("10.0.0.1"), ip_address("::1")])

    assert way is not None
    assert (2, 255, None) == (way.kind, way.table, none)


def test_gateway_of_the_other_family_is_parsed() -> None:
    """An IPv4 route may use a router's IPv6 address (RFC 5549)."""
    via = struct.pack("=HH", 22, 18) + struct.pack("=H", 10) + ip_address("fe80::a").packed + bytes(2)
    (found,) = query.routes(Kernel({"ip -4 route show": [route("10.0.0.0/8") + via]}), IPV4)

    assert ip_address("fe80::a") == found.gateway


@pytest.mark.parametrize(("flags", "arp"), [(1, True), (0x81, False)])
def test_link_without_arp_is_recognised(flags: int, arp: bool) -> None:  # noqa: FBT001
    """The kernel sets NOARP on a link that resolves no neighbours."""
    found = query.link_at(Kernel({AT: [link("wg0", up=flags)]}), 5)

    assert (arp, None) == (found and found.arp, query.link_at(Kernel({}), 5))


WAY6, WAY4, AT = "ip route get 2000::", "ip route get 192.88.99.0", "ip link show (index 5)"


@pytest.mark.parametrize(
    ("answers", "mtu"),
    [
        ({WAY6: [route("::/0")], WAY4: [route("0.0.0.0/0", index=6)], AT: [link("eth0", mtu=1450)]}, 1450),
        ({WAY6: errno.ENETUNREACH, WAY4: [route("0.0.0.0/0")], AT: [link("eth0", mtu=1400)]}, 1400),
        ({WAY6: [route("::/0", index=0, kind=7)], WAY4: [route("0.0.0.0/0")], AT: [link("eth0", mtu=1400)]}, 1400),
        ({WAY6: [route("::/0", metrics={"attrs": [("RTAX_MTU", 1300)]})], AT: [link("eth0")]}, 1300),
        ({WAY6: [route("::/0")], AT: [link("lo", mtu=65536)]}, 65535),
        ({WAY6: errno.ENETUNREACH, WAY4: errno.ENETUNREACH}, 1500),
    ],
)
def test_mtu_is_that_of_the_default_route(answers: dict[str, int | list[bytes]], mtu: int) -> None:
    """The IPv6 default route's or its link's, else the IPv4 one's, else 1500; never more than a pair can have."""
    assert mtu == query.uplink_mtu(Kernel(answers))


@pytest.mark.parametrize(("index", "state", "ready"), [(5, 6, True), (5, 2, False), (6, 6, False)])
def test_link_is_ready_once_its_state_is_up(index: int, state: int, ready: bool) -> None:  # noqa: FBT001
    """The kernel tells of it when its queue is activated; before that, and about other links, is not waited for."""
    body = struct.pack("=BxHiII", 0, 1, index, 1, 0) + struct.pack("=HHB3x", 5, 16, state)
    heard: list[bool] = []

    class Announcing(Kernel):
        """Has one thing to tell."""

        @contextmanager
        def subscribed(self, group: int) -> Iterator[None]:
            assert group == query.RTNLGRP_LINK
            yield

        def wait_for_notification(self, wanted: Callable[[Message], bool]) -> None:
            heard.append(wanted(Message(query.RTM_NEWLINK, body)))

    with query.link_ready(Announcing({}), 5):
        assert heard == []

    assert [ready] == heard


def test_ipv4_addresses_are_usable_at_once() -> None:
    """Nothing is subscribed to and nothing waited for, which the kernel would never announce."""
    kernel = Kernel({})
    with query.addresses_ready(kernel, 5, [ip_address("10.80.1.1")]):
        pass

    assert [] == kernel.done
