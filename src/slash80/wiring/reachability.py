"""Which way packets to and from a pod take: rules of others may send them past the routes that lead there.

The kernel is asked, one question for each address and direction. Only where an answer is wrong are rules and tables
read, to name the one that decides, as fib_rules_lookup in net/core/fib_rules.c finds it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from slash80.addressing.family import Address, family_of
from slash80.errors import BelongsToAnother, CniError, Failure
from slash80.netlink.codec import Response, Step
from slash80.netlink.socket import Socket
from slash80.wiring import policy_rules, query, route_messages, route_text, sysctl
from slash80.wiring.policy_rules import Rule

_USUAL = frozenset({route_messages.RT_TABLE_LOCAL, route_messages.RT_TABLE_MAIN, route_messages.RT_TABLE_DEFAULT})
NEXT = "delete that rule, or put one before it that looks the node's prefixes up in table main"


@dataclass(frozen=True, slots=True)
class _Packet:
    """What rules look at: where a packet goes, where it is from, and by which link it came in."""

    target: Address
    source: Address | None = None
    iif: str = "lo"  # by which the kernel calls what the node itself sends


@dataclass(frozen=True, slots=True)
class _Deciding:
    """The rule that decides and the route that it leads to; None where the rule itself discards."""

    rule: Rule
    route: query.Route | None

    @property
    def unusual(self) -> bool:
        """Report whether the rule is none of those that every node has."""
        return self.rule.table not in _USUAL


def questions(name: str, index: int, addresses: Sequence[Address]) -> list[Step]:
    """Ask about both directions of each address: to the pod, and from it by its host end to anywhere."""
    to_pod = [route_messages.route_to(address, entry=True) for address in addresses]
    return to_pod + [route_messages.way_out(name, index, address) for address in addresses]


def judge(host: Socket, name: str, index: int, *, addresses: Sequence[Address], answers: Sequence[Response]) -> None:
    """Raise a CniError when one of the answers to `questions` is wrong: it names the rule, route or setting."""
    for error in _wrong(host, name, index, addresses=addresses, answers=answers):
        raise error


def is_misled(host: Socket, address: Address) -> bool:
    """Report whether a rule of another program decides where packets to an address go."""
    found = _deciding(host, _Packet(address))
    return found is not None and found.unusual


def astray(host: Socket, target: Address, source: Address | None) -> str:
    """Return which routing rule sends the node's own packets to an address elsewhere; empty when none does."""
    found = _deciding(host, _Packet(target, source))
    if found is None or not found.unusual:
        return ""
    usual = query.route_lookup(host, target)
    same = found.route is not None and usual is not None and found.route.index == usual.index
    return "" if same else _told(host, found)


def misled(host: Socket, name: str, index: int, *, addresses: Sequence[Address]) -> list[CniError]:
    """Ask, and return what is wrong and not the pod's: rules and settings, but no route to its very address."""
    answers = host.exchange(questions(name, index, addresses))
    found = list(_wrong(host, name, index, addresses=addresses, answers=answers))
    return [error for error in found if not isinstance(error, RouteInTheWay)]


class RouteInTheWay(BelongsToAnother):
    """Another route, in a table that every node looks at, leads the pod's address elsewhere."""


def _wrong(
    host: Socket, name: str, index: int, *, addresses: Sequence[Address], answers: Sequence[Response]
) -> Iterator[CniError]:
    for address, answer in zip(addresses, answers[: len(addresses)], strict=True):
        right = not answer.errno and query.is_route_to(answer.messages[0], address, index)
        if not right and (error := _why_not_to_pod(host, name, index, address=address)):
            yield error
    for address, answer in zip(addresses, answers[len(addresses) :], strict=True):
        discarded = not answer.errno and query.kind_of(answer.messages[0]) in route_messages.DISCARDING
        if (answer.errno or discarded) and (error := _why_not_out(host, name, address, code=answer.errno)):
            yield error


def _is_to_pod(way: query.Route | None, index: int, address: Address) -> bool:
    return way is not None and (way.dst, way.index, way.kind) == (
        ip_network(address),
        index,
        route_messages.RTN_UNICAST,
    )


def _why_not_to_pod(host: Socket, name: str, index: int, *, address: Address) -> CniError | None:
    found = _deciding(host, _Packet(address))
    if found is None:
        return RouteInTheWay(f"packets to {address} have no way to {name}: its route is gone; try again")
    if _is_to_pod(found.route, index, address):
        return None
    if found.unusual:
        return BelongsToAnother(f"packets to {address} do not reach {name}: {_told(host, found)}; {NEXT}")
    where = route_text.route(host, found.route) if found.route else found.rule.text
    return RouteInTheWay(f"packets to {address} do not reach {name}, but take route {where}; delete that")


def _why_not_out(host: Socket, name: str, address: Address, *, code: int) -> CniError | None:
    """Return what keeps a pod's packets from the default route, if the node has one."""
    anywhere = route_messages.somewhere(family_of(address))
    if query.route_lookup(host, anywhere) is None:
        return None
    found = _deciding(host, _Packet(anywhere, address, name))
    if found and found.unusual and (found.route is None or found.route.kind in route_messages.DISCARDING):
        return BelongsToAnother(f"packets from {address} have no way out: {_told(host, found)}; {NEXT}")
    if setting := sysctl.keeps_from_forwarding(family_of(address), name):
        return Failure(f"packets from {address} have no way out: {setting} is 0; set it to 1 on the node")
    reason = os.strerror(code or errno.EHOSTUNREACH)
    told = f"; {_told(host, found)}" if found and found.unusual else ""
    command = route_messages.way_out(name, 0, address).what
    return Failure(f"packets from {address} have no way out: '{command}' fails: {reason}{told}; look at `ip rule`")


def _told(host: Socket, found: _Deciding) -> str:
    if found.route is None:
        return f"rule '{found.rule.text}' discards them"
    return f"rule '{found.rule.text}' sends them to route {route_text.route(host, found.route)}"


def _deciding(host: Socket, packet: _Packet) -> _Deciding | None:
    """Find the rule and the route that decide about a packet, in the order of the rules; None when none does."""
    going_to = 0
    for rule in sorted(policy_rules.rules(host, family_of(packet.target)), key=lambda rule: rule.priority):
        if rule.priority < going_to or not rule.matches(packet.target, packet.source, packet.iif):
            continue
        if rule.action == route_messages.FR_ACT_GOTO:
            going_to = rule.goto
        elif rule.action in route_messages.RULES_DISCARDING:
            return _Deciding(rule, None)
        elif rule.action == route_messages.FR_ACT_TO_TBL and (route := _in_table(host, rule, packet.target)):
            return _Deciding(rule, route)
    return None


def _in_table(host: Socket, rule: Rule, target: Address) -> query.Route | None:
    """Find a table's route to an address: the narrowest, of equal ones that with the lowest metric."""
    routes = query.routes(host, family_of(target), table=rule.table)
    # Without a route that counts the search goes on with the next rule, and so it does at one that says `throw`.
    fitting = [route for route in routes if target in route.dst and route.dst.prefixlen > rule.suppressed]
    fitting.sort(key=lambda route: (-route.dst.prefixlen, route.priority))
    return fitting[0] if fitting and fitting[0].kind != route_messages.RTN_THROW else None
