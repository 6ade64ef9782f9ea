"""What one call works with on its node: store, locks and sockets, and how an attachment is taken away."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeVar, cast

from slash80.addressing.attachment import Attachment, Key, State
from slash80.addressing.family import Address, Family, Network
from slash80.addressing.pool import Pool, Range
from slash80.cni.conf import RemovalConf
from slash80.errors import CniError, FirewallUnusable, IoFailure, TryAgain
from slash80.firewall import conntrack
from slash80.firewall.installed import InstalledTable
from slash80.firewall.records import Ruleset
from slash80.moments import Moment, reach
from slash80.netlink import Socket
from slash80.store.api import Register
from slash80.store.locks import Absent, AttachmentLocks, unusable
from slash80.store.sqlite import SqliteStore
from slash80.wiring import attach, bury, conflicts, covers, live, netns, survey, sysctl

T = TypeVar("T")
LATELY = 0.1  # seconds
SYSCTLS = "sysctls"  # in the state directory: a line of key and value for each setting of the node that was changed


class Graveyard(Protocol):
    """Hears of links that were put aside, and deletes them together later."""

    def buried(self) -> None:
        """Hear that one more waits."""

    def refused(self, host_ifname: str, reason: Exception) -> None:
        """Hear that one could not be put aside, and was deleted."""


class Lately:
    """What was found out about the node, for as long as pods come close after each other.

    A change is seen a tenth of a second late at most: by those pods that could as well have come before it.
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._found: dict[object, tuple[float, object]] = {}

    def get(self, what: object, find: Callable[[], T]) -> T:
        """Give what was found lately, or find it out; a failure is not kept."""
        now = time.monotonic()
        since, found = self._found.get(what, (-LATELY, None))
        if now - since >= LATELY:
            found = find()
            self._found[what] = now, found
        return cast("T", found)


