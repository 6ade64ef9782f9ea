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
from collections.abc import Iterable
from itertools import product

from slash80.addressing.attachment import Attachment, State
from slash80.addressing.family import FAMILIES, Family, family_of
from slash80.firewall.records import Element


def pod_set(family: Family) -> str:
    """Return the name of the set of host ends and their pods' addresses."""
    return f"pods{family.version}"


POD_SETS = tuple(map(pod_set, FAMILIES))


def of_attachments(attachments: Iterable[Attachment]) -> frozenset[Element]:
    """Return the elements of these attachments, whatever state they are in."""
    containers = defaultdict(list)
    for attachment in attachments:
        containers[attachment.key.container].append(attachment)
    return frozenset(
        Element(pod_set(family_of(address)), sender.host_ifname, address)
        for attached in containers.values()
        for sender, holder in product(attached, repeat=2)
        for address in holder.assignment.addresses
    )


def wanted(attachments: Iterable[Attachment]) -> frozenset[Element]:
    """Return the elements that there should be: a link that waits for its deletion sends nothing."""
    return of_attachments(one for one in attachments if one.state is not State.TERMINATING)


def brought_by(attachment: Attachment, others: Iterable[Attachment]) -> frozenset[Element]:
    """Return the elements that an attachment adds to those of the others of its container."""
    before = [one for one in others if one.host_ifname != attachment.host_ifname]
    return wanted([*before, attachment]) - wanted(before)
