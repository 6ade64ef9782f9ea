"""Elements of the pods: attachments in, elements of the table's sets out.

The skeleton follows from the settings, and its sets for pods are empty. ADD adds an element before the pod's link
exists, it is deleted before its record goes, and it is written with the skeleton whenever that is installed. So each
element in the kernel has a record in the store, unless that was lost. One of a link that is gone matches no packet: a
host end's name follows from its container and interface.

Each host end of a container has the addresses of all its interfaces. The pod's routes decide by which it sends, so a
reply from an address of `net1` may leave by the default route of `eth0`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address
from itertools import product

from slash80.addressing.attachment import Attachment, State
from slash80.addressing.family import FAMILIES, Address, Family, family_of
from slash80.addressing.openings import NO_OPENINGS, Openings
from slash80.firewall import exposed_ports, host_ports
from slash80.firewall.records import Element, NamedSet


def pod_set(family: Family) -> str:
    """Return the name of the set of host ends and their pods' addresses."""
    return f"pods{family.version}"


def sets(family: Family) -> Iterator[NamedSet]:
    """Return the sets of a family that hold elements of pods. Without a declared size the kernel lets them grow."""
    yield NamedSet(pod_set(family), f"ifname . ipv{family.version}_addr")
    yield from host_ports.sets(family)
    yield from exposed_ports.sets(family)


POD_SETS = tuple(one for family in FAMILIES for one in sets(family))


def address_of(element: Element) -> Address:
    """Return the address of an element of a set of links and addresses."""
    _, address = element.key
    if not isinstance(address, IPv4Address | IPv6Address):
        raise TypeError(element)
    return address


def of_attachments(attachments: Iterable[Attachment]) -> frozenset[Element]:
    """Return the elements of these attachments, whatever state they are in."""
    containers = defaultdict(list)
    found: set[Element] = set()
    for attachment in attachments:
        containers[attachment.key.container].append(attachment)
        if attachment.openings is not NO_OPENINGS:
            found.update(of_openings(attachment))
    found.update(
        Element(pod_set(family_of(address)), (sender.host_ifname, address))
        for attached in containers.values()
        for sender, holder in product(attached, repeat=2)
        for address in holder.assignment.addresses
    )
    return frozenset(found)


def of_openings(attachment: Attachment) -> Iterator[Element]:
    """Return the elements of an attachment's openings."""
    yield from host_ports.of_attachment(attachment)
    yield from exposed_ports.of_attachment(attachment)


def openings_of(addresses: Collection[object], installed: Iterable[Element]) -> frozenset[Element]:
    """Return those of the installed elements that are openings of pods with one of the addresses."""
    return host_ports.leading_to(addresses, installed) | exposed_ports.at(addresses, installed)


def orphans(pods: Iterable[Attachment], installed: Collection[Element]) -> frozenset[Element]:
    """Return the openings that lead to none of the pods."""
    addresses = {address for one in pods for address in one.assignment.addresses}
    return frozenset(one for one in installed if not one.ifname) - openings_of(addresses, installed)


def with_openings(attachment: Attachment, installed: Iterable[Element]) -> Attachment:
    """Return an attachment that was read back from the kernel with the openings that the table has of it."""
    addresses = attachment.assignment.addresses
    expose = exposed_ports.ports(addresses, installed)
    openings = Openings(host_ports.mappings(addresses, installed), expose, expose_allowed=bool(expose))
    return attachment if openings == NO_OPENINGS else replace(attachment, openings=openings)


def wanted(attachments: Iterable[Attachment]) -> frozenset[Element]:
    """Return the elements that there should be: a link that waits for its deletion sends nothing."""
    return of_attachments(one for one in attachments if one.state is not State.TERMINATING)


def brought_by(attachment: Attachment, others: Iterable[Attachment]) -> frozenset[Element]:
    """Return the elements that an attachment adds to those of the others of its container."""
    before = [one for one in others if one.host_ifname != attachment.host_ifname]
    return wanted([*before, attachment]) - wanted(before) if before else wanted([attachment])