class Node:
    """The node's state, for one call.

    Where there is a `graveyard`, removals leave the slow part to it; else everything is deleted at once.
    """

    def __init__(
        self,
        host: Socket,
        table: InstalledTable,
        *,
        store: SqliteStore,
        locks: AttachmentLocks,
        lately: Lately,
        graveyard: Graveyard | None = None,
    ) -> None:
        """Work with these; whoever made them closes them."""
        self.host, self.table, self.store, self.locks = host, table, store, locks
        self._lately, self._graveyard = lately, graveyard

    @contextmanager
    def _removal_held(self, key: Key) -> Iterator[bool]:
        """Hold an attachment's lock for a removal, and tell whether there may be a record of it.

        A full or read-only disk must not keep a pod from being removed.
        """
        recorded = True
        with ExitStack() as stack:
            try:
                stack.enter_context(self.locks.held(key.host_ifname, make=False))
            except IoFailure as error:
                recorded = not isinstance(error, Absent) or self.store.is_there
            yield recorded

    def enclose(self, ruleset: Ruleset, network: str) -> bool:
        """Have the firewall in place, before any pod's link exists; tell whether it had to be put there.

        Asking costs one question, and no lock. Raise what `InstalledTable.ensure` raises.
        """
        if self.table.is_whole(ruleset):
            return False
        with self.locks.firewall_held():
            return self.table.ensure(ruleset, network, self._in_use)

    def require(self, families: tuple[Family, ...]) -> None:
        """Raise Failure when the kernel lacks a family."""
        self._lately.get(("families", families), lambda: sysctl.require(families))

    def around(self, prefixes: tuple[Network, ...]) -> Mapping[Range, str]:
        """Return what is taken of the prefixes by subnets of the node's links, and by whom."""
        return self._lately.get(("around", prefixes), lambda: self._around(prefixes))

    def _around(self, prefixes: tuple[Network, ...]) -> Mapping[Range, str]:
        with attach.translated():
            return conflicts.around(self.host, prefixes)

    def leading_elsewhere(self, addresses: Sequence[Address], prefixes: Sequence[Network]) -> Mapping[Range, str]:
        """Return what the routes to these addresses take of the prefixes."""
        with attach.translated():
            return conflicts.leading_elsewhere(self.host, addresses, prefixes)

    def refuse_conflicts(self, pools: Sequence[Pool]) -> None:
        """Raise BelongsToAnother when of one of the pools all leads elsewhere."""
        with attach.translated():
            conflicts.refuse(self.host, pools)

    def uplink_mtu(self) -> int:
        """Give the MTU of the way out; raise Failure when the kernel refuses to tell."""
        return self._lately.get("mtu", self._ask_mtu)

    def _ask_mtu(self) -> int:
        with attach.translated():
            return live.uplink_mtu(self.host)

    def prepare(self, families: tuple[Family, ...], prefixes: tuple[Network, ...]) -> None:
        """Let the node forward packets, except to those addresses of its prefixes that no pod has."""
        self._lately.get(("prepared", families, prefixes), lambda: self._prepare(families, prefixes))

    def _prepare(self, families: tuple[Family, ...], prefixes: tuple[Network, ...]) -> None:
        self.forward(families)
        with attach.translated():
            covers.cover(self.host, prefixes)

    def keep_covered(self, network: str, prefixes: tuple[Network, ...]) -> list[str]:
        """Have the covers of a network that may have no pods; return the commands that had to be done."""
        with attach.translated():
            done = covers.cover(self.host, prefixes)
        self.store.read(lambda register: register.note(network, prefixes, boottime()))
        return done + self.uncover()

    def uncover(self, alive: Collection[str] = ()) -> list[str]:
        """Remove the covers that no network and no pod needs; return the commands that had to be done.

        Networks that are `alive`, since one of their pods was just removed, are remembered for longer. Needed or not
        is decided and done under the store's lock: what is given out of a prefix afterwards has its cover made again.
        """
        with attach.translated():
            found = covers.covered(self.host)
            return self.store.read(partial(self._uncover, found, alive)) if found else []

    def _uncover(self, found: Sequence[Network], alive: Collection[str], register: Register) -> list[str]:
        now = boottime()
        register.refresh(alive, now)
        if not (networks := register.networks(now)):
            return []  # after the store was lost nobody has said yet which there are
        needed = {prefix for prefixes in networks.values() for prefix in prefixes}
        stale = [prefix for prefix in found if prefix not in needed and not register.holds(prefix)]
        return covers.uncover(self.host, stale)

    def restore(
        self, ruleset: Ruleset, network: str, *, families: tuple[Family, ...], prefixes: tuple[Network, ...]
    ) -> None:
        """Have firewall, forwarding and covers as ADD left them, also where they were so a moment ago."""
        self.enclose(ruleset, network)
        self._prepare(families, prefixes)

    def forward(self, families: tuple[Family, ...]) -> None:
        """Let the node forward packets, and remember what it was set to before: the uninstaller sets it back."""
        sysctl.forward(families, self._remember)

    def _remember(self, key: str, value: str) -> None:
        path = self.locks.state_dir / SYSCTLS
        try:
            with path.open("a", encoding="ascii") as file:
                file.write(f"{key} {value}\n")
        except OSError as error:
            raise unusable(path, error) from error

    def _in_use(self, network: str) -> bool:
        return any(one.same_network(network) and one.state is not State.DYING for one in self.store.attachments())

    def remove(self, host_ifname: str) -> None:
        """Delete the link, and only then let the addresses go; raise what `release` raises."""
        attach.detach(self.host, host_ifname)
        reach(Moment.DETACHED)
        self.release(host_ifname)

    def take_away(self, key: Key, sandbox: int | None) -> None:
        """Remove whatever there is of an attachment, under its lock; that there is nothing is a success.

        A removal that comes after the uninstaller, or has waited for it, must not make anything anew.
        """
        with self._removal_held(key) as recorded:
            reach(Moment.LOCKED)
            if recorded:
                self.put_aside(key, sandbox)
            else:
                attach.detach(self.host, key.host_ifname)

    def put_aside(self, key: Key, sandbox: int | None) -> None:
        """Take an attachment from its pod without waiting for the link's deletion, if there is a graveyard.

        Deleting a link costs 16 ms and more of waiting for RCU, and a hundred links at once no more than that. Until
        the link is gone the row keeps its addresses. What cannot be put aside is removed. A runtime that repeats a
        removal often names no namespace any more: what was put aside stays where it is.
        """
        host_ifname = key.host_ifname
        if self._graveyard is None or (sandbox is None and not bury.is_buried(self.host, key)):
            _in_any_case(self.remove, host_ifname)
            return
        try:
            buried = sandbox is None or bury.bury(self.host, key, sandbox)
            reach(Moment.BURIED)
            if buried:
                self.store.doom(host_ifname)
        except TryAgain:
            self._graveyard.buried()  # the link waits to be deleted all the same, and the record for the next removal
            raise
        except (CniError, OSError) as error:
            self._graveyard.refused(host_ifname, error)
            _in_any_case(self.remove, host_ifname)
            return
        if buried:
            reach(Moment.DOOMED)
            self._graveyard.buried()
        else:
            _in_any_case(self.release, host_ifname)

    def release(self, host_ifname: str) -> None:
        """Let the addresses of an attachment without link go, and rest, once their connections are forgotten.

        A store that cannot be written waits: the row has no link, by which the next exhaustion or GC knows that it is
        dead. Where connections cannot be deleted FirewallUnusable is raised, and the row stays as a dying one.
        """
        with suppress(IoFailure):
            if known := self.store.get(host_ifname):
                try:
                    conntrack.forget(self.store.held([known]))
                except FirewallUnusable:
                    self.store.doom(host_ifname)
                    raise
            self.store.release(host_ifname)
            self.uncover({known.network} if known else ())
        reach(Moment.RELEASED)

    def reap(self) -> int:
        """Delete every dying link, and let the addresses go whose last trace that was; tell how many links went.

        The rows are read first: one that dies meanwhile keeps its addresses until the next time, and so does one whose
        link is still there.
        """
        doomed = self.store.dying()
        with attach.translated():
            count = bury.delete_all(self.host)
            left = {link.name for link in live.named(self.host, [one.dying_name for one in doomed])}
        reach(Moment.REAPED)
        if gone := [one for one in doomed if one.dying_name not in left]:
            conntrack.forget(self.store.held(gone))
            self.store.forget(gone)
        self.uncover({one.network for one in gone})
        return count

    def is_made(self, known: Attachment) -> bool:
        """Whether a recorded attachment is complete: its link says whose it is, which is written last."""
        link = attach.host_end(self.host, known.host_ifname)
        return known.state is State.READY and link is not None and bool(link.alias)

    def is_dead(self, attachment: Attachment) -> bool:
        """Whether an attachment's link is gone, as when its network namespace was deleted."""
        with attach.translated():
            return not live.named(self.host, (attachment.host_ifname, attachment.dying_name))

    def release_dead(self) -> int:
        """Release every attachment that has no link and that nobody is working on; tell how many."""
        dead = 0
        for attachment in self.store.attachments():
            with self.locks.tried(attachment.host_ifname) as free:
                # asked again under the lock: it may have become another one since
                if free and self.store.get(attachment.host_ifname) == attachment and self.is_dead(attachment):
                    self.store.doom(attachment.host_ifname)
                    dead += 1
        return dead + self.reap()


