"""Routes as `ip route` shows them, for messages: who reads one finds it again, and can delete it."""

from __future__ import annotations

from slash80.netlink.socket import Socket
from slash80.wiring import query, route_messages

_KINDS = {1: "", 2: "local", 3: "broadcast", 4: "anycast", 5: "multicast"} | {
    route_messages.RTN_BLACKHOLE: "blackhole",
    route_messages.RTN_UNREACHABLE: "unreachable",
    route_messages.RTN_PROHIBIT: "prohibit",
    route_messages.RTN_THROW: "throw",
}
# Of iproute2's rt_protos those that a node is likely to have.
_PROTOCOLS = {1: "redirect", 2: "kernel", 3: "boot", 4: "static", 9: "ra", 11: "zebra", 12: "bird", 16: "dhcp"} | {
    18: "keepalived",
    186: "bgp",
    188: "ospf",
}
_USUAL_TABLES = {0, route_messages.RT_TABLE_MAIN, route_messages.RT_TABLE_LOCAL}


def route(host: Socket, found: query.Route) -> str:
    """Describe a route."""
    link = query.link_at(host, found.index)
    words = [
        _KINDS.get(found.kind, f"type {found.kind}"),
        str(found.dst) if found.dst.prefixlen else "default",
        f"via {found.gateway}" if found.gateway else "",
        f"dev {link.name}" if link else "",
        f"proto {_PROTOCOLS.get(found.protocol, found.protocol)}",
        f"table {found.table}" if found.table not in _USUAL_TABLES else "",
    ]
    return " ".join(filter(None, words))
