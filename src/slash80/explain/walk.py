"""The steps of a connection in the order in which a packet takes them."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.explain import base, policies
from slash80.explain.records import Kind, Known, Path, Step, Way


def walk(way: Way, known: Known) -> Path:
    """Return a connection's steps. Those behind a drop are asked as well: each of them has to be changed."""
    return Path(way, tuple(_steps(way, known)))


def _steps(way: Way, known: Known) -> Iterator[Step]:
    yield from base.sender(way, known)
    yield from base.led(way, known)
    yield from base.unrouted(way, known)
    if _at_own_node(way):
        yield from base.at_own_node(way, known)
        return
    yield from base.leaving(way, known)
    yield from base.outward(way, known)
    if way.destination.kind is Kind.POD:
        yield from base.edge(way, known)
    yield from policies.judged(way, known)


def _at_own_node(way: Way) -> bool:
    """Report whether it is between a node and a pod of its own, which hooks judge that policies do not use."""
    return Kind.NODE in {way.source.kind, way.destination.kind} and way.source.same_node(way.destination)
