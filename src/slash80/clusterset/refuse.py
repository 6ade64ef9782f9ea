"""What is believed of what another member says that it exports.

A member may be hostile, or in hostile hands: then its records claim other members' addresses, namespaces that it has
nothing to do with, an age that wins every conflict, or more than this cluster can hold. What lies outside of the bounds
of its entry in the file is refused by itself, counted and named; the rest of its records stand.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from slash80.addressing.family import Address, Prefix
from slash80.addressing.special import special
from slash80.cluster.objects.endpointslice import Endpoint
from slash80.cluster.objects.reading import Unreadable
from slash80.clusterset import volume, wire
from slash80.clusterset.records import Export, Name, Pairs, Slice
from slash80.clusterset.volume import Volume, amounts
from slash80.settings.clusterset import Member

UNREADABLE = "Unreadable"
NAMESPACE = "NamespaceNotAllowed"
ADDRESS = "AddressNotAllowed"
SPECIAL = "SpecialAddress"
SERVICE = "ServiceAddress"
FAMILY = "FamilyMismatch"
ENDPOINTS = "TooManyEndpoints"
SERVICES = "TooManyServices"
SLICES = "TooManyEndpointSlices"
RESERVED = "ReservedKey"

AFFINITY = "slash80.io/affinity"  # the one key of ours that is exported: see `documents`
_RESERVED = ("kubernetes.io", "k8s.io", "x-k8s.io", "slash80.io")
_EXAMPLES = 8
_TOO_MUCH = {volume.SERVICES: SERVICES, volume.ENDPOINTS: ENDPOINTS, volume.SLICES: SLICES, volume.PORTS: SLICES}
_REMEMBERED = 1000  # refused names of a member; what is beyond is counted only
_ELSEWHERE = 1000  # namespaces that are not here, of one member


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of one member is believed: `most` in all."""

    endpoints_per_slice: int = 100
    most: Mapping[str, int] = field(default_factory=lambda: volume.MOST)


class Refusal(NamedTuple):
    """What was refused of a record: a word for counting, a sentence about the first of it, and how often."""

    reason: str
    message: str
    times: int = 1


class Admitted(NamedTuple):
    """A record within its member's bounds, or None, and what was refused of it.

    Without both it is of a namespace that is not here, which is not a lie.
    """

    export: Export | None
    refusals: tuple[Refusal, ...] = ()


class Bounds:
    """What a member may say, prepared for many records."""

    def __init__(self, member: Member, limits: Limits = Limits(), services: Iterable[Prefix] = ()) -> None:
        """Take its entry; `services` are the ranges of this cluster's Services, where no pod is."""
        self.member = member
        self.limits = limits
        self._since = joined(member.since)
        self._spans, self._services = _Spans(member.prefixes), _Spans(services)

    def admit(self, document: object, here: Container[str]) -> Admitted:
        """Return what is believed of a record; `here` are the namespaces of this cluster."""
        name = None
        try:
            name = wire.name_of(document)
            if not self.member.may_export(name.namespace):
                why = f"member {self.member.id!r} may not export from namespace {name.namespace}"
                return Admitted(None, (Refusal(NAMESPACE, f"{name}: {why}"),))
            if name.namespace not in here:
                return Admitted(None)
            export = wire.decode(document)
        except Unreadable as error:
            return Admitted(None, (Refusal(UNREADABLE, f"{name or 'a record'}: {error}"),))
        if any(len(one.endpoints) > self.limits.endpoints_per_slice for one in export.slices):
            why = f"a slice has more than {self.limits.endpoints_per_slice} endpoints"
            return Admitted(None, (Refusal(ENDPOINTS, f"{name}: {why}"),))
        return self._bounded(export)

    def _bounded(self, export: Export) -> Admitted:
        """Return the export without what the member cannot have."""
        families = tuple(family for family in export.families if self._spans.of(family))
        if not families:
            why = f"member {self.member.id!r} has no prefix of its families"
            return Admitted(None, (Refusal(FAMILY, f"{export.name}: {why}"),))
        refused = _Refused(export.name)
        slices = tuple(filter(None, (self._slice(one, refused) for one in export.slices)))
        properties = replace(
            export.properties,
            labels=_unreserved(export.properties.labels, refused),
            annotations=_unreserved(export.properties.annotations, refused),
        )
        created = max(export.created, self._since)
        bounded = replace(export, created=created, families=families, properties=properties, slices=slices)
        return Admitted(bounded, refused.refusals)

    def _slice(self, found: Slice, refused: _Refused) -> Slice | None:
        kept = []
        for endpoint in found.endpoints:
            if lie := self._lie(endpoint, found.family):
                refused.add(lie[0], f"{endpoint.address} {lie[1]}")
            else:
                kept.append(endpoint)
        return replace(found, endpoints=tuple(kept)) if kept else None

    def _lie(self, endpoint: Endpoint, family: int) -> tuple[str, str] | None:
        address = endpoint.address
        if address.version != family:
            return FAMILY, f"is in a slice of IPv{family}"
        if not self._spans.have(address):
            return ADDRESS, f"is outside of the prefixes of member {self.member.id!r}"
        if self._services.have(address):
            return SERVICE, "is an address of this cluster's Services"
        if range_ := special(address):
            return SPECIAL, f"cannot be a pod's: {range_}"
        return None


