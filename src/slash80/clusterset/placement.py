"""Which endpoints share an EndpointSlice: at most a hundred, and each where it was as long as there is room.

The endpoints are spread by a hash of their addresses, by as many of its bits as are needed for no slice to have more
than a hundred. So where an endpoint belongs follows from the endpoints alone, in every process and after every restart,
and a change of one endpoint changes one slice, or, when that gets too full, divides it in two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from slash80.addressing.family import Address
from slash80.cluster.objects.endpointslice import Endpoint

MOST = 100  # endpoints of a slice, as Kubernetes' own controller has it
_BITS = 128


class Part(NamedTuple):
    """Some endpoints, in the order of their addresses, and the bits of the hash that they have in common."""

    bits: str
    endpoints: tuple[Endpoint, ...]


def placed(endpoints: Iterable[Endpoint], most: int = MOST) -> list[Part]:
    """Divide endpoints of one family among slices; of two with the same address the ready one counts."""
    best: dict[Address, Endpoint] = {}
    for one in endpoints:
        best[one.address] = max(one, best.get(one.address, one), key=_readiness)
    ordered = sorted(best, key=int)
    if len(ordered) <= most:  # as nearly all are: without a hash of each
        return [Part("", tuple(best[address] for address in ordered))] if ordered else []
    return [*_divided("", [(_hash(address), best[address]) for address in ordered], most)]


def _readiness(endpoint: Endpoint) -> tuple[bool, bool, bool]:
    return endpoint.ready, endpoint.serving, not endpoint.terminating


def _hash(address: Address) -> str:
    return f"{int.from_bytes(hashlib.sha256(address.packed).digest()[: _BITS // 8], 'big'):0{_BITS}b}"


def _divided(bits: str, hashed: Sequence[tuple[str, Endpoint]], most: int) -> Iterator[Part]:
    if len(hashed) <= most:
        if hashed:
            yield Part(bits, tuple(endpoint for _, endpoint in hashed))
        return
    for bit in "01":
        longer = bits + bit
        yield from _divided(longer, [one for one in hashed if one[0].startswith(longer)], most)
