"""Netlink messages as steps: each with the `ip` command that says the same. pyroute2's message classes encode them."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address

from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_DELLINK,
    RTM_DELROUTE,
    RTM_GETADDR,
    RTM_GETLINK,
    RTM_GETNEIGH,
    RTM_GETNSID,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWADDR,
    RTM_NEWLINK,
    RTM_NEWNEIGH,
    RTM_NEWROUTE,
)
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from slash80.addressing.family import IPV4, IPV6, Address, Family, Prefix, family_of
from slash80.addressing.mac import Mac
from slash80.netlink.codec import Step
from slash80.netlink.constants import NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL
from slash80.netlink.templates import Attributes, MessageType, Templates
from slash80.wiring.link_message import linkmsg
from slash80.wiring.plan import Plan, RouteSpec

GROUP_ALIVE, GROUP_DYING = 21376, 21377
PROTOCOL = 180  # of our routes; unused in iproute2's rt_protos
LOWEST_PRIORITY = 0xFFFF_FFFF
RT_TABLE_UNSPEC, RT_TABLE_DEFAULT, RT_TABLE_MAIN, RT_TABLE_LOCAL = 0, 253, 254, 255
RTN_UNICAST, RTN_LOCAL, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW = 1, 2, 6, 7, 8, 9
DISCARDING = frozenset({RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW})
RTPROT_KERNEL = 2
FR_ACT_TO_TBL, FR_ACT_GOTO = 1, 2
RULES_DISCARDING = {6: "blackhole", 7: "unreachable", 8: "prohibit"}  # of a rule's actions
IFA_F_NODAD = 0x02
RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST = 0, 253, 254
RTM_F_LOOKUP_TABLE, RTM_F_FIB_MATCH = 0x1000, 0x2000
NUD_PERMANENT = 0x80
IFF_UP = 1
IN6_ADDR_GEN_MODE_NONE = 1
_ARP_IGNORE_NOTHING = 9
_BYTE = 255
_TOO_SMALL_FOR_IPV6 = 1279  # RFC 8200, section 5
NLM_F_CREATE_EXCL_ACK = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK
RTEXT_FILTER_SKIP_STATS = 8  # or the kernel adds up the counters of every CPU for each link (rtnl_fill_stats)
_ONE_QUEUE: Attributes = [("IFLA_NUM_TX_QUEUES", 1), ("IFLA_NUM_RX_QUEUES", 1)]
_OURS = {"table": RT_TABLE_MAIN, "proto": PROTOCOL}
_SOMEWHERE: dict[int, Address] = {4: ip_address("192.88.99.0"), 6: ip_address("2000::")}
_TEMPLATES = Templates()

_NEW_LINK = MessageType(linkmsg, RTM_NEWLINK, NLM_F_CREATE_EXCL_ACK | NLM_F_ECHO)
_SET_LINK = MessageType(linkmsg, RTM_NEWLINK, NLM_F_ACK)
_DELETE_LINK = MessageType(linkmsg, RTM_DELLINK, NLM_F_ACK)
_GET_LINK = MessageType(linkmsg, RTM_GETLINK, NLM_F_ACK)
_GET_NETNS_ID = MessageType(nsidmsg, RTM_GETNSID, NLM_F_ACK, "")
_DUMP_LINKS = MessageType(linkmsg, RTM_GETLINK, NLM_F_DUMP)
_NEW_ADDRESS = MessageType(ifaddrmsg, RTM_NEWADDR, NLM_F_CREATE_EXCL_ACK)
_DELETE_ADDRESS = MessageType(ifaddrmsg, RTM_DELADDR, NLM_F_ACK)
_DUMP_ADDRESSES = MessageType(ifaddrmsg, RTM_GETADDR, NLM_F_DUMP)
_NEW_ROUTE = MessageType(rtmsg, RTM_NEWROUTE, NLM_F_CREATE_EXCL_ACK, "")
_DELETE_ROUTE = MessageType(rtmsg, RTM_DELROUTE, NLM_F_ACK, "")
_GET_ROUTE = MessageType(rtmsg, RTM_GETROUTE, NLM_F_ACK, "")
_DUMP_ROUTES = MessageType(rtmsg, RTM_GETROUTE, NLM_F_DUMP, "")
_DUMP_RULES = MessageType(fibmsg, RTM_GETRULE, NLM_F_DUMP, "")
_NEW_NEIGHBOUR = MessageType(ndmsg, RTM_NEWNEIGH, NLM_F_CREATE_EXCL_ACK, "ifindex")
_DUMP_NEIGHBOURS = MessageType(ndmsg, RTM_GETNEIGH, NLM_F_DUMP, "ifindex")


def create_pair(plan: Plan, netns_fd: int, *, index: int = 0) -> Step:
    """Make both ends at once, each in its final namespace with its final name, MAC and MTU.

    Moving an end afterwards costs ten times as much when many are made at once, and udev leaves a MAC alone that was
    given at creation. ECHO gives the host end's index back (Linux 6.2); without `index` the kernel chooses it.

    Without the number of queues the kernel makes as many as there are CPUs, takes all but one out of use again, and
    waits for RCU at each end while no other process can change a link (veth_init_queues in drivers/net/veth.c).
    """
    peer: Attributes = [
        *_ONE_QUEUE,
        ("IFLA_IFNAME", plan.ifname),
        ("IFLA_ADDRESS", plan.mac),
        ("IFLA_MTU", plan.mtu),
        ("IFLA_NET_NS_FD", netns_fd),
    ]
    attributes: Attributes = [
        *_ONE_QUEUE,
        ("IFLA_IFNAME", plan.host_ifname),
        ("IFLA_ADDRESS", plan.host_mac),
        ("IFLA_MTU", plan.mtu),
        ("IFLA_GROUP", GROUP_ALIVE),
        ("IFLA_LINKINFO", [("IFLA_INFO_KIND", "veth"), ("IFLA_INFO_DATA", [("VETH_INFO_PEER", peer)])]),
    ]
    text = (
        "ip link add %s address %s mtu %s group %s numtxqueues 1 numrxqueues 1 "
        "type veth peer name %s address %s mtu %s numtxqueues 1 numrxqueues 1 netns %s"
    )
    ours, theirs = (plan.host_ifname, plan.host_mac, plan.mtu, GROUP_ALIVE), (plan.ifname, plan.mac, plan.mtu)
    return _step(_NEW_LINK, text, (*ours, *theirs, plan.netns), attributes=attributes, index=index)


def set_alias(name: str, index: int, alias: str) -> Step:
    """Write a link's alias; the kernel ignores one given at creation."""
    return _step(
        _SET_LINK, "ip link set %s alias '%s'", (name, alias), attributes=[("IFLA_IFALIAS", alias)], index=index
    )


