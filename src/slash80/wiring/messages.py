"""Netlink messages as steps: each with the `ip` command that says the same. pyroute2's message classes encode them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any

from pyroute2.netlink.rtnl import (
    RTM_DELLINK,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETROUTE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from slash80.addressing.family import Address, Family, Network, family_of
from slash80.addressing.mac import Mac
from slash80.netlink import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL, NLM_F_REQUEST, Step
from slash80.wiring.plan import Plan, RouteSpec

GROUP_ALIVE = 21376
PROTOCOL = 180  # of our routes; nobody else's number in iproute2's rt_protos
LOWEST_PRIORITY = 0xFFFF_FFFF
TABLE_MAIN = 254
RTN_UNICAST, RTN_LOCAL, RTN_UNREACHABLE = 1, 2, 7
_NODAD = 0x02
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_ONLINK = 4
_FIB_MATCH = 0x2000
_PERMANENT = 0x80
_IFF_UP = 1
_MAKE = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
Attributes = Sequence[tuple[str, Any]]


@dataclass(frozen=True, slots=True)
class _Verb:
    """What is asked of the kernel: the message's type, pyroute2's class for it, and the flags."""

    kind: int
    message: Any
    flags: int


_NEW_LINK = _Verb(RTM_NEWLINK, ifinfmsg, _MAKE | NLM_F_ECHO)
_SET_LINK = _Verb(RTM_NEWLINK, ifinfmsg, NLM_F_ACK)
_DELETE_LINK = _Verb(RTM_DELLINK, ifinfmsg, NLM_F_ACK)
_GET_LINK = _Verb(RTM_GETLINK, ifinfmsg, NLM_F_ACK)
_DUMP_LINKS = _Verb(RTM_GETLINK, ifinfmsg, NLM_F_DUMP)
_NEW_ADDRESS = _Verb(RTM_NEWADDR, ifaddrmsg, _MAKE)
_DUMP_ADDRESSES = _Verb(RTM_GETADDR, ifaddrmsg, NLM_F_DUMP)
_NEW_ROUTE = _Verb(RTM_NEWROUTE, rtmsg, _MAKE)
_GET_ROUTE = _Verb(RTM_GETROUTE, rtmsg, NLM_F_ACK)
_DUMP_ROUTES = _Verb(RTM_GETROUTE, rtmsg, NLM_F_DUMP)
_NEW_NEIGHBOUR = _Verb(RTM_NEWNEIGH, ndmsg, _MAKE)
_DUMP_NEIGHBOURS = _Verb(RTM_GETNEIGH, ndmsg, NLM_F_DUMP)


def create_pair(plan: Plan, netns_fd: int, *, index: int = 0) -> Step:
    """Make both ends at once, each in its final namespace with its final name, MAC and MTU.

    Moving an end afterwards costs ten times as much when many are made at once, and udev leaves a MAC alone that was
    given at creation. ECHO gives the host end's index back (Linux 6.2); without `index` the kernel chooses it.
    """
    peer = {
        "attrs": [
            ("IFLA_IFNAME", plan.ifname),
            ("IFLA_ADDRESS", str(plan.mac)),
            ("IFLA_MTU", plan.mtu),
            ("IFLA_NET_NS_FD", netns_fd),
        ]
    }
    attrs = [
        ("IFLA_IFNAME", plan.host_ifname),
        ("IFLA_ADDRESS", str(plan.host_mac)),
        ("IFLA_MTU", plan.mtu),
        ("IFLA_GROUP", GROUP_ALIVE),
        (
            "IFLA_LINKINFO",
            {
                "attrs": [
                    ("IFLA_INFO_KIND", "veth"),
                    ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]}),
                ]
            },
        ),
    ]
    what = (
        f"ip link add {plan.host_ifname} address {plan.host_mac} mtu {plan.mtu} group {GROUP_ALIVE} type veth "
        f"peer name {plan.ifname} address {plan.mac} mtu {plan.mtu} netns {plan.netns}"
    )
    return _step(what, _NEW_LINK, attrs, index=index)


def set_alias(name: str, index: int, alias: str) -> Step:
    """Write a link's alias; the kernel ignores one given at creation."""
    return _step(f"ip link set {name} alias '{alias}'", _SET_LINK, [("IFLA_IFALIAS", alias)], index=index)


def set_up(name: str, index: int) -> Step:
    """Switch a link on."""
    return _step(f"ip link set {name} up", _SET_LINK, index=index, flags=_IFF_UP, change=_IFF_UP)


def delete_link(name: str, index: int) -> Step:
    """Delete a link, and with it its peer, addresses, routes and neighbours."""
    return _step(f"ip link del {name}", _DELETE_LINK, index=index)


