"""The firewall's elements of pods, as the records have them: see `firewall.elements`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from slash80.addressing.attachment import Attachment
from slash80.errors import IoFailure
from slash80.firewall import elements
from slash80.host.context import Host
from slash80.wiring import query, veth


def reconcile(host: Host) -> int:
    """Make the firewall's elements those of the recorded pods; return how many were missing or left over.

    An element of a link that exists and has no record may be another state directory's, and stays.
    """
    with host.locks.firewall_held():
        attachments = host.store.attachments()
        wanted, installed = elements.wanted(attachments), host.table.elements()
        if installed is None:
            return 0
        left, recorded = installed - wanted, {one.host_ifname for one in attachments}
        with veth.translated():
            unknown = sorted({one.ifname for one in left} - recorded)
            alive = {link.name for link in query.named(host.netlink, unknown)}
        missing, stale = wanted - installed, {one for one in left if one.ifname not in alive}
        host.table.change(add=missing, delete=stale)
    return len(missing) + len(stale)


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
    host.table.change(delete=elements.of_attachments([*gone, *left]) - elements.wanted(left))


def delete_of(host: Host, host_ifname: str) -> None:
    """Delete the elements of a host end of which there is no record.

    Its container's other host ends may have its addresses as well. Which those are only the records of the others tell;
    where the store cannot be read these elements stay until the next GC or the agent compares them.
    """
    installed = host.table.elements() or frozenset()
    own = {one for one in installed if one.ifname == host_ifname}
    addresses = {one.address for one in own}
    if shared := {one for one in installed - own if one.address in addresses}:
        with suppress(IoFailure):
            own |= shared - elements.wanted(host.store.attachments())
    host.table.change(delete=own)
