"""Removing attachments: links, addresses, records and connections, at once or deferred."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from types import TracebackType
from typing import TypeVar

from slash80.addressing.attachment import Attachment, Key, State, host_name
from slash80.errors import CniError, FirewallUnusable, IoFailure, TryAgain
from slash80.failpoints import Failpoint, hit
from slash80.firewall import conntrack
from slash80.host import pod_elements
from slash80.host.context import Host
from slash80.host.forwarding import delete_unneeded_discard_routes
from slash80.store.locks import Absent
from slash80.wiring import deferred, query, veth

T = TypeVar("T")


def delete_attachment(host: Host, key: Key, sandbox: int | None) -> None:
    """Remove whatever exists of an attachment, under its lock; that nothing exists is a success.

    A removal that comes after the uninstaller, or has waited for it, must not create a state directory again.
    """
    with _removal_held(host, key) as may_be_recorded:
        hit(Failpoint.LOCKED)
        if may_be_recorded:
            defer_delete(host, key, sandbox)
        else:
            _in_any_case(_remove_unrecorded, host, key.host_ifname)


@contextmanager
def _removal_held(host: Host, key: Key) -> Iterator[bool]:
    """Hold an attachment's lock for a removal, and yield whether the store may have a record of it.

    A full or read-only disk must not keep a pod from being removed.
    """
    may_be_recorded = True
    with ExitStack() as stack:
        try:
            stack.enter_context(host.locks.held(key.host_ifname, make=False))
        except IoFailure as error:
            may_be_recorded = not isinstance(error, Absent) or host.store.exists
        yield may_be_recorded


def defer_delete(host: Host, key: Key, sandbox: int | None) -> None:
    """Take an attachment from its pod and leave its link's deletion to `deferred_deletion`, if the host has one.

    Deleting a link waits 16 ms and more for an RCU grace period, and deleting a hundred at once waits no longer. Until
    the link is gone the record keeps its addresses. An attachment that cannot be deferred is removed at once. A runtime
    that repeats a DEL often names no namespace any more: a deletion that is deferred already stays so.
    """
    host_ifname = key.host_ifname
    if host.deferred_deletion is None or (sandbox is None and not deferred.is_deferred(host.netlink, key)):
        _in_any_case(remove, host, host_ifname)
        return
    known = None
    try:
        is_deferred = sandbox is None or deferred.defer(host.netlink, key, sandbox)
        hit(Failpoint.DEFERRED)
        if is_deferred:
            known = host.store.mark_terminating(host_ifname)
    except TryAgain:
        host.deferred_deletion.queued()  # the link waits for its deletion all the same; the record for the next DEL
        raise
    except (CniError, OSError) as error:
        host.deferred_deletion.failed(host_ifname, error)
        _in_any_case(remove, host, host_ifname)
        return
    if is_deferred:
        hit(Failpoint.TERMINATING)
        if known:
            _in_any_case(pod_elements.close, host, known)
        host.deferred_deletion.queued()
    else:
        _in_any_case(release, host, host_ifname)


def _in_any_case(removal: Callable[[Host, T], None], host: Host, what: T) -> None:
    """Remove a pod even if its connections cannot be deleted; the next reaping, GC or exhausted pool reports those."""
    with suppress(FirewallUnusable):
        removal(host, what)


def _remove_unrecorded(host: Host, host_ifname: str) -> None:
    veth.detach(host.netlink, host_ifname)
    pod_elements.delete_of(host, host_ifname)


def remove(host: Host, host_ifname: str) -> None:
    """Delete the link, and only then release the addresses; raises what `release` raises."""
    veth.detach(host.netlink, host_ifname)
    hit(Failpoint.DETACHED)
    release(host, host_ifname)


def release(host: Host, host_ifname: str) -> None:
    """Release the addresses of an attachment without link into their cooldown, once their connections are deleted.

    A store that cannot be written is left as it is: the record has no link, so the next exhausted pool or GC finds it
    dead. Where its connections or the firewall's elements cannot be deleted FirewallUnusable is raised, and the record
    stays, terminating.
    """
    try:
        known = _recorded(host, host_ifname)
        try:
            conntrack.forget(host.store.held(known))
            pod_elements.delete_with_records(host, known, partial(host.store.release, host_ifname))
            for one in known:
                pod_elements.forget_ports(host, one)
            if not known:  # the record was lost with the store, or this removal is repeated
                pod_elements.delete_of(host, host_ifname)
        except FirewallUnusable:
            host.store.mark_terminating(host_ifname)
            raise
        delete_unneeded_discard_routes(host, {one.network for one in known})
    except IoFailure:
        pod_elements.delete_of(host, host_ifname)
    hit(Failpoint.RELEASED)


def unreserve(host: Host, host_ifname: str) -> None:
    """Release the addresses of an attachment that never had a link, without cooldown: no packet has left from them."""
    known = _recorded(host, host_ifname)
    pod_elements.delete_with_records(host, known, partial(host.store.release, host_ifname, rest=False))


def _recorded(host: Host, host_ifname: str) -> list[Attachment]:
    known = host.store.get(host_ifname)
    return [known] if known else []


def reap(host: Host) -> int:
    """Delete every terminating link and release the addresses that only it still held; return how many links went.

    Records are read first: one that is marked terminating meanwhile keeps its addresses until the next time, and so
    does one whose link still exists.
    """
    terminating = host.store.terminating()
    with veth.translated():
        deleted = deferred.delete_all(host.netlink)
        left = {link.name for link in query.named(host.netlink, [one.dying_name for one in terminating])}
    hit(Failpoint.REAPED)
    if gone := [one for one in terminating if one.dying_name not in left]:
        conntrack.forget(host.store.held(gone))
        pod_elements.delete_with_terminating_records(host, gone)
    for name in set(deleted) - {one.dying_name for one in terminating}:
        # its record is not there yet, or was lost with the store: then nothing else names its elements
        if host.store.get(host_ifname := host_name(name)) is None:
            pod_elements.delete_of(host, host_ifname)
    delete_unneeded_discard_routes(host, {one.network for one in gone})
    return len(deleted)


def release_dead(host: Host) -> int:
    """Release every attachment that has no link and that no call is working on; return how many links were deleted."""
    dead = 0
    for attachment in host.store.attachments():
        with host.locks.tried(attachment.host_ifname) as free:
            # read again under the lock: it may have become another attachment since
            if free and host.store.get(attachment.host_ifname) == attachment and is_dead(host, attachment):
                host.store.mark_terminating(attachment.host_ifname)
                dead += 1
    return dead + reap(host)


def is_complete(host: Host, known: Attachment) -> bool:
    """Report whether a recorded attachment is complete: its link carries the alias, which is written last."""
    link = veth.host_end(host.netlink, known.host_ifname)
    return known.state is State.READY and link is not None and bool(link.alias)


def is_dead(host: Host, attachment: Attachment) -> bool:
    """Report whether an attachment's link is gone, as after its network namespace was deleted."""
    with veth.translated():
        return not query.named(host.netlink, (attachment.host_ifname, attachment.dying_name))


class UndoOnFailure:
    """Removes an attachment when the block fails; should the removal fail too, the first error is still the one raised.

    An attachment whose link was never made gives its addresses back without cooldown: no packet has left from them.
    """

    def __init__(self, host: Host, host_ifname: str) -> None:
        self._host, self._host_ifname = host, host_ifname

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo, unless all went well."""
        if value is None:
            return
        try:
            if veth.detach(self._host.netlink, self._host_ifname):
                release(self._host, self._host_ifname)
            else:
                unreserve(self._host, self._host_ifname)
        except (CniError, OSError) as further:
            value.add_note(f"and undoing it failed as well: {further}; a DEL, a GC or the next ADD finishes that")
