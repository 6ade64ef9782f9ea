"""The firewall's elements of pods, as the records have them: see `firewall.elements`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from slash80.addressing.attachment import Attachment
from slash80.addressing.openings import NO_OPENINGS
from slash80.errors import BelongsToAnother, IoFailure
from slash80.firewall import conntrack, elements, host_ports
from slash80.firewall.records import TABLE, Element
from slash80.host.context import Host
from slash80.wiring import query, return_paths, veth


def reconcile(host: Host) -> int:
    """Make the firewall's elements those of the recorded pods; return how many were missing or left over.

    An element of a link that exists and has no record may be another state directory's, and stays; so does an exposed
    port at an address of such a link.
    """
    with host.locks.firewall_held():
        attachments = host.store.attachments()
        wanted, installed = elements.wanted(attachments), host.table.elements()
        if installed is None:
            return 0
        missing, left = wanted - installed, installed - wanted
        stale = left - _others(host, left, {one.host_ifname for one in attachments}) if left else left
        host.table.change(add=missing, delete=stale)
    return len(missing) + len(stale)


def _others(host: Host, left: Collection[Element], recorded: Collection[str]) -> frozenset[Element]:
    """Return those of the elements that belong to a link of which this state directory has no record."""
    with veth.translated():
        unknown = sorted({one.ifname for one in left if one.ifname} - {*recorded})
        alive = {link.name for link in query.named(host.netlink, unknown)}
    of_links = {one for one in left if one.ifname in alive}
    addresses = {elements.address_of(one) for one in of_links}
    return frozenset(of_links | elements.openings_of(addresses, left))


def make_room(host: Host, attachment: Attachment) -> None:
    """Delete elements that lead a host port of a recorded attachment to a pod that is gone.

    Such are left when the store was lost, or by a removal that is not finished. Raise BelongsToAnother when one leads
    to a pod that lives: another state directory's, since no record of this one has the port.
    """
    if not attachment.openings.mappings:
        return
    with host.locks.firewall_held():
        installed = host.table.elements() or frozenset()
        if not (rivals := host_ports.rivals(elements.of_openings(attachment), installed)):
            return
        left = rivals | elements.openings_of({part for one in rivals for part in one.data}, installed)
        if taken := left & elements.of_attachments(host.pods().others):
            raise BelongsToAnother(
                f"'{min(map(str, taken))}' of table inet {TABLE} leads a host port of {attachment.key} to a pod of "
                "another state directory; use another hostPort or hostIP"
            )
        host.table.change(delete=left)


def close(host: Host, gone: Attachment) -> None:
    """Delete the elements of openings at once, although the link is deleted later, and what UDP goes on by them."""
    if gone.openings == NO_OPENINGS:
        return
    with host.locks.firewall_held():
        host.table.change(delete=_opened(host, [gone]))
    forget_ports(host, gone)


def forget_ports(host: Host, attachment: Attachment) -> None:
    """Delete UDP connections that were made before a host port led to this pod, or led to it."""
    if mappings := attachment.openings.mappings:
        with veth.translated():
            own = return_paths.own_addresses(host.netlink)
        conntrack.forget_ports(mappings, own)


def delete_with_records(host: Host, gone: Sequence[Attachment], delete_records: Callable[[], None]) -> None:
    """Delete the elements of attachments, and then their records.

    Both while the firewall's lock is held: a table that was replaced in between would have the elements again.
    """
    if not gone:
        delete_records()
        return
    with host.locks.firewall_held():
        _delete_elements(host, gone)
        delete_records()


def delete_with_terminating_records(host: Host, gone: Sequence[Attachment]) -> None:
    """Do the same for attachments that are still terminating.

    They are looked up again under the lock. Of a hundred calls that reap the same hundred links at once, as the ADDs of
    a full node do, one finds work: if each did all of it, the last would not get the lock in time.
    """
    if not gone:
        return
    with host.locks.firewall_held():
        terminating = set(host.store.terminating())
        if left := [one for one in gone if one in terminating]:
            _delete_elements(host, left)
            host.store.forget(left)


def _delete_elements(host: Host, gone: Sequence[Attachment]) -> None:
    left = [one for old in gone for one in host.store.attachments(old.key) if one not in gone]
    plain = [replace(one, openings=NO_OPENINGS) for one in gone]
    plain_elements = elements.of_attachments([*plain, *left]) - elements.wanted(left)
    host.table.change(delete=plain_elements | _opened(host, gone))


def _opened(host: Host, gone: Sequence[Attachment]) -> frozenset[Element]:
    """Return the elements of these pods' openings; a host port may lead to another pod by now."""
    if any(one.openings.mappings for one in gone):
        addresses = {address for one in gone for address in one.assignment.addresses}
        return elements.openings_of(addresses, host.table.elements() or frozenset())
    return frozenset(element for one in gone for element in elements.of_openings(one))


def delete_of(host: Host, host_ifname: str) -> None:
    """Delete the elements of a host end of which there is no record.

    Its container's other host ends may have its addresses as well. Which those are only the records of the others tell;
    where the store cannot be read these elements stay until the next GC or the agent compares them.
    """
    installed = host.table.elements() or frozenset()
    own = {one for one in installed if one.ifname == host_ifname}
    addresses = {elements.address_of(one) for one in own}
    shared = {one for one in installed - own if one.ifname and elements.address_of(one) in addresses}
    if shared := shared | elements.openings_of(addresses, installed):
        with suppress(IoFailure):
            own |= shared - elements.wanted(host.store.attachments())
    host.table.change(delete=own)