def get_link(name: str) -> Step:
    """Ask for one link by name."""
    attrs = [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", _SKIP_STATISTICS)]
    return _step(f"ip link show {name}", _GET_LINK, attrs)


def get_link_at(index: int) -> Step:
    """Ask for one link by index."""
    attrs = [("IFLA_EXT_MASK", _SKIP_STATISTICS)]
    return _step(f"ip link show (index {index})", _GET_LINK, attrs, index=index)


def all_links() -> Step:
    """Ask for all links."""
    return _step("ip link show", _DUMP_LINKS, [("IFLA_EXT_MASK", _SKIP_STATISTICS)])


def add_gateway(name: str, index: int, family: Family) -> Step:
    """Give a host end the gateway address that pods know.

    IPv4 with scope host, or the node would reach pods from it instead of from its own address. IPv6 without duplicate
    address detection and before the link goes up: it is then the source of the node's solicitations from the first
    packet on, while the automatic link-local is still tentative.
    """
    text = "scope host" if family.version == 4 else "nodad"
    scope = gateway_scope(family)
    return _address(name, index, family.gateway, length=family.gateway_length, scope=scope, text=text)


def gateway_scope(family: Family) -> int:
    """Give the scope of a gateway address on the host end."""
    return _SCOPE_HOST if family.version == 4 else _SCOPE_LINK


def add_address(name: str, index: int, address: Address) -> Step:
    """Give a pod's interface its /32 or /128, usable at once."""
    text = "" if address.version == 4 else "nodad"
    return _address(name, index, address, length=address.max_prefixlen, scope=_SCOPE_UNIVERSE, text=text)


def addresses(index: int) -> Step:
    """Ask for the addresses of a link."""
    return _step(f"ip address show (index {index})", _DUMP_ADDRESSES, index=index)


def add_host_route(name: str, index: int, address: Address) -> Step:
    """Lead an address to a host end; EEXIST when it leads elsewhere already, where REPLACE would take it from there."""
    text = f"{address}/{address.max_prefixlen} dev {name}"
    scope = _SCOPE_LINK if address.version == 4 else _SCOPE_UNIVERSE  # IPv6 routes have no scope
    return _route(text, ip_network(address), [("RTA_OIF", index)], type=RTN_UNICAST, scope=scope)


def add_unreachable(prefix: Network) -> Step:
    """Refuse what no pod has, or packets to it loop with the router and fill its neighbour table (RFC 7084, WPD-5)."""
    text = f"unreachable {prefix} metric {LOWEST_PRIORITY}"
    return _route(text, prefix, [("RTA_PRIORITY", LOWEST_PRIORITY)], type=RTN_UNREACHABLE)


def add_pod_route(name: str, index: int, route: RouteSpec) -> Step:
    """Lead a destination from the pod to the gateway, which is on the link whatever the pod's addresses say."""
    gateway = family_of(route.dst).gateway
    attrs: list[tuple[str, Any]] = [("RTA_OIF", index), ("RTA_GATEWAY", str(gateway))]
    text = f"{route.dst} via {gateway} dev {name} onlink"
    if route.priority is not None:
        attrs.append(("RTA_PRIORITY", route.priority))
        text += f" metric {route.priority}"
    if metrics := [(key, value) for key, value in (("RTAX_MTU", route.mtu), ("RTAX_ADVMSS", route.advmss)) if value]:
        attrs.append(("RTA_METRICS", {"attrs": metrics}))
        text += "".join(f" {key.removeprefix('RTAX_').lower()} {value}" for key, value in metrics)
    return _route(text, route.dst, attrs, type=RTN_UNICAST, flags=_ONLINK)


def route_to(address: Address, *, entry: bool = False) -> Step:
    """Ask which way the node takes to an address, or for the `entry` of its tables that decides it."""
    attrs = [("RTA_DST", str(address))]
    fields = {"family": family_of(address).af, "dst_len": address.max_prefixlen, "flags": _FIB_MATCH if entry else 0}
    return _step(f"ip route get {address}", _GET_ROUTE, attrs, **fields)


def all_routes(family: Family, *, index: int = 0, kind: int = 0) -> Step:
    """Ask for the routes of the main table; of one link if an index is given, of one kind (RTN_*) if that is given."""
    attrs = [("RTA_TABLE", TABLE_MAIN), *([("RTA_OIF", index)] if index else [])]
    fields = {"family": family.af, "table": TABLE_MAIN, "type": kind}
    return _step(f"ip -{family.version} route show", _DUMP_ROUTES, attrs, **fields)


def add_neighbour(name: str, index: int, *, gateway: Address, mac: Mac) -> Step:
    """Tell a pod its gateway's MAC for good: no question goes out, and no answer can be forged."""
    what = f"ip neighbour add {gateway} dev {name} lladdr {mac} nud permanent"
    attrs = [("NDA_DST", str(gateway)), ("NDA_LLADDR", str(mac))]
    fields = {"family": family_of(gateway).af, "ifindex": index, "state": _PERMANENT}
    return _step(what, _NEW_NEIGHBOUR, attrs, **fields)


def neighbours(index: int) -> Step:
    """Ask for the neighbours of a link."""
    attrs = [("NDA_IFINDEX", index)]
    return _step(f"ip neighbour show (index {index})", _DUMP_NEIGHBOURS, attrs)


def _address(name: str, index: int, address: Address, *, length: int, scope: int, text: str) -> Step:
    local = [("IFA_LOCAL", str(address))] if address.version == 4 else []
    attrs = [("IFA_ADDRESS", str(address)), *local]
    what = f"ip address add {address}/{length} dev {name} {text}".rstrip()
    fields = {"family": family_of(address).af, "prefixlen": length, "scope": scope, "index": index}
    return _step(what, _NEW_ADDRESS, attrs, flags=_NODAD if address.version == 6 else 0, **fields)


def _route(text: str, dst: Network, attrs: Attributes, /, **fields: int) -> Step:
    start = [("RTA_DST", str(dst.network_address))] if dst.prefixlen else []
    fields |= {"family": family_of(dst).af, "dst_len": dst.prefixlen, "table": TABLE_MAIN, "proto": PROTOCOL}
    return _step(f"ip route add {text} proto {PROTOCOL}", _NEW_ROUTE, [*start, *attrs], **fields)


def _step(what: str, verb: _Verb, attrs: Attributes = (), /, **fields: int) -> Step:
    message = verb.message()
    message["header"]["type"] = verb.kind
    message["header"]["flags"] = verb.flags | NLM_F_REQUEST
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attrs)
    message.encode()
    return Step(what, bytes(message.data))
