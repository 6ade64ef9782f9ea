"""A plan, and links as the kernel shows them."""

from ipaddress import ip_network
from typing import Any

from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.nsidmsg import nsidmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from slash80.addressing.attachment import alias_of
from slash80.addressing.family import IPV4, IPV6, family_of
from slash80.wiring.plan import Plan, RouteSpec
from unit.builders import MAC, SANDBOX, attachment

KINDS = {
    "rule": fibmsg,
    "link": ifinfmsg,
    "address": ifaddrmsg,
    "route": rtmsg,
    "neighbour": ndmsg,
    "namespace": nsidmsg,
}
ATTACHMENT = attachment()
PLAN = Plan(
    host_ifname=ATTACHMENT.host_ifname,
    host_mac=ATTACHMENT.key.host_mac,
    alias=alias_of(ATTACHMENT.key, "net"),
    ifname="eth0",
    mac=MAC,
    mtu=1500,
    netns=SANDBOX,
    addresses=ATTACHMENT.assignment.addresses,
    routes=(RouteSpec(IPV4.everything), RouteSpec(IPV6.everything, priority=100)),
)


def body(kind: str, attrs: list[tuple[str, Any]], **fields: int) -> bytes:
    """Return what follows the header of a message from the kernel; pyroute2 writes it."""
    message = KINDS[kind]()
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = attrs
    message.encode()
    return bytes(message.data[16:])


def link(name: str, index: int = 5, **changes: Any) -> bytes:  # noqa: ANN401 -- any attribute
    """Show a link; by default a host end of ours that is up."""
    kind = changes.pop("kind", "veth")
    found = {"group": 21376, "address": str(PLAN.host_mac), "mtu": 1500, "ifalias": PLAN.alias, **changes}
    up = found.pop("up", 1)
    attrs = [("IFLA_IFNAME", name), ("IFLA_LINKINFO", {"attrs": [("IFLA_INFO_KIND", kind)]})]
    attrs += [(f"IFLA_{key.upper()}", value) for key, value in found.items() if value is not None]
    return body("link", attrs, index=index, flags=up)


def address(value: Any, length: int, *, scope: int = 0) -> bytes:  # noqa: ANN401 -- an address of either family
    """Show an address of a link."""
    local = [("IFA_LOCAL", str(value))] if value.version == 4 else []
    attrs = [("IFA_ADDRESS", str(value)), *local]
    return body("address", attrs, family=family_of(value).af, prefixlen=length, scope=scope, index=5)


def route(dst: str, *, index: int = 5, gateway: str = "", proto: int = 180, kind: int = 1, **more: Any) -> bytes:  # noqa: ANN401
    """Show a route."""
    network = ip_network(dst)
    attrs: list[tuple[str, Any]] = [("RTA_DST", str(network.network_address))] if network.prefixlen else []
    attrs += [("RTA_OIF", index)] if index else []
    attrs += [("RTA_GATEWAY", gateway)] if gateway else []
    attrs += [(f"RTA_{key.upper()}", value) for key, value in more.items()]
    af = family_of(network).af
    return body("route", attrs, family=af, dst_len=network.prefixlen, proto=proto, type=kind, table=254)


def rule(priority: int, table: int = 254, *, src: str = "", dst: str = "", action: int = 1, **more: Any) -> bytes:  # noqa: ANN401
    """Show a rule."""
    attrs: list[tuple[str, Any]] = [("FRA_PRIORITY", priority), ("FRA_TABLE", table)]
    lengths = {}
    for name, value in (("src", src), ("dst", dst)):
        network = ip_network(value) if value else None
        lengths[f"{name}_len"] = network.prefixlen if network else 0
        attrs += [(f"FRA_{name.upper()}", str(network.network_address))] if network else []
    fields = {"flags": more.pop("flags", 0), "tos": more.pop("tos", 0)}
    attrs += [(f"FRA_{key.upper()}", value) for key, value in more.items()]
    return body("rule", attrs, family=10 if ":" in src + dst else 2, action=action, **lengths, **fields)


def neighbour(value: str, mac: str, state: int = 128) -> bytes:
    """Show a neighbour."""
    attrs = [("NDA_DST", value)] + ([("NDA_LLADDR", mac)] if mac else [])
    return body("neighbour", attrs, family=10 if ":" in value else 2, ifindex=5, state=state)
