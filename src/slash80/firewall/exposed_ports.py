"""Elements of exposed ports: attachments in, intervals of ports at the pods' addresses out, and ports read back.

The kernel refuses intervals that overlap. A record has none that do, and those of one pod are added and deleted all
together.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from itertools import product

from slash80.addressing.attachment import Attachment
from slash80.addressing.family import FAMILIES, Address, Family, family_of
from slash80.addressing.ports import PortRange, merged
from slash80.firewall.records import Element, NamedSet


def exposed_set(family: Family) -> str:
    """Return the name of the set of pods' addresses with the ports that are open to everybody."""
    return f"exposed{family.version}"


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the set of a family."""
    yield NamedSet(exposed_set(family), f"ipv{family.version}_addr . inet_proto . inet_service", "flags interval;")


_NAMES = frozenset(map(exposed_set, FAMILIES))


def of_attachment(attachment: Attachment) -> Iterator[Element]:
    """Return the elements of the ports that an attachment may have open, at each of its addresses."""
    for address, ports in product(attachment.assignment.addresses, attachment.openings.exposed):
        first, last = ((address, ports.number, port) for port in (ports.first, ports.last))
        yield Element(exposed_set(family_of(address)), first, end=last)


def at(addresses: Collection[object], installed: Iterable[Element]) -> frozenset[Element]:
    """Return those of the installed elements that open ports at one of the addresses."""
    return frozenset(one for one in installed if one.set_name in _NAMES and one.key[0] in addresses)


def ports(addresses: Collection[Address], installed: Iterable[Element]) -> tuple[PortRange, ...]:
    """Return the ports that are open at one of the addresses."""
    return merged(map(range_of, at(addresses, installed)))


def range_of(element: Element) -> PortRange:
    """Return the ports of an element, whether or not its key begins with an address."""
    (*_, protocol, first), last = element.key, element.end[-1]
    return PortRange(str(protocol), first, last)  # type: ignore[arg-type]  # by the set's type
