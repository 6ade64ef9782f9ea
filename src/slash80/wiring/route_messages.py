"""Netlink messages about routes and rules as steps, each with the `ip` command that says the same."""

from __future__ import annotations

from ipaddress import ip_address

from pyroute2.netlink.rtnl import (
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWROUTE,
)
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from slash80.addressing.family import IPV4, IPV6, Address, Family, Prefix, family_of
from slash80.netlink.codec import Step
from slash80.netlink.constants import NLM_F_ACK, NLM_F_DUMP
from slash80.netlink.templates import Attributes, MessageType
from slash80.wiring.plan import RouteSpec
from slash80.wiring.steps import NLM_F_CREATE_EXCL_ACK, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, step

PROTOCOL = 180  # of our routes; unused in iproute2's rt_protos
LOWEST_PRIORITY = 0xFFFF_FFFF
RT_TABLE_UNSPEC, RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL = 0, 253, 254, 255
RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW = 1, 2, 6, 7, 8, 9
DISCARDING = frozenset({RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW})
RTPROT_KERNEL = 2
FR_ACT_TO_TBL, FR_ACT_GOTO = 1, 2
RULES_DISCARDING = {6: "blackhole", 7: "unreachable", 8: "prohibit"}  # of a rule's actions
RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x1000, 0x2000
_BYTE = 255
_LOOPBACK_METRIC = 1024
_OURS = {"table": RT_TABLE_MAIN, "proto": PROTOCOL}
_SOMEWHERE: dict[int, Address] = {4: ip_address("192.88.99.0"), 6: ip_address("2000::")}
_NEW_ROUTE = MessageType(rtmsg, RTM_NEWROUTE, NLM_F_CREATE_EXCL_ACK, "")
_DELETE_ROUTE = MessageType(rtmsg, RTM_DELROUTE, NLM_F_ACK, "")
_GET_ROUTE = MessageType(rtmsg, RTM_GETROUTE, NLM_F_ACK, "")
_DUMP_ROUTES = MessageType(rtmsg, RTM_GETROUTE, NLM_F_DUMP, "")
_DUMP_RULES = MessageType(fibmsg, RTM_GETRULE, NLM_F_DUMP, "")


def add_host_route(name: str, index: int, address: Address) -> Step:
    """Route an address to a host end; EEXIST when another route exists, which NLM_F_REPLACE would overwrite."""
    fields = {"type": RTN_UNICAST, "dst_len": address.max_prefixlen, "family": family_of(address).af}
    fields["scope"] = RT_SCOPE_LINK if address.version == 4 else RT_SCOPE_UNIVERSE  # IPv6 routes have no scope
    attributes: Attributes = [("RTA_DST", address), ("RTA_OIF", index)]
    values = (address, address.max_prefixlen, name, PROTOCOL)
    return step(_NEW_ROUTE, "ip route add %s/%s dev %s proto %s", values, attributes=attributes, **fields, **_OURS)


def add_loopback_route(name: str, index: int) -> Step:
    """Route ::1 to the node itself for packets that come in by a host end: answers by a host port on ::1.

    The kernel looks for ::1 among the routes of the link only that a packet came by (rt6_need_strict). It drops packets
    that were sent to ::1 before they are translated (ip6_rcv_core). What the node sends goes by the route with the
    lowest metric, that of loopback.
    """
    loopback = ip_address("::1")
    fields = {"type": RTN_LOCAL, "dst_len": IPV6.bits, "family": IPV6.af, "table": RT_TABLE_LOCAL, "proto": PROTOCOL}
    attributes: Attributes = [("RTA_DST", loopback), ("RTA_OIF", index), ("RTA_PRIORITY", _LOOPBACK_METRIC)]
    values = (loopback, name, _LOOPBACK_METRIC, PROTOCOL)
    text = "ip route add local %s dev %s table local metric %s proto %s"
    return step(_NEW_ROUTE, text, values, attributes=attributes, **fields)


def add_unreachable(prefix: Prefix) -> Step:
    """Add an unreachable route for a prefix: packets to unassigned addresses must not loop (RFC 7084, WPD-5)."""
    return _cover(_NEW_ROUTE, "add", prefix)


def delete_unreachable(prefix: Prefix) -> Step:
    """Delete that unreachable route."""
    return _cover(_DELETE_ROUTE, "del", prefix)


def _cover(verb: MessageType, word: str, prefix: Prefix) -> Step:
    attributes: Attributes = [*_destination(prefix), ("RTA_PRIORITY", LOWEST_PRIORITY)]
    fields = {"type": RTN_UNREACHABLE, "dst_len": prefix.prefixlen, "family": family_of(prefix).af}
    values = (prefix, LOWEST_PRIORITY, PROTOCOL)
    text = f"ip route {word} unreachable %s metric %s proto %s"
    return step(verb, text, values, attributes=attributes, **fields, **_OURS)


def add_node_route(prefix: Prefix, gateway: Address) -> Step:
    """Route a prefix via another node, which is on a link of this one."""
    return _node_route(_NEW_ROUTE, "add", (prefix, gateway))


