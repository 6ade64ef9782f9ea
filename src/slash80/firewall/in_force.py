"""What is in force on a node, read from the kernel's sets and rules and not from settings, and what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from slash80.addressing.family import FAMILIES, Address, Prefix, family_of
from slash80.addressing.openings import PortMapping
from slash80.addressing.ports import PortRange, merged
from slash80.firewall import exposed_ports, host_ports, listed_rules, listings, messages
from slash80.firewall.chains.exposed import OF_EVERY_POD
from slash80.firewall.chains.masquerade import keep_source_set
from slash80.firewall.chains.metadata import METADATA_SETS
from slash80.firewall.chains.midstream import PICKUP_SET
from slash80.firewall.chains.node import NODE_SETS
from slash80.firewall.chains.services import SERVICE_SETS
from slash80.firewall.chains.trusted import TRUSTED_SETS
from slash80.firewall.drops import REASONS
from slash80.firewall.elements import POD_SETS, address_of, pod_set
from slash80.firewall.listed_rules import ListedRule
from slash80.firewall.listings import Dump
from slash80.firewall.records import POLICY_TABLE, Element

_ADDRESS_SETS = frozenset(map(pod_set, FAMILIES))
_MASQUERADING, _MISROUTED = "masquerading", "misrouted"


@dataclass(frozen=True, slots=True)
class Dropped:
    """How many packets of a family went, and why."""

    reason: str
    family: str
    packets: int
    bytes: int


@dataclass(frozen=True, slots=True)
class InForce:
    """The rules of a node.

    `echo` and `connections` are rates for each source, -1 without limit; of pings 0 lets none pass. `services` are the
    ClusterIPs in whose families everybody may reach pods through NodePorts. `node` are the ports that pods may reach on
    their node, None for all of it. `expose` are the ports of every pod that everybody reaches, `exposed` those of
    single pods, and `host_ports` is from where outside the `mappings` of pods are reached. `age` is how many seconds
    ago the table was put in place, None where that is longer ago than the kernel remembers.
    """

    closed: bool
    strict: bool
    trusted: tuple[Prefix, ...]
    services: tuple[Prefix, ...]
    echo: int
    connections: int
    metadata: tuple[Address, ...]
    node: tuple[PortRange, ...] | None
    expose: tuple[PortRange, ...]
    exposed: tuple[tuple[Address, PortRange], ...]
    host_ports: str
    mappings: tuple[PortMapping, ...]
    masquerade: tuple[str, ...]
    pods: tuple[Address, ...]
    dropped: tuple[Dropped, ...]
    misrouted: tuple[Dropped, ...]
    age: float | None


def read(dump: Dump) -> InForce:
    """Read the table, which is there."""
    rules = listed_rules.rules(dump)
    chains = {rule.chain for rule in rules}
    counted = list(_counted([*rules, *listed_rules.rules(dump, POLICY_TABLE)]))
    elements = listings.elements(dump, POD_SETS) or frozenset()
    pods = tuple(sorted({address_of(one) for one in elements if one.set_name in _ADDRESS_SETS}, key=str))
    return InForce(
        closed="midstream" in chains,
        strict=any(rule.chain == "reverse_path" and rule.sets & set(TRUSTED_SETS) for rule in rules),
        trusted=_prefixes(dump, TRUSTED_SETS),
        services=_prefixes(dump, SERVICE_SETS),
        echo=_echo([rule for rule in rules if rule.chain == "untrusted_pings"]),
        connections=next((rule.rate for rule in rules if rule.chain == "opened"), -1),
        metadata=tuple(_addresses(dump, METADATA_SETS)),
        node=tuple(_ports(dump)) if "node" in chains else None,
        expose=merged(map(exposed_ports.range_of, listings.elements(dump, [OF_EVERY_POD]) or ())),
        exposed=tuple(_exposed(rules, pods, elements)),
        host_ports=_host_ports([rule for rule in rules if rule.chain == "hostport_prerouting"]),
        mappings=host_ports.mappings(pods, elements),
        masquerade=tuple(_masquerade(rules)),
        pods=pods,
        dropped=tuple(one for one in counted if one.reason in REASONS),
        misrouted=tuple(one for one in counted if one.reason == _MISROUTED),
        age=_age(dump),
    )


def dropped(dump: Dump, policy_chains: Iterable[str]) -> list[Dropped]:
    """Return what was dropped and why: by all rules of the table, and in these chains of the policies' one.

    That one may have thousands of rules, of which only those of a few chains drop.
    """
    rules = listed_rules.rules(dump)
    rules += [rule for chain in policy_chains for rule in listed_rules.rules_of(dump, chain, POLICY_TABLE)]
    return [one for one in _counted(rules) if one.reason in REASONS]


def _counted(rules: Iterable[ListedRule]) -> Iterator[Dropped]:
    """Yield what rules have counted, by the reason and the family that their comments say."""
    packets: Counter[tuple[str, str]] = Counter()
    octets: Counter[tuple[str, str]] = Counter()
    for rule in rules:
        reason, _, family = rule.comment.partition(" ")
        packets[reason, family] += rule.packets
        octets[reason, family] += rule.bytes
    for (reason, family), count in sorted(packets.items()):
        yield Dropped(reason, family, count, octets[reason, family])


def _echo(rules: list[ListedRule]) -> int:
    if limited := [rule.rate for rule in rules if rule.rate]:
        return limited[0]
    return 0 if any(rule.comment for rule in rules) else -1


def _exposed(
    rules: Iterable[ListedRule], pods: Iterable[Address], elements: Iterable[Element]
) -> Iterator[tuple[Address, PortRange]]:
    """Yield the ports of single pods that everybody reaches; none where no rule asks for them."""
    asked = {name for rule in rules if rule.chain == "untrusted" for name in rule.sets}
    for address in pods:
        if exposed_ports.exposed_set(family_of(address)) in asked:
            yield from ((address, ports) for ports in exposed_ports.ports([address], elements))


def _host_ports(rules: list[ListedRule]) -> str:
    """Return from where host ports are reached, by the rules in front of their translation."""
    if any(rule.sets & set(TRUSTED_SETS) for rule in rules):
        return "trusted"
    # of a rule that asks for the link alone
    return "none" if any("cmp" in rule.expressions and "payload" not in rule.expressions for rule in rules) else "open"


def _masquerade(rules: Iterable[ListedRule]) -> Iterator[str]:
    asked = {name for rule in rules if rule.chain == _MASQUERADING for name in rule.sets}
    yield from (family.key for family in FAMILIES if keep_source_set(family) in asked)


def _prefixes(dump: Dump, names: Iterable[str]) -> tuple[Prefix, ...]:
    """Return the prefixes of those sets that there are."""
    return tuple(prefix for name in names for prefix in listings.prefixes(dump, [name]) or ())


def _addresses(dump: Dump, names: Iterable[str]) -> Iterator[Address]:
    for part in (part for name in names for part in dump(messages.get_elements(name)) or ()):
        yield from (ip_address(key) for key, _ in messages.bounds_of(part.body))


def _ports(dump: Dump) -> Iterator[PortRange]:
    for name, protocol in NODE_SETS.items():
        listed = (bound for part in dump(messages.get_elements(name)) or () for bound in messages.bounds_of(part.body))
        bounds = sorted((int.from_bytes(key[:2], "big"), is_end) for key, is_end in listed)
        # nft may begin with an end at zero, and what is behind the last port of all it leaves out
        starts, ends = ([port for port, is_end in bounds if is_end is kind and port] for kind in (False, True))
        for first, behind in zip(starts, [*ends, 1 << 16], strict=False):
            yield PortRange(protocol, first, behind - 1)


def _age(dump: Dump) -> float | None:
    times = [time for part in dump(messages.get_elements(PICKUP_SET)) or () for time in messages.times_of(part.body)]
    return next(((timeout - left) / 1000 for timeout, left in times), None)
