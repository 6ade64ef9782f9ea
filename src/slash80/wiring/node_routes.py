"""Routes to other nodes' prefixes."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass, field

from slash80.addressing.family import FAMILIES, Address, Prefix
from slash80.netlink.codec import NetlinkError
from slash80.netlink.socket import Socket
from slash80.wiring import query, route_messages
from slash80.wiring.plan import NodeRoute
from slash80.wiring.veth import translated


@dataclass(slots=True)
class Reconciled:
    """`ip` commands: what was carried out, what a foreign route to the same prefix kept from it, and what failed.

    Prefix and gateway are another node's word, so what the kernel refuses costs that route only.
    """

    done: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)


def reconcile(host: Socket, wanted: Sequence[NodeRoute]) -> Reconciled:
    """Have the routes to other nodes, and none of ours beside them.

    Only routes with our protocol's number are removed, and of those none that leads to a pod. A gateway that is not on
    a link of this node gets no route: then the network between the nodes must route it.
    """
    result = Reconciled()
    with translated():
        existing = [route for family in FAMILIES for route in query.routes(host, family)]
        ours = [route for route in existing if route.protocol == route_messages.PROTOCOL]
        known = [NodeRoute(route.dst, route.gateway) for route in ours if route.gateway]
        on_link = {gateway for gateway in {route.gateway for route in wanted} if is_on_link(host, gateway)}
        near = dict.fromkeys(route for route in wanted if route.gateway in on_link)
        steps = [route_messages.delete_node_route(key.dst, key.gateway) for key in known if key not in near]
        there = set(known)
        steps += [route_messages.add_node_route(route.dst, route.gateway) for route in near if route not in there]
        for step, answer in zip(steps, host.exchange(steps) if steps else [], strict=True):
            if not answer.errno:
                result.done.append(step.what)
            elif answer.errno == errno.EEXIST:
                result.blocked.append(step.what)
            elif answer.errno != errno.ESRCH:
                result.failed.append((step.what, str(NetlinkError(step, answer))))
    return result


def is_on_link(host: Socket, gateway: Address) -> bool:
    """Report whether an address is on one of the node's links, so that no other router is needed."""
    way = query.route_lookup(host, gateway)
    return way is not None and way.gateway is None and way.kind == route_messages.RTN_UNICAST and not way.split


def has_route(host: Socket, prefix: Prefix) -> bool:
    """Report whether the node knows a way to a prefix that is more than its default route."""
    way = query.route_lookup(host, prefix[min(1, prefix.num_addresses - 1)])
    return way is not None and way.kind == route_messages.RTN_UNICAST and way.dst.prefixlen > 0