class _Spans:
    """Prefixes as the numbers of their first and last addresses, for many questions."""

    def __init__(self, prefixes: Iterable[Prefix]) -> None:
        self._of: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for one in prefixes:
            self._of[one.version].append((int(one.network_address), int(one.broadcast_address)))

    def of(self, family: int) -> list[tuple[int, int]]:
        """Return those of a family."""
        return self._of[family]

    def have(self, address: Address) -> bool:
        """Report whether an address is in one of them."""
        number = int(address)
        return any(first <= number <= last for first, last in self._of[address.version])


class _Refused:
    """What is refused of a record: once for each reason, since a record may have thousands of lies."""

    def __init__(self, name: Name) -> None:
        self._name = name
        self._found: dict[str, Refusal] = {}

    def add(self, reason: str, why: str) -> None:
        """Count one more."""
        first = self._found.get(reason) or Refusal(reason, f"{self._name}: {why}", 0)
        self._found[reason] = first._replace(times=first.times + 1)

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """All of it."""
        return tuple(self._found.values())


class Admission:
    """Admits one member's records one after the other: bounds its whole answer, and says what was refused.

    Another one is made for another entry in the file and for each full answer.
    """

    def __init__(
        self,
        member: Member,
        here: Callable[[], Container[str]],
        limits: Limits = Limits(),
        *,
        services: Collection[Prefix] = (),
    ) -> None:
        """Begin with nothing admitted; `services` are the ranges of this cluster's Services."""
        self._bounds = Bounds(member, limits, services)
        self._here = here
        self._limits = limits
        self._volume = Volume(limits.most)
        self._refusals: dict[Name, tuple[Refusal, ...]] = {}
        self._others: dict[str, Refusal] = {}  # of records without a name, and of more names than are remembered
        self._elsewhere: set[str] = set()

    def admit(self, document: object) -> Export | None:
        """Return the export that a record is, within its bounds; None if it is refused, or of no namespace here.

        A record that is refused takes the place of the one before: what was believed of its Service counts no more.
        """
        found = self._bounds.admit(document, self._here())
        name = found.export.name if found.export else _name(document)
        if name:
            self.gone(name)
        refusals, export = found.refusals, found.export
        if export and (refusal := self._too_much(export)):
            refusals, export = (*refusals, refusal), None
        if refusals:
            self._remember(name, refusals)
        if export:
            self._volume.take(export.name, amounts(export))
        elif name and not refusals and len(self._elsewhere) < _ELSEWHERE:
            self._elsewhere.add(name.namespace)
        return export

    def gone(self, name: Name) -> None:
        """Note that the member exports a Service no more."""
        self._volume.release(name)
        self._refusals.pop(name, None)

    @property
    def elsewhere(self) -> frozenset[str]:
        """The namespaces that were not here when a record of them was dropped."""
        return frozenset(self._elsewhere)

    @property
    def refused(self) -> Mapping[str, int]:
        """How much is refused now, by reason."""
        found = Counter[str]()
        for one in self._all():
            found[one.reason] += one.times
        return dict(sorted(found.items()))

    @property
    def examples(self) -> tuple[str, ...]:
        """Sentences about some of it, of each reason one before others of the same."""
        found = defaultdict[str, list[str]](list)
        for one in self._all():
            found[one.reason].append(one.message)
        ranked = [(rank, message) for messages in found.values() for rank, message in enumerate(messages[:_EXAMPLES])]
        return tuple(message for _, message in sorted(ranked)[:_EXAMPLES])

    def _all(self) -> Iterator[Refusal]:
        yield from self._others.values()
        for refusals in self._refusals.values():
            yield from refusals

    def _too_much(self, export: Export) -> Refusal | None:
        what = self._volume.excess(amounts(export))
        if not what:
            return None
        most = f"{self._limits.most[what]} {what}"
        why = f"member {self._bounds.member.id!r} exports more than {most} to namespaces of this cluster"
        return Refusal(_TOO_MUCH[what], f"{export.name}: {why}")

    def _remember(self, name: Name | None, refusals: tuple[Refusal, ...]) -> None:
        if name and len(self._refusals) < _REMEMBERED:
            self._refusals[name] = refusals
            return
        for one in refusals:
            known = self._others.get(one.reason, one._replace(times=0))
            self._others[one.reason] = known._replace(times=known.times + one.times)


def joined(since: dt.date) -> int:
    """Return since when exports of a member count, in seconds since 1970: none is taken for older, by any cluster."""
    return int(dt.datetime.combine(since, dt.time(), dt.UTC).timestamp())


def reserved(key: str) -> bool:
    """Report whether a key of a label or an annotation means something to Kubernetes or to us, and is not exported.

    Such a key on the derived objects would change what other programs do with them.
    """
    prefix = key.rpartition("/")[0]
    return key != AFFINITY and any(prefix == one or prefix.endswith(f".{one}") for one in _RESERVED)


def unreserved(pairs: Pairs) -> Pairs:
    """Return labels or annotations without those that are not exported."""
    return tuple(pair for pair in pairs if not reserved(pair[0]))


def _unreserved(pairs: Pairs, refused: _Refused) -> Pairs:
    for key in (key for key, _ in pairs if reserved(key)):
        refused.add(RESERVED, f"the key {key} is reserved, so it is not imported")
    return unreserved(pairs)


def _name(document: object) -> Name | None:
    try:
        return wire.name_of(document)
    except Unreadable:
        return None
