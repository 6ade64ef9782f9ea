"""Chains `reverse_path`, `misrouted` and `multipath`: a trusted source counts only on a link that leads back to it.

Every host outside may write any source into a packet. The kernel is asked by which link it would answer, since
policy routing, VRFs and several uplinks make that its own business; it is asked once for each connection.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family
from slash80.firewall.chains import echo, services
from slash80.firewall.chains.forged import own_set
from slash80.firewall.drops import dropped
from slash80.firewall.records import PODS, Chain, NamedSet, Settings, word

# After dstnat (-100): the route of an answer depends on the pod's address, and not on that of its Service.
_HOOK = "type filter hook prerouting priority dstnat + 1; policy accept;"
_SOURCES = 512  # that are remembered for `slash80 status`
_ICMP = {4: "icmp", 6: "icmpv6"}
MULTIPATH = "multipath"


def misrouted_set(family: Family) -> str:
    """Return the name of the set of links and trusted sources that came by them and should not have."""
    return f"misrouted{family.version}"


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the set in which `slash80 status` finds them. A full set keeps no further ones, and changes no verdict."""
    properties = f"size {_SOURCES}; flags dynamic,timeout; timeout 10m;"
    yield NamedSet(misrouted_set(family), f"ifname . ipv{family.version}_addr", properties)


MISROUTED_SETS = tuple(one for family in FAMILIES for one in sets(family))


def chains(settings: Settings) -> tuple[Chain, ...]:
    """Return the chains."""
    return (
        # IPv6 names one link of a route that has several, by a hash of the packet (fib6_select_path), and the sender's
        # router has a hash of its own. So there is a rule for each two links of such a route.
        Chain(MULTIPATH, (), of_node=True),
        Chain("misrouted", tuple(_misrouted(settings))),
        Chain("reverse_path", tuple(_rules(settings)), _HOOK),
    )


def multipath_rule(came_by: str, leads_by: str) -> str:
    """Return the rule that accepts what came by a link, where the kernel may answer by it as well as by another."""
    return f'iifname "{came_by}" fib saddr oifname "{leads_by}" accept comment "{came_by} {leads_by}"'


def _rules(settings: Settings) -> Iterator[str]:
    yield f"iifname {PODS} accept"
    strict = settings.closed and settings.strict
    # Before established connections, to which all echo requests of a series but the first belong.
    if strict:
        yield from (_astray(family, f"{_ICMP[family.version]} type echo-request ") for family in FAMILIES)
    yield "ct state established,related accept"
    yield 'iifname "lo" accept'
    yield "ip6 saddr fe80::/10 accept"  # of its link: another one of the node's may have the same
    # An address that the node has got since chain `forged` was told its addresses. A lookup takes 0.8 us in IPv6.
    yield from dropped("forged", "fib saddr type local")
    # The default route leads to an unused address of the node's whenever its discard route was deleted.
    if settings.closed:
        yield from (f"{word(family)} saddr @{own_set(family)} goto misrouted" for family in FAMILIES)
    if strict:
        yield from map(_astray, FAMILIES)


def _astray(family: Family, packets: str = "") -> str:
    return f"{packets}{word(family)} saddr @trusted{family.version} fib saddr . iif oif missing goto misrouted"


def _misrouted(settings: Settings) -> Iterator[str]:
    """Return rules that treat the packet like an untrusted one, as chain `edge` later takes it for a trusted one."""
    yield f"meta nfproto ipv6 jump {MULTIPATH}"
    yield from (f"update @{misrouted_set(family)} {{ iifname . {word(family)} saddr }}" for family in FAMILIES)
    yield from (f'meta nfproto {family.key} counter comment "misrouted {family.key}"' for family in FAMILIES)
    yield from services.refused_to_the_untrusted(settings)
    yield f"fib daddr oifname != {PODS} accept"
    yield from echo.requests("untrusted_pings")
    yield "goto untrusted"
