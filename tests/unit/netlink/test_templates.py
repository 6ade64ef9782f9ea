"""Patched messages: byte for byte what pyroute2 makes of the same values."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_network
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import FAMILIES, family_of
from slash80.addressing.mac import Mac
from slash80.netlink import templates
from slash80.netlink.codec import Step
from slash80.netlink.templates import Attributes, MessageType
from slash80.wiring import address_messages, link_messages, route_messages, steps
from slash80.wiring.plan import Plan, RouteSpec
from unit.wiring.plans import PLAN

WORDS = st.integers(0, 2**31 - 1)
INDEXES = st.integers(1, 2**31 - 1)
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=15)
MACS = st.integers(0, 2**48 - 1).map(Mac)
ADDRESSES = st.one_of(
    st.builds(IPv4Address, st.integers(0, 2**32 - 1)), st.builds(IPv6Address, st.integers(0, 2**128 - 1))
)
NETWORKS = ADDRESSES.flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda length: ip_network((address, length), strict=False)
    )
)
NUMBERS = st.one_of(st.none(), st.integers(1, 2**32 - 1))
ROUTES = st.builds(RouteSpec, NETWORKS, NUMBERS, NUMBERS, NUMBERS)
FAMILY = st.sampled_from(FAMILIES)
PLANS = st.builds(
    lambda names, macs, mtu: replace(
        PLAN, host_ifname=names[0], ifname=names[1], host_mac=macs[0], mac=macs[1], mtu=mtu
    ),
    st.tuples(NAMES, NAMES),
    st.tuples(MACS, MACS),
    WORDS,
)


class Plain:
    """Stands in for the templates: pyroute2 encodes every message."""

    def fill(
        self, form: str, verb: MessageType, index: int, *, attributes: Attributes, fields: Mapping[str, int]
    ) -> bytes:
        """Encode."""
        assert form
        return templates.encode(verb, index, attributes=attributes, fields=fields)


def same(make: Callable[[], Step]) -> None:
    """Check that a message has the same bytes patched for the first time, patched later, and encoded."""
    patched = [make().message for _ in range(2)]
    with patch.object(steps, "_TEMPLATES", Plain()):
        encoded = make().message

    assert [encoded, encoded] == patched


@given(PLANS, WORDS, WORDS)
def test_patched_pair_message_equals_pyroute2(plan: Plan, netns_fd: int, index: int) -> None:
    """Both ends are encoded as pyroute2 does, with any names."""
    same(lambda: link_messages.create_pair(plan, netns_fd, index=index))


@given(NAMES, NAMES, INDEXES, st.text(st.characters(codec="ascii", exclude_characters="\0"), min_size=1, max_size=255))
def test_patched_link_messages_equal_pyroute2(name: str, new: str, index: int, alias: str) -> None:
    """All changes and requests of links are encoded as pyroute2 does."""
    same(lambda: link_messages.set_alias(name, index, alias))
    same(lambda: link_messages.rename_without_ipv6(name, index, new=new))
    same(lambda: link_messages.move_to_dying_group(name, index, new=new))
    for make in (link_messages.set_up, link_messages.set_down, link_messages.delete_link):
        same(lambda make=make: make(name, index))  # type: ignore[misc]
    for families in (FAMILIES, FAMILIES[:1], FAMILIES[1:]):
        same(lambda families=families: link_messages.configure_host_end(name, index, families))  # type: ignore[misc]
        same(lambda families=families: link_messages.set_up_pod_end(name, index, families))  # type: ignore[misc]
    same(lambda: link_messages.delete_group(index))
    same(lambda: link_messages.get_link(name))
    same(lambda: link_messages.get_link_at(index))
    same(link_messages.all_links)
    same(lambda: link_messages.get_netns_id(index))


@given(NAMES, INDEXES, ADDRESSES, MACS)
def test_patched_address_and_neighbour_messages_equal_pyroute2(
    name: str, index: int, address: IPv4Address | IPv6Address, mac: Mac
) -> None:
    """Both families are encoded as pyroute2 does."""
    same(lambda: address_messages.add_gateway(name, index, family_of(address)))
    same(lambda: address_messages.add_address(name, index, address))
    same(lambda: address_messages.delete_ipv4(name, index))
    same(lambda: address_messages.addresses(index))
    same(lambda: address_messages.add_neighbour(name, index, gateway=address, mac=mac))
    same(lambda: address_messages.neighbours(index))


@given(NAMES, INDEXES, ADDRESSES, ROUTES)
def test_patched_route_messages_equal_pyroute2(
    name: str, index: int, address: IPv4Address | IPv6Address, route: RouteSpec
) -> None:
    """Routes of both families with every attribute are encoded as pyroute2 does."""
    same(lambda: route_messages.add_host_route(name, index, address))
    same(lambda: route_messages.add_unreachable(route.dst))
    same(lambda: route_messages.add_gateway_route(name, index))
    same(lambda: route_messages.add_pod_route(name, index, route))
    same(lambda: route_messages.route_to(address))
    same(lambda: route_messages.route_to(address, entry=True))
    for table in (route_messages.RT_TABLE_MAIN, route_messages.RT_TABLE_UNSPEC):
        same(lambda table=table: route_messages.all_routes(family_of(address), index=index, kind=7, table=table))  # type: ignore[misc]
