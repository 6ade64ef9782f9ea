"""Netlink messages about links as steps, each with the `ip` command that says the same."""

from __future__ import annotations

from collections.abc import Sequence

from pyroute2.netlink.rtnl import (
    RTM_DELLINK,
    RTM_GETLINK,
    RTM_GETNSID,
    RTM_NEWLINK,
)
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg

from slash80.addressing.family import IPV4, IPV6, Family
from slash80.netlink.codec import Step
from slash80.netlink.constants import NLM_F_ACK, NLM_F_DUMP, NLM_F_ECHO
from slash80.netlink.templates import Attributes, MessageType
from slash80.wiring.linkmsg import linkmsg
from slash80.wiring.plan import Plan
from slash80.wiring.steps import NLM_F_CREATE_EXCL_ACK, step

GROUP_ALIVE, GROUP_DYING = 21376, 21377
IFF_UP = 1
IN6_ADDR_GEN_MODE_NONE = 1
_ARP_IGNORE_NOTHING = 9
_TOO_SMALL_FOR_IPV6 = 1279  # RFC 8200, section 5
RTEXT_FILTER_SKIP_STATS = 8  # or the kernel adds up the counters of every CPU for each link (rtnl_fill_stats)
_ONE_QUEUE: Attributes = [("IFLA_NUM_TX_QUEUES", 1), ("IFLA_NUM_RX_QUEUES", 1)]
_NEW_LINK = MessageType(linkmsg, RTM_NEWLINK, NLM_F_CREATE_EXCL_ACK | NLM_F_ECHO)
_SET_LINK = MessageType(linkmsg, RTM_NEWLINK, NLM_F_ACK)
_DELETE_LINK = MessageType(linkmsg, RTM_DELLINK, NLM_F_ACK)
_GET_LINK = MessageType(linkmsg, RTM_GETLINK, NLM_F_ACK)
_GET_NETNS_ID = MessageType(nsidmsg, RTM_GETNSID, NLM_F_ACK, "")
_DUMP_LINKS = MessageType(linkmsg, RTM_GETLINK, NLM_F_DUMP)


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
    return step(_NEW_LINK, text, (*ours, *theirs, plan.netns), attributes=attributes, index=index)


def set_alias(name: str, index: int, alias: str) -> Step:
    """Write a link's alias; the kernel ignores one given at creation."""
    return step(
        _SET_LINK, "ip link set %s alias '%s'", (name, alias), attributes=[("IFLA_IFALIAS", alias)], index=index
    )


def set_up(name: str, index: int) -> Step:
    """Switch a link on."""
    return step(_SET_LINK, "ip link set %s up", (name,), index=index, flags=IFF_UP, change=IFF_UP)


def set_up_pod_end(name: str, index: int, families: Sequence[Family]) -> Step:
    """Switch a pod's interface on, which answers who asks for its IPv4 address whatever `arp_ignore` is in the pod.

    A new namespace inherits `all` and `default` of the machine, and with 2 or 8 would not reply to anyone, since the
    address has no subnet. The kernel takes the larger of `all` and the link's own, and any number above 8 for 0
    (arp_ignore in net/ipv4/arp.c).
    """
    if IPV4 not in families:
        return set_up(name, index)
    values = (name, name, _ARP_IGNORE_NOTHING)
    attributes: Attributes = [("IFLA_AF_SPEC", [_ipv4_settings(ARP_IGNORE=_ARP_IGNORE_NOTHING)])]
    text = "ip link set %s up; sysctl -w net/ipv4/conf/%s/arp_ignore=%s"
    return step(_SET_LINK, text, values, attributes=attributes, index=index, flags=IFF_UP, change=IFF_UP)