def _in_any_case(let_go: Callable[[str], None], host_ifname: str) -> None:
    """Remove a pod though its connections cannot be deleted; the next reaping, GC or exhausted pool tells of those."""
    with suppress(FirewallUnusable):
        let_go(host_ifname)


@dataclass(frozen=True, slots=True)
class Means:
    """What a process brings to a call: a node's state, and the descriptor of CNI_NETNS if it was handed over."""

    opened: Callable[[RemovalConf], AbstractContextManager[Node]]
    sandbox: int | None = None


class UndoOnFailure:
    """Takes an attachment away when the block fails; should that fail too, the first error is still the one told."""

    def __init__(self, node: Node, host_ifname: str) -> None:
        """Name what to take away."""
        self._node, self._host_ifname = node, host_ifname

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Undo, unless all went well."""
        if value is None:
            return
        try:
            if attach.detach(self._node.host, self._host_ifname):
                self._node.release(self._host_ifname)
            else:
                self._node.store.release(self._host_ifname, rest=False)
        except (CniError, OSError) as further:
            value.add_note(f"and undoing it failed as well: {further}; a DEL, a GC or the next ADD finishes that")


def store_in(state_dir: Path, timeout: float) -> SqliteStore:
    """Give the store of a state directory; a lost one is filled from the kernel."""
    return SqliteStore(state_dir, survey=_survey, timeout=timeout, clock=boottime)


def boottime() -> float:
    """Seconds since the node booted, suspended or not: the clock of everything that is gone with the boot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _survey() -> list[Attachment]:
    """Read back the attachments that are complete; who is still making one keeps it himself when it is done."""
    with netns.socket_here() as host:
        return [replace(attachment, since=boottime()) for attachment in survey.attachments(host)]


@contextmanager
def _own(conf: RemovalConf) -> Iterator[Node]:
    """Open all that a call needs, for that call only."""
    with ExitStack() as stack:
        host, table = stack.enter_context(netns.socket_here()), InstalledTable()
        stack.callback(table.close)
        store = store_in(conf.state_dir, conf.lock_timeout)
        stack.callback(store.close)
        locks = AttachmentLocks(conf.state_dir, conf.lock_timeout)
        yield Node(host, table, store=store, locks=locks, lately=Lately())


OWN = Means(_own)
