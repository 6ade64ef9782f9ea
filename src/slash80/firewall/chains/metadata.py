"""Chains `metadata` and `metadata_services`: what of a cloud's metadata services pods may reach by their node.

Only what the node forwards for a pod is judged, by where it goes when Services were translated to their endpoints. A
program of the node that stands in for the service, at its address or by a translation, is the node's own.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import IPV4, IPV6, Family
from slash80.addressing.metadata import SERVICES4, SERVICES6, embedded, is_service
from slash80.firewall.drops import dropped
from slash80.firewall.records import PODS, Chain, NamedSet, Settings, word

# The same addresses are resolvers and clocks: CoreDNS forwards to Google's, Oracle's and Azure's.
_LEFT_OPEN = ("tcp dport 53", "udp dport 53", "udp dport 123")
_EMBEDDED_SET = "metadata64"
METADATA_SETS = ("metadata4", "metadata6")


def sets(family: Family, settings: Settings) -> Iterator[NamedSet]:
    """Return the sets of a family's addresses that are closed; what was opened is in none."""
    services = [one for one in (SERVICES4, SERVICES6)[family is IPV6] if one not in settings.metadata_open]
    yield NamedSet(f"metadata{family.version}", f"ipv{family.version}_addr", elements=tuple(map(str, services)))
    if family is IPV6:
        led_to = tuple(str(embedded(one)) for one in SERVICES4 if one not in settings.metadata_open)
        yield NamedSet(_EMBEDDED_SET, "ipv6_addr", elements=led_to)


def jumps() -> Iterator[str]:
    """Return the rule of `edge` for what leaves the node.

    Every packet is asked, not only a connection's first one, which ends what was begun while the service was open.
    """
    yield f"iifname {PODS} oifname != {PODS} jump metadata"


def chains(settings: Settings) -> tuple[Chain, ...]:
    """Return the chains."""
    return (
        # Azure's load balancer probes pods from such an address: what answers is not asked.
        Chain(
            "metadata_services",
            ("ct direction reply return", *(f"{port} return" for port in _LEFT_OPEN), *dropped("metadata")),
        ),
        Chain("metadata", tuple(_rules(settings))),
    )


def _rules(settings: Settings) -> Iterator[str]:
    for address in sorted(settings.metadata_open, key=int):
        if address.version == 6 and is_service(address):
            yield f"ip6 daddr {address} return"
    for family in (IPV4, IPV6):
        yield f"{word(family)} daddr @metadata{family.version} goto metadata_services"
    # Whatever the prefix of the NAT64 is. One host in 700 million has such an address by chance.
    yield f"ip6 daddr & ::ffff:ffff @{_EMBEDDED_SET} goto metadata_services"
