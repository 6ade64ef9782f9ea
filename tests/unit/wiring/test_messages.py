"""Netlink messages: pyroute2 reads back what they say, and the words beside them say the same."""

import re
import shlex
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from slash80.addressing.family import FAMILIES, IPV4, IPV6
from slash80.netlink.codec import Step, attribute
from slash80.wiring import address_messages, link_messages, route_messages
from slash80.wiring.plan import RouteSpec
from unit.builders import MAC
from unit.wiring.plans import PLAN

REQUEST, ACK, ECHO, EXCL, CREATE, DUMP = 0x1, 0x4, 0x8, 0x200, 0x400, 0x300
MAKE = REQUEST | ACK | EXCL | CREATE
LINK, ADDRESS, ROUTE, NEIGHBOUR, NSID, RULE = ifinfmsg, ifaddrmsg, rtmsg, ndmsg, nsidmsg, fibmsg
IP4, IP6 = ip_address("10.80.1.5"), ip_address("2001:db8::5")
NET6 = ip_network("2001:db8:5::/48")
NAME = "s80aaaaaaaaaaaa"
Fields = dict[str, Any]

# Each message: its class, type, flags, the fields and attributes that it must have, and the command.
MESSAGES: list[tuple[Step, Any, int, int, Fields, str]] = [
    (
        link_messages.set_alias(NAME, 5, '{"v":1}'),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "IFLA_IFALIAS": '{"v":1}', "change": 0}),
        "ip link set s80aaaaaaaaaaaa alias '{\"v\":1}'",
    ),
    (
        link_messages.set_up(NAME, 5),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "flags": 1, "change": 1}),
        "ip link set s80aaaaaaaaaaaa up",
    ),
    (
        link_messages.set_down(NAME, 5),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "flags": 0, "change": 1}),
        "ip link set s80aaaaaaaaaaaa down",
    ),
    (
        link_messages.rename_without_ipv6("eth0", 5, new="x80aaaaaaaaaaaa"),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "change": 0, "IFLA_IFNAME": "x80aaaaaaaaaaaa"}),
        "ip link set eth0 name x80aaaaaaaaaaaa mtu 1279",
    ),
    (
        link_messages.move_to_dying_group(NAME, 5, new="x80aaaaaaaaaaaa"),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "IFLA_IFNAME": "x80aaaaaaaaaaaa", "IFLA_GROUP": 21377}),
        "ip link set s80aaaaaaaaaaaa name x80aaaaaaaaaaaa group 21377",
    ),
    (
        link_messages.delete_group(21377),
        *(LINK, 17, REQUEST | ACK, {"index": 0, "IFLA_GROUP": 21377}),
        "ip link del group 21377",
    ),
    (
        address_messages.delete_ipv4("eth0", 5),
        *(ADDRESS, 21, REQUEST | ACK, {"family": 2, "index": 5, "IFA_LOCAL": None}),
        "ip -4 address flush dev eth0",
    ),
    (
        link_messages.configure_host_end(NAME, 5, FAMILIES),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "flags": 0}),
        "ip link set s80aaaaaaaaaaaa addrgenmode none; sysctl -w {settings}".format(
            settings="net/ipv4/conf/s80aaaaaaaaaaaa/forwarding=1 net/ipv4/conf/s80aaaaaaaaaaaa/arp_filter=1"
        ),
    ),
    (
        link_messages.set_up_pod_end("eth0", 5, FAMILIES),
        *(LINK, 16, REQUEST | ACK, {"index": 5, "flags": 1, "change": 1}),
        "ip link set eth0 up; sysctl -w net/ipv4/conf/eth0/arp_ignore=9",
    ),
    (link_messages.delete_link(NAME, 5), *(LINK, 17, REQUEST | ACK, {"index": 5}), "ip link del s80aaaaaaaaaaaa"),
    (link_messages.get_link(NAME), *(LINK, 18, REQUEST | ACK, {"IFLA_IFNAME": NAME}), "ip link show s80aaaaaaaaaaaa"),
    (link_messages.get_link_at(5), *(LINK, 18, REQUEST | ACK, {"index": 5}), "ip link show (index 5)"),
    (link_messages.get_netns_id(5), *(NSID, 90, REQUEST | ACK, {"NETNSA_FD": 5}), "ip netns list-id"),
    (link_messages.all_links(), *(LINK, 18, REQUEST | DUMP, {"index": 0}), "ip link show"),
    (
        address_messages.add_gateway(NAME, 5, IPV4),
        *(ADDRESS, 20, MAKE, {"family": 2, "index": 5, "prefixlen": 32, "scope": 254, "flags": 0}),
        "ip address add 169.254.1.1/32 dev s80aaaaaaaaaaaa scope host",
    ),
    (
        address_messages.add_gateway(NAME, 5, IPV6),
        *(ADDRESS, 20, MAKE, {"family": 10, "index": 5, "prefixlen": 64, "flags": 2, "IFA_ADDRESS": "fe80::1"}),
        "ip address add fe80::1/64 dev s80aaaaaaaaaaaa nodad",
    ),
    (
        address_messages.add_address("eth0", 5, IP4),
        *(ADDRESS, 20, MAKE, {"family": 2, "prefixlen": 32, "scope": 0, "flags": 0, "IFA_LOCAL": "10.80.1.5"}),
        "ip address add 10.80.1.5/32 dev eth0",
    ),
    (
        address_messages.add_address("eth0", 5, IP6),
        *(ADDRESS, 20, MAKE, {"family": 10, "prefixlen": 128, "scope": 0, "flags": 2, "IFA_ADDRESS": "2001:db8::5"}),
        "ip address add 2001:db8::5/128 dev eth0 nodad",
    ),
    (address_messages.addresses(5), *(ADDRESS, 22, REQUEST | DUMP, {"index": 5}), "ip address show (index 5)"),
    (
        route_messages.add_host_route(NAME, 5, IP4),
        *(ROUTE, 24, MAKE, {"family": 2, "dst_len": 32, "proto": 180, "scope": 253, "type": 1, "RTA_OIF": 5}),
        "ip route add 10.80.1.5/32 dev s80aaaaaaaaaaaa proto 180",
    ),
    (
        route_messages.add_host_route(NAME, 5, IP6),
        *(ROUTE, 24, MAKE, {"family": 10, "dst_len": 128, "proto": 180, "table": 254, "RTA_DST": "2001:db8::5"}),
        "ip route add 2001:db8::5/128 dev s80aaaaaaaaaaaa proto 180",
    ),
    (
        route_messages.add_unreachable(NET6),
        *(ROUTE, 24, MAKE, {"dst_len": 48, "type": 7, "RTA_PRIORITY": 2**32 - 1, "RTA_OIF": None, "proto": 180}),
        "ip route add unreachable 2001:db8:5::/48 metric 4294967295 proto 180",
    ),
    (
        route_messages.add_gateway_route("eth0", 5),
        *(ROUTE, 24, MAKE, {"dst_len": 32, "RTA_DST": "169.254.1.1", "scope": 253, "RTA_OIF": 5, "RTA_PRIORITY": 5}),
        "ip route add 169.254.1.1 dev eth0 scope link metric 5 proto 180",
    ),
    (
        route_messages.add_pod_route("eth0", 5, RouteSpec(IPV4.everything)),
        *(ROUTE, 24, MAKE, {"dst_len": 0, "flags": 0, "RTA_DST": None, "RTA_GATEWAY": "169.254.1.1", "scope": 0}),
        "ip route add 0.0.0.0/0 via 169.254.1.1 dev eth0 proto 180",
    ),
    (
        route_messages.add_pod_route("eth0", 5, RouteSpec(NET6, mtu=1400, advmss=1340, priority=7)),
        *(
            ROUTE,
            24,
            MAKE,
            {"dst_len": 48, "RTA_GATEWAY": "fe80::1", "RTA_PRIORITY": 7, "RTAX_MTU": 1400, "RTAX_ADVMSS": 1340},
        ),
        "ip route add 2001:db8:5::/48 via fe80::1 dev eth0 metric 7 mtu 1400 advmss 1340 proto 180",
    ),
    (
        route_messages.add_pod_route("eth0", 5, RouteSpec(NET6, priority=0)),
        *(ROUTE, 24, MAKE, {"RTA_PRIORITY": 0, "RTA_METRICS": None}),
        "ip route add 2001:db8:5::/48 via fe80::1 dev eth0 metric 0 proto 180",
    ),
    (
        route_messages.route_to(IP6),
        *(ROUTE, 26, REQUEST | ACK, {"family": 10, "dst_len": 128, "RTA_DST": "2001:db8::5"}),
        "ip route get 2001:db8::5",
    ),
    (
        route_messages.all_routes(IPV6, index=5, kind=7),
        *(ROUTE, 26, REQUEST | DUMP, {"family": 10, "type": 7, "RTA_TABLE": 254, "RTA_OIF": 5}),
        "ip -6 route show",
    ),
    (
        route_messages.all_routes(IPV4, table=30400),
        *(ROUTE, 26, REQUEST | DUMP, {"family": 2, "table": 0, "RTA_TABLE": 30400, "RTA_OIF": None}),
        "ip -4 route show table 30400",
    ),
    (
        route_messages.all_routes(IPV4, index=5, kind=1, table=route_messages.RT_TABLE_UNSPEC),
        *(ROUTE, 26, REQUEST | DUMP, {"family": 2, "table": 0, "type": 1, "RTA_TABLE": None, "RTA_OIF": 5}),
        "ip -4 route show table all",
    ),
    (
        route_messages.way_out(NAME, 5, IP4),
        *(
            ROUTE,
            26,
            REQUEST | ACK,
            {"dst_len": 32, "src_len": 32, "RTA_DST": "192.88.99.0", "RTA_SRC": "10.80.1.5", "RTA_IIF": 5},
        ),
        "ip route get 192.88.99.0 from 10.80.1.5 iif s80aaaaaaaaaaaa",
    ),
    (route_messages.all_rules(IPV6), *(RULE, 34, REQUEST | DUMP, {"family": 10, "table": 0}), "ip -6 rule show"),
    (
        route_messages.all_routes(IPV6, table=52),
        *(ROUTE, 26, REQUEST | DUMP, {"family": 10, "table": 52, "RTA_TABLE": 52}),
        "ip -6 route show table 52",
    ),
    (
        address_messages.add_neighbour("eth0", 5, gateway=IPV6.gateway, mac=MAC),
        *(
            NEIGHBOUR,
            28,
            MAKE,
            {"family": 10, "ifindex": 5, "state": 128, "NDA_DST": "fe80::1", "NDA_LLADDR": str(MAC)},
        ),
        "ip neighbour add fe80::1 dev eth0 lladdr 02:00:5e:00:53:01 nud permanent",
    ),
    (
        address_messages.neighbours(5),
        *(NEIGHBOUR, 30, REQUEST | DUMP, {"NDA_IFINDEX": 5}),
        "ip neighbour show (index 5)",
    ),
]
IDS = [f"{n} {found[-1]}" for n, found in enumerate(MESSAGES)]