def set_up(name: str, index: int) -> Step:
    """Switch a link on."""
    return _step(_SET_LINK, "ip link set %s up", (name,), index=index, flags=IFF_UP, change=IFF_UP)


def set_up_pod_end(name: str, index: int, families: Sequence[Family]) -> Step:
    """Switch a pod's interface on, which answers who asks for its IPv4 address whatever `arp_ignore` is in the pod.

    A new namespace inherits `all` and `default` of the machine, and with 2 or 8 would not reply to anyone, since the
    address has no subnet. The kernel takes the larger of `all` and the link's own, and any number above 8 for 0
    (arp_ignore in net/ipv4/arp.c).
    """
    if IPV4 not in families:
        return set_up(name, index)
    values = (name, name, _ARP_IGNORE_NOTHING)
    attributes: Attributes = [("IFLA_AF_SPEC", [_ipv4_setting("ARP_IGNORE", _ARP_IGNORE_NOTHING)])]
    text = "ip link set %s up; sysctl -w net/ipv4/conf/%s/arp_ignore=%s"
    return _step(_SET_LINK, text, values, attributes=attributes, index=index, flags=IFF_UP, change=IFF_UP)


def configure_host_end(name: str, index: int, families: Sequence[Family]) -> Step:
    """Have a link forward IPv4 though new links should not, and make itself no IPv6 link-local address as it goes up.

    `net.ipv4.conf.default.forwarding` may be 0 where the node forwards.
    """
    settings: Attributes = []
    commands = []
    if IPV6 in families:
        settings.append(("AF_INET6", [("IFLA_INET6_ADDR_GEN_MODE", IN6_ADDR_GEN_MODE_NONE)]))
        commands.append("ip link set %s addrgenmode none")
    if IPV4 in families:
        settings.append(_ipv4_setting("FORWARDING", 1))
        commands.append("sysctl -w net/ipv4/conf/%s/forwarding=1")
    text, values = "; ".join(commands), (name,) * len(commands)
    return _step(_SET_LINK, text, values, attributes=[("IFLA_AF_SPEC", settings)], index=index)