def delete_node_route(prefix: Prefix, gateway: Address) -> Step:
    """Delete that route to another node's prefix."""
    return _node_route(_DELETE_ROUTE, "del", (prefix, gateway))


def _node_route(verb: MessageType, word: str, what: tuple[Prefix, Address]) -> Step:
    prefix, gateway = what
    attributes: Attributes = [*_destination(prefix), ("RTA_GATEWAY", gateway)]
    fields = {"type": RTN_UNICAST, "dst_len": prefix.prefixlen, "family": family_of(prefix).af}
    values = (prefix, gateway, PROTOCOL)
    return step(verb, f"ip route {word} %s via %s proto %s", values, attributes=attributes, **fields, **_OURS)


def add_gateway_route(name: str, index: int) -> Step:
    """Route the IPv4 gateway on-link in a pod, so that routes via it need no RTNH_F_ONLINK.

    Programs that replay or move a pod's routes, as `sbr` and Multus do, give no `onlink`. A link-local gateway, as
    fe80::1, needs neither. Each interface has such a route, as those of other plugins may have, and routes to one
    destination must differ in their metric: it is the interface's index.
    """
    fields = {"type": RTN_UNICAST, "dst_len": IPV4.bits, "family": IPV4.af, "scope": RT_SCOPE_LINK}
    attributes: Attributes = [("RTA_DST", IPV4.gateway), ("RTA_OIF", index), ("RTA_PRIORITY", index)]
    text = "ip route add %s dev %s scope link metric %s proto %s"
    return step(_NEW_ROUTE, text, (IPV4.gateway, name, index, PROTOCOL), attributes=attributes, **fields, **_OURS)


def add_pod_route(name: str, index: int, route: RouteSpec) -> Step:
    """Route a destination via the gateway in the pod."""
    gateway = family_of(route.dst).gateway
    attributes: Attributes = [*_destination(route.dst)]
    attributes += [("RTA_OIF", index), ("RTA_GATEWAY", gateway)]
    values: list[object] = [route.dst, gateway, name]
    text = "ip route add %s via %s dev %s"
    if route.priority is not None:
        attributes.append(("RTA_PRIORITY", route.priority))
        text += " metric %s"
        values.append(route.priority)
    metrics: Attributes = [
        (key, value) for key, value in (("RTAX_MTU", route.mtu), ("RTAX_ADVMSS", route.advmss)) if value
    ]
    if metrics:
        attributes.append(("RTA_METRICS", metrics))
        text += "".join(f" {key.removeprefix('RTAX_').lower()} {value}" for key, value in metrics)
    fields = {"type": RTN_UNICAST, "dst_len": route.dst.prefixlen, "family": family_of(route.dst).af}
    return step(_NEW_ROUTE, text + " proto %s", (*values, PROTOCOL), attributes=attributes, **fields, **_OURS)


def somewhere(family: Family) -> Address:
    """Return an address that only a default route leads to: 2000:: is unassigned, 192.88.99.0 no longer (RFC 7526)."""
    return _SOMEWHERE[family.version]


def route_to(address: Address, *, entry: bool = False) -> Step:
    """Ask which way the node takes to an address, or for the `entry` of its tables that decides it.

    Of IPv4 the kernel names the entry's table only when asked to; of IPv6 it does, and refuses to be asked.
    """
    flags = (RTM_F_FIB_MATCH if address.version == 6 else RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE) if entry else 0
    fields = {"family": family_of(address).af, "dst_len": address.max_prefixlen, "flags": flags}
    return step(_GET_ROUTE, "ip route get %s", (address,), attributes=[("RTA_DST", address)], **fields)


def way_out(name: str, index: int, address: Address) -> Step:
    """Ask which way packets of a pod's address take that come in by its host end and go to somewhere."""
    family = family_of(address)
    fields = {"family": family.af, "dst_len": family.bits, "src_len": family.bits}
    attributes: Attributes = [("RTA_DST", somewhere(family)), ("RTA_SRC", address), ("RTA_IIF", index)]
    values = (somewhere(family), address, name)
    return step(_GET_ROUTE, "ip route get %s from %s iif %s", values, attributes=attributes, **fields)


def all_rules(family: Family) -> Step:
    """Ask for the rules by which tables are chosen."""
    return step(_DUMP_RULES, f"ip -{family.version} rule show", (), family=family.af)


def all_routes(family: Family | None, *, index: int = 0, kind: int = 0, table: int = RT_TABLE_MAIN) -> Step:
    """Ask for the routes of a table; of one link if an index is given, of one kind (RTN_*) if that is given."""
    text = f"ip -{family.version} route show" if family else "ip -4 route show; ip -6 route show"
    text += "" if table == RT_TABLE_MAIN else f" table {table or 'all'}"
    attributes: Attributes = [("RTA_TABLE", table)] if table else []
    attributes += [("RTA_OIF", index)] if index else []
    # a table's number may be too large for the header, and then stands in the attribute alone
    fields = {"family": family.af if family else 0, "table": table if table <= _BYTE else 0, "type": kind}
    return step(_DUMP_ROUTES, text, (), attributes=attributes, **fields)


def _destination(network: Prefix) -> Attributes:
    return [("RTA_DST", network.network_address)] if network.prefixlen else []