def _decoded(step: Step, kind: Any) -> Any:  # noqa: ANN401 -- pyroute2's messages are untyped
    message = kind(step.message)
    message.decode()
    return message


def _said(message: Any, name: str) -> Any:  # noqa: ANN401 -- any attribute
    if name.startswith("RTAX_"):
        return message.get_attr("RTA_METRICS").get_attr(name)
    return message.get_attr(name) if name.isupper() else message[name]


@pytest.mark.parametrize(("step", "kind", "number", "flags", "fields"), [found[:-1] for found in MESSAGES], ids=IDS)
def test_message_is_what_pyroute2_parses(step: Step, kind: Any, number: int, flags: int, fields: Fields) -> None:  # noqa: ANN401
    """Type, flags and every attribute are those of the command; None is an attribute that is not there."""
    message = _decoded(step, kind)

    assert (number, flags, len(step.message)) == (
        *(message["header"][k] for k in ("type", "flags")),
        message["header"]["length"],
    )
    assert fields == {name: _said(message, name) for name in fields}


@pytest.mark.parametrize(("step", "text"), [(found[0], found[-1]) for found in MESSAGES], ids=IDS)
def test_message_names_the_equivalent_ip_command(step: Step, text: str) -> None:
    """The command can be pasted into a shell."""
    assert text == step.what
    assert ["ip"] == shlex.split(re.sub(r"[()]", "", text))[:1]