def _ipv4_setting(name: str, value: int) -> tuple[str, Attributes]:
    return ("AF_INET", [("IFLA_INET_CONF", [(f"IPV4_DEVCONF_{name}", value)])])


def set_down(name: str, index: int) -> Step:
    """Switch a link off, which takes its routes away, and its IPv6 addresses unless it keeps them."""
    return _step(_SET_LINK, "ip link set %s down", (name,), index=index, flags=0, change=IFF_UP)


def rename_without_ipv6(name: str, index: int, *, new: str) -> Step:
    """Rename a link that is down, and remove the IPv6 addresses that it keeps while it is down.

    Only links that are down can be renamed before Linux 6.2. A link whose MTU is too small for IPv6 loses all that it
    has of it (addrconf_notify in net/ipv6/addrconf.c), so they need not be listed first.
    """
    attributes: Attributes = [("IFLA_IFNAME", new), ("IFLA_MTU", _TOO_SMALL_FOR_IPV6)]
    values = (name, new, _TOO_SMALL_FOR_IPV6)
    return _step(_SET_LINK, "ip link set %s name %s mtu %s", values, attributes=attributes, index=index)


def move_to_dying_group(name: str, index: int, *, new: str) -> Step:
    """Move a host end to the group of dying links, and rename it accordingly."""
    attributes: Attributes = [("IFLA_IFNAME", new), ("IFLA_GROUP", GROUP_DYING)]
    return _step(
        _SET_LINK, "ip link set %s name %s group %s", (name, new, GROUP_DYING), attributes=attributes, index=index
    )


def delete_link(name: str, index: int) -> Step:
    """Delete a link, and with it its peer, addresses, routes and neighbours."""
    return _step(_DELETE_LINK, "ip link del %s", (name,), index=index)


def delete_group(group: int) -> Step:
    """Delete all links of a group in one go: the waiting for RCU is the same for a hundred as for one."""
    return _step(_DELETE_LINK, "ip link del group %s", (group,), attributes=[("IFLA_GROUP", group)])