def configure_host_end(name: str, index: int, families: Sequence[Family]) -> Step:
    """Have a link forward IPv4 though new links should not, and make itself no IPv6 link-local address as it goes up.

    `net.ipv4.conf.default.forwarding` may be 0 where the node forwards. With arp_filter a request is answered only if
    the route to its sender leads back to the link; from any other sender the kernel would learn a neighbour, and its
    table is one for all links (arp_process in net/ipv4/arp.c). rp_filter does the same, and would drop packets from
    the address of one of a pod's interfaces that leave by another one.
    """
    settings: Attributes = []
    commands = []
    if IPV6 in families:
        settings.append(("AF_INET6", [("IFLA_INET6_ADDR_GEN_MODE", IN6_ADDR_GEN_MODE_NONE)]))
        commands.append("ip link set %s addrgenmode none")
    if IPV4 in families:
        settings.append(_ipv4_settings(FORWARDING=1, ARPFILTER=1))
        commands.append("sysctl -w net/ipv4/conf/%s/forwarding=1 net/ipv4/conf/%s/arp_filter=1")
    text = "; ".join(commands)
    values = (name,) * text.count("%s")
    return step(_SET_LINK, text, values, attributes=[("IFLA_AF_SPEC", settings)], index=index)


def _ipv4_settings(**settings: int) -> tuple[str, Attributes]:
    return ("AF_INET", [("IFLA_INET_CONF", [(f"IPV4_DEVCONF_{name}", value) for name, value in settings.items()])])


def set_down(name: str, index: int) -> Step:
    """Switch a link off, which takes its routes away, and its IPv6 addresses unless it keeps them."""
    return step(_SET_LINK, "ip link set %s down", (name,), index=index, flags=0, change=IFF_UP)


def rename_without_ipv6(name: str, index: int, *, new: str) -> Step:
    """Rename a link that is down, and remove the IPv6 addresses that it keeps while it is down.

    Only links that are down can be renamed before Linux 6.2. A link whose MTU is too small for IPv6 loses all that it
    has of it (addrconf_notify in net/ipv6/addrconf.c), so they need not be listed first.
    """
    attributes: Attributes = [("IFLA_IFNAME", new), ("IFLA_MTU", _TOO_SMALL_FOR_IPV6)]
    values = (name, new, _TOO_SMALL_FOR_IPV6)
    return step(_SET_LINK, "ip link set %s name %s mtu %s", values, attributes=attributes, index=index)


def move_to_dying_group(name: str, index: int, *, new: str) -> Step:
    """Move a host end to the group of dying links, and rename it accordingly."""
    attributes: Attributes = [("IFLA_IFNAME", new), ("IFLA_GROUP", GROUP_DYING)]
    return step(
        _SET_LINK, "ip link set %s name %s group %s", (name, new, GROUP_DYING), attributes=attributes, index=index
    )


def delete_link(name: str, index: int) -> Step:
    """Delete a link, and with it its peer, addresses, routes and neighbours."""
    return step(_DELETE_LINK, "ip link del %s", (name,), index=index)


def delete_group(group: int) -> Step:
    """Delete all links of a group in one go: the waiting for RCU is the same for a hundred as for one."""
    return step(_DELETE_LINK, "ip link del group %s", (group,), attributes=[("IFLA_GROUP", group)])


def get_link(name: str) -> Step:
    """Ask for one link by name."""
    attributes: Attributes = [("IFLA_IFNAME", name), ("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return step(_GET_LINK, "ip link show %s", (name,), attributes=attributes)


def get_link_at(index: int) -> Step:
    """Ask for one link by index."""
    attributes: Attributes = [("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)]
    return step(_GET_LINK, "ip link show (index %s)", (index,), attributes=attributes, index=index)


def all_links() -> Step:
    """Ask for all links."""
    return step(_DUMP_LINKS, "ip link show", (), attributes=[("IFLA_EXT_MASK", RTEXT_FILTER_SKIP_STATS)])


def get_netns_id(netns_fd: int) -> Step:
    """Ask for the number that this namespace has for another one, by which links name it; -1 if it has none."""
    return step(_GET_NETNS_ID, "ip netns list-id", (), attributes=[("NETNSA_FD", netns_fd)])