@pytest.mark.parametrize("index", [0, 70000])
def test_veth_pair_is_created_in_one_message(index: int) -> None:
    """Name, MAC, MTU, group, queues and the pod's namespace are in it, so that nothing is changed afterwards."""
    message = _decoded(link_messages.create_pair(PLAN, 9, index=index), LINK)
    peer = message.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA").get_attr("VETH_INFO_PEER")
    names = ("IFLA_IFNAME", "IFLA_ADDRESS", "IFLA_MTU", "IFLA_NUM_TX_QUEUES", "IFLA_NUM_RX_QUEUES")

    assert (MAKE | ECHO, index, 21376) == (message["header"]["flags"], message["index"], message.get_attr("IFLA_GROUP"))
    assert [PLAN.host_ifname, str(PLAN.host_mac), 1500, 1, 1] == [message.get_attr(name) for name in names]
    assert ["eth0", str(MAC), 1500, 1, 1] == [peer.get_attr(name) for name in names]
    assert 9 == peer.get_attr("IFLA_NET_NS_FD")


def test_veth_pair_command_is_complete() -> None:
    """The command is long and contains every setting."""
    expected = (
        f"ip link add {PLAN.host_ifname} address {PLAN.host_mac} mtu 1500 group 21376 numtxqueues 1 numrxqueues 1 "
        "type veth peer name eth0 address 02:00:5e:00:53:01 mtu 1500 numtxqueues 1 numrxqueues 1 netns /run/netns/pod"
    )

    assert expected == link_messages.create_pair(PLAN, 9).what


def test_interface_name_may_be_utf8() -> None:
    """The kernel takes names as UTF-8."""
    assert "ää".encode() + b"\0" in link_messages.get_link("ää").message


def test_link_settings_are_nested_by_family() -> None:
    """A host end forwards, answers its pod's ARP and has no link-local address; a pod's end answers all ARP."""
    both, four, six = (
        link_messages.configure_host_end(NAME, 5, families).message for families in (FAMILIES, (IPV4,), (IPV6,))
    )
    one = b"\1\0\0\0"
    forwarding = attribute(2, attribute(1, attribute(1, one) + attribute(13, one)))
    quiet = attribute(10, attribute(8, b"\1"))

    assert [quiet + forwarding, forwarding, quiet] == [message[36:] for message in (both, four, six)]
    assert (
        attribute(2, attribute(1, attribute(19, b"\t\0\0\0")))
        == link_messages.set_up_pod_end("eth0", 5, (IPV4,)).message[36:]
    )
    assert link_messages.set_up("eth0", 5).message == link_messages.set_up_pod_end("eth0", 5, (IPV6,)).message