def get_link(name: str) -> Step:
    """Ask for one link by name."""
    attributes: Attributes = [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return _step(_GET_LINK, "ip link show %s", (name,), attributes=attributes)


def get_link_at(index: int) -> Step:
    """Ask for one link by index."""
    attributes: Attributes = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return _step(_GET_LINK, "ip link show (index %s)", (index,), attributes=attributes, index=index)


def all_links() -> Step:
    """Ask for all links."""
    return _step(_DUMP_LINKS, "ip link show", (), attributes=[("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)])


def get_netns_id(netns_fd: int) -> Step:
    """Ask for the number that this namespace has for another one, by which links name it; -1 if it has none."""
    return _step(_GET_NETNS_ID, "ip netns list-id", (), attributes=[("NETNSA_FD", netns_fd)])


def add_gateway(name: str, index: int, family: Family) -> Step:
    """Add the gateway's address to a host end.

    IPv4 with scope host, or the node would reach pods from it instead of from its own address. IPv6 without duplicate
    address detection and before the link goes up: it is then the source of the node's solicitations from the first
    packet on, while the automatic link-local is still tentative.
    """
    text = "ip address add %s/%s dev %s " + ("scope host" if family.version == 4 else "nodad")
    scope, length = gateway_scope(family), family.gateway_length
    return _address(_NEW_ADDRESS, text, (name, family.gateway), index=index, prefixlen=length, scope=scope)


def gateway_scope(family: Family) -> int:
    """Return the scope of a gateway address on the host end."""
    return RT_SCOPE_HOST if family.version == 4 else RT_SCOPE_LINK


def add_address(name: str, index: int, address: Address) -> Step:
    """Add a pod's /32 or /128 to its interface, usable at once."""
    text = "ip address add %s/%s dev %s" + ("" if address.version == 4 else " nodad")
    fields = {"prefixlen": address.max_prefixlen, "scope": RT_SCOPE_UNIVERSE}
    return _address(_NEW_ADDRESS, text, (name, address), index=index, **fields)


def delete_ipv4(name: str, index: int) -> Step:
    """Take a link's first IPv4 address, whatever that is; EADDRNOTAVAIL when it has none."""
    return _step(_DELETE_ADDRESS, "ip -4 address flush dev %s", (name,), index=index, family=IPV4.af)


def addresses(index: int) -> Step:
    """Ask for the addresses of a link."""
    return _step(_DUMP_ADDRESSES, "ip address show (index %s)", (index,), index=index)


def add_host_route(name: str, index: int, address: Address) -> Step:
    """Route an address to a host end; EEXIST when another route exists, which NLM_F_REPLACE would overwrite."""
    fields = {"type": RTN_UNICAST, "dst_len": address.max_prefixlen, "family": family_of(address).af}
    fields["scope"] = RT_SCOPE_LINK if address.version == 4 else RT_SCOPE_UNIVERSE  # IPv6 routes have no scope
    attributes: Attributes = [("RTA_DST", address), ("RTA_OIF", index)]
    values = (address, address.max_prefixlen, name, PROTOCOL)
    return _step(_NEW_ROUTE, "ip route add %s/%s dev %s proto %s", values, attributes=attributes, **fields, **_OURS)


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
    return _step(verb, text, values, attributes=attributes, **fields, **_OURS)


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
    return _step(verb, f"ip route {word} %s via %s proto %s", values, attributes=attributes, **fields, **_OURS)


def add_gateway_route(name: str, index: int) -> Step:
    """Route the IPv4 gateway on-link in a pod, so that routes via it need no RTNH_F_ONLINK.

    Programs that replay or move a pod's routes, as `sbr` and Multus do, give no `onlink`. A link-local gateway, as
    fe80::1, needs neither. Each interface has such a route, as those of other plugins may have, and routes to one
    destination must differ in their metric: it is the interface's index.
    """
    fields = {"type": RTN_UNICAST, "dst_len": IPV4.bits, "family": IPV4.af, "scope": RT_SCOPE_LINK}
    attributes: Attributes = [("RTA_DST", IPV4.gateway), ("RTA_OIF", index), ("RTA_PRIORITY", index)]
    text = "ip route add %s dev %s scope link metric %s proto %s"
    return _step(_NEW_ROUTE, text, (IPV4.gateway, name, index, PROTOCOL), attributes=attributes, **fields, **_OURS)


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
    return _step(_NEW_ROUTE, text + " proto %s", (*values, PROTOCOL), attributes=attributes, **fields, **_OURS)


def somewhere(family: Family) -> Address:
    """Return an address that only a default route leads to: 2000:: is unassigned, 192.88.99.0 no longer (RFC 7526)."""
    return _SOMEWHERE[family.version]


def route_to(address: Address, *, entry: bool = False) -> Step:
    """Ask which way the node takes to an address, or for the `entry` of its tables that decides it.

    Of IPv4 the kernel names the entry's table only when asked to; of IPv6 it does, and refuses to be asked.
    """
    flags = (RTM_F_FIB_MATCH if address.version == 6 else RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE) if entry else 0
    fields = {"family": family_of(address).af, "dst_len": address.max_prefixlen, "flags": flags}
    return _step(_GET_ROUTE, "ip route get %s", (address,), attributes=[("RTA_DST", address)], **fields)


def way_out(name: str, index: int, address: Address) -> Step:
    """Ask which way packets of a pod's address take that come in by its host end and go to somewhere."""
    family = family_of(address)
    fields = {"family": family.af, "dst_len": family.bits, "src_len": family.bits}
    attributes: Attributes = [("RTA_DST", somewhere(family)), ("RTA_SRC", address), ("RTA_IIF", index)]
    values = (somewhere(family), address, name)
    return _step(_GET_ROUTE, "ip route get %s from %s iif %s", values, attributes=attributes, **fields)


def all_rules(family: Family) -> Step:
    """Ask for the rules by which tables are chosen."""
    return _step(_DUMP_RULES, f"ip -{family.version} rule show", (), family=family.af)


def all_routes(family: Family | None, *, index: int = 0, kind: int = 0, table: int = RT_TABLE_MAIN) -> Step:
    """Ask for the routes of a table; of one link if an index is given, of one kind (RTN_*) if that is given."""
    text = f"ip -{family.version} route show" if family else "ip -4 route show; ip -6 route show"
    text += "" if table == RT_TABLE_MAIN else f" table {table or 'all'}"
    attributes: Attributes = [("RTA_TABLE", table)] if table else []
    attributes += [("RTA_OIF", index)] if index else []
    # a table's number may be too large for the header, and then stands in the attribute alone
    fields = {"family": family.af if family else 0, "table": table if table <= _BYTE else 0, "type": kind}
    return _step(_DUMP_ROUTES, text, (), attributes=attributes, **fields)


def add_neighbour(name: str, index: int, *, gateway: Address, mac: Mac) -> Step:
    """Add a permanent neighbour for the gateway in the pod: no solicitation is sent, so no reply can be forged."""
    attributes: Attributes = [("NDA_DST", gateway), ("NDA_LLADDR", mac)]
    fields = {"family": family_of(gateway).af, "state": NUD_PERMANENT}
    text = "ip neighbour add %s dev %s lladdr %s nud permanent"
    return _step(_NEW_NEIGHBOUR, text, (gateway, name, mac), attributes=attributes, index=index, **fields)


def neighbours(index: int) -> Step:
    """Ask for the neighbours of a link."""
    return _step(_DUMP_NEIGHBOURS, "ip neighbour show (index %s)", (index,), attributes=[("NDA_IFINDEX", index)])


def _address(verb: MessageType, text: str, what: tuple[str, Address], /, **fields: int) -> Step:
    name, address = what
    attributes: Attributes = [("IFA_ADDRESS", address)]
    attributes += [("IFA_LOCAL", address)] if address.version == 4 else []
    fields |= {"family": family_of(address).af, "flags": IFA_F_NODAD if address.version == 6 else 0}
    return _step(verb, text, (address, fields["prefixlen"], name), attributes=attributes, **fields)


def _destination(network: Prefix) -> Attributes:
    return [("RTA_DST", network.network_address)] if network.prefixlen else []


def _step(
    verb: MessageType,
    text: str,
    values: tuple[object, ...],
    /,
    *,
    attributes: Attributes | None = None,
    index: int = 0,
    **fields: int,
) -> Step:
    return Step(text, _TEMPLATES.fill(text, verb, index, attributes=attributes or [], fields=fields), values)
