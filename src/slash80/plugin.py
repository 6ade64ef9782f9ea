"""The verbs. ADD and DEL walk the rooms in order and back; what can be known is checked before anything is made."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path

from slash80 import checking, intent
from slash80.addressing.attachment import Assignment, Attachment, Key, State, hashed, read_alias
from slash80.addressing.choose import AddressHeld, Ledger, Wanted, choose
from slash80.addressing.elsewhere import Elsewhere
from slash80.addressing.family import IPV6, Address
from slash80.cni import claims
from slash80.cni import conf as configuration
from slash80.cni import request as requests
from slash80.cni import wishes as wishing
from slash80.cni.conf import RemovalConf
from slash80.cni.document import Document
from slash80.cni.request import Request
from slash80.cni.wishes import Wishes
from slash80.errors import (
    BelongsToAnother,
    CniError,
    Degraded,
    Failure,
    InvalidConfig,
    NoFreeAddress,
    NotReady,
    TryAgain,
)
from slash80.firewall import apply, conntrack
from slash80.intent import Intent
from slash80.moments import Moment, reach
from slash80.node import Means, Node, UndoOnFailure, boottime
from slash80.store.api import Register
from slash80.wiring import attach, live, netns, survey, sysctl
from slash80.wiring.plan import Plan

_LOOKS = 128  # choices, 0.2 ms each, that may lead elsewhere: every call of the node waits meanwhile
_TRIES = 8  # addresses that may turn out to be in use before ADD gives up
_STATUS_WAIT = 1.0  # seconds for each of the store and nft; a runtime waits for STATUS while it holds its own lock


def add(request: Request, means: Means, answer: Callable[[Document], None]) -> None:
    """Attach a pod and answer with the result; raise a CniError, or what `answer` raises, and leave nothing behind.

    The answer goes out under the attachment's lock: an attachment that nobody hears of is taken away again, and must
    not by then have become another call's.
    """
    intended, wishes = intent.read(request.conf), wishing.read(request)
    previous, key = requests.previous(request), _key(request)
    with (
        _sandbox(request, means) as netns_fd,
        means.opened(intended.conf) as node,
        node.locks.held(key.host_ifname),
    ):
        reach(Moment.LOCKED)
        _Adding(request, key, intended, wishes=wishes, node=node, netns_fd=netns_fd).attach(previous, answer)


def delete(request: Request, means: Means) -> None:
    """Remove whatever there is of an attachment; that there is nothing is a success.

    Its host end is enough for that. Where CNI_NETNS has become the host's own namespace, since its process ID was given
    to another process (kubernetes #100648), it is not looked into: an interface of that name is not ours.
    """
    conf, key = configuration.parse(RemovalConf, request.conf), _key(request)
    with means.opened(conf) as node:
        node.take_away(key, _pods_own(request, means.sandbox))


def check(request: Request, means: Means) -> None:
    """Hold a chain's final result against the kernel; raise a CniError naming what is missing or wrong."""
    intended, key = intent.read(request.conf), _key(request)
    wishing.refuse_ipam(request.conf)
    previous = requests.previous(request)
    if previous is None:
        raise InvalidConfig("CHECK needs 'prevResult', the final result of the ADD, and the configuration has none")
    claimed = claims.read(previous, request.env.ifname, request.env.netns)
    with (
        _sandbox(request, means) as netns_fd,
        means.opened(intended.conf) as node,
        node.locks.held(key.host_ifname),
        attach.translated(),
    ):
        checking.check(node, intended, key, claimed=claimed, network=request.network, netns_fd=netns_fd)


def gc(request: Request, means: Means) -> None:
    """Remove every attachment of the network whose container the runtime does not list; no list at all removes nothing.

    A container that is listed with any interface keeps all that live: the list that Multus hands on has eth0 only.
    """
    conf, listed = configuration.parse(RemovalConf, request.conf), requests.valid_attachments(request)
    if listed is None:
        return
    containers = {container_id for container_id, _ in listed}
    with means.opened(conf) as node:
        problems = list(_collect(node, request.network, containers | set(map(hashed, containers))))
    if problems:
        raise Failure(f"GC of network '{request.network}' removed what it could, but: {'; '.join(problems)}")


def status(request: Request, means: Means) -> None:
    """Raise NotReady or Degraded with the reason when this node cannot attach pods; change nothing.

    A full pool is no such reason: the runtime would call the node not ready, and its healthy pods would be evicted.
    """
    wishing.refuse_ipam(request.conf)
    try:
        intended = intent.read(request.conf)
    except TryAgain as error:
        raise NotReady(error.msg, error.details) from error
    conf = intended.conf
    hurried = conf.model_copy(update={"lock_timeout": min(conf.lock_timeout, _STATUS_WAIT)})
    with means.opened(hurried) as node:
        try:
            _require_node(intended)
            node.refuse_conflicts(tuple(intended.pools.values()))
            attached = _has_attachments(node, conf.state_dir)
        except CniError as error:
            raise NotReady(error.msg, error.details) from error
        try:
            apply.check(intended.ruleset, _STATUS_WAIT)
        except CniError as error:
            kind = Degraded if attached and not node.table.is_whole(intended.ruleset) else NotReady
            raise kind(error.msg, error.details) from error


class _Recorded(Exception):
    """The attachment that is to be made has a record already."""

    def __init__(self, known: Attachment) -> None:
        super().__init__(known)
        self.known = known


class _Adding:
    """One ADD under its lock, from the choice of addresses to the finished wires."""

    def __init__(
        self, request: Request, key: Key, intended: Intent, *, wishes: Wishes, node: Node, netns_fd: int
    ) -> None:
        self._request, self._key, self._intended, self._wishes = request, key, intended, wishes
        self._conf = intended.conf
        self._node, self._netns_fd = node, netns_fd
        self._earlier = 0  # interfaces of ours that the container has already
        self._changed = False  # whether the network had other prefixes before

    def attach(self, previous: Document | None, answer: Callable[[Document], None]) -> None:
        """Attach with the first choice of addresses that nobody else turns out to have, and answer."""
        for _ in range(_TRIES):
            try:
                return self._attach_once(previous, answer)
            except _Recorded as found:
                _clear(self._node, found.known)
            except attach.HostEndLeft:
                continue  # undoing has deleted it
            except attach.AddressInUse as conflict:
                freed = self._node_freed(conflict.holder, conflict.address)
                if conflict.address in self._wishes.ips and not freed:
                    raise BelongsToAnother(
                        f"requested {conflict.msg}, so it cannot be given; ask for another"
                    ) from conflict
        raise Failure(
            f"{_TRIES} addresses in a row turned out to be in use; another state directory serves the same prefixes"
        )

    def _attach_once(self, previous: Document | None, answer: Callable[[Document], None]) -> None:
        attachment = self._reserve()
        reach(Moment.RESERVED)
        with (
            UndoOnFailure(self._node, attachment.host_ifname),
            netns.socket_inside(self._netns_fd) as pod,
        ):
            plan = self._plan(attachment, partial(live.priorities, pod))
            result = intent.result(self._conf, plan, self._wishes).document(self._request.version, previous)
            attach.refuse_other_defaults(pod, plan)
            self._node.enclose(self._intended.ruleset, self._request.network)
            reach(Moment.CLOSED)
            self._node.prepare(self._intended.families, self._intended.prefixes)
            if self._changed:
                self._node.uncover()
            reach(Moment.FORWARDED)
            attach.attach(self._node.host, pod, plan, netns_fd=self._netns_fd)
            self._node.store.keep(attachment)  # which matters only if the store was lost since
            reach(Moment.KEPT)
            answer(result)
        reach(Moment.ANSWERED)
        if IPV6 in plan.families:  # for which nobody need wait, and without which the pod works as well
            with suppress(OSError):
                netns.inside(self._netns_fd, partial(sysctl.keep_ipv6, plan.ifname))

    def _reserve(self) -> Attachment:
        """Reserve addresses; if they are held, release those of dead attachments and try again."""
        try:
            return self._reserve_once()
        except (NoFreeAddress, AddressHeld):
            self._node.release_dead()  # what an agent has put aside waits for others for seconds
            return self._reserve_once()

    def _reserve_once(self) -> Attachment:
        self._node.require(self._intended.families)
        now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        around = self._node.around(self._intended.handed_out)
        wanted = intent.wanted(self._intended, self._wishes, self._key, boottime_ns=now, elsewhere=Elsewhere(around))

        def decide(register: Register, secret: bytes, known: Sequence[Attachment]) -> Assignment:
            self._look_at(known)
            assignment = self._chosen(wanted, register, secret)
            self._changed = register.note(self._request.network, self._intended.prefixes, boottime())
            reach(Moment.RESERVING)
            return assignment

        draft = Attachment(
            key=self._key,
            network=self._request.network,
            assignment=Assignment(None, None, None),
            host_ifname=self._key.host_ifname,
            netns=self._request.env.netns,
            pod=intent.pod(self._wishes),
        )
        return self._node.store.reserve(draft, decide)

    def _look_at(self, known: Sequence[Attachment]) -> None:
        """Count the container's other interfaces; raise _Recorded when this one is known already."""
        for attachment in known:
            if attachment.host_ifname == self._key.host_ifname:
                raise _Recorded(attachment)
        self._earlier = sum(attachment.state is not State.DYING for attachment in known)

    def _chosen(self, wanted: Wanted, ledger: Ledger, secret: bytes) -> Assignment:
        """Choose addresses that lead nowhere yet; raise BelongsToAnother when too many in a row do."""
        for _ in range(_LOOKS):
            assignment = choose(wanted, ledger, secret)
            found = self._node.leading_elsewhere(assignment.addresses, self._intended.handed_out)
            if not found:
                return assignment
            wanted.elsewhere.add(found)
        *_, last = found.values()
        raise BelongsToAnother(
            f"{_LOOKS} addresses in a row lead elsewhere, the last one because {last}; delete what is in the way, or "
            "exclude those addresses"
        )

    def _plan(self, attachment: Attachment, priorities: Callable[[], set[int]]) -> Plan:
        mtu, earlier = self._conf.mtu or self._node.uplink_mtu(), self._earlier
        if earlier:  # one that was removed since may have had a lower number than one that is there still
            with attach.translated():
                taken = priorities()
            while intent.LATER_PRIORITY + earlier in taken:
                earlier += 1
        return intent.plan(self._intended, attachment, mtu=mtu, earlier=earlier, netns=self._request.env.netns)

    def _node_freed(self, holder: str, address: Address) -> bool:
        """Remove the link that has our address if nobody knows it or works on it: then it is of a lost attachment."""
        with self._node.locks.tried(holder) as free:
            known = self._node.store.get(holder)
            if not free or (known and self._node.is_made(known)):
                return False
            self._node.remove(holder)
        conntrack.forget([address])  # which no record may have said
        return True


def _sandbox(request: Request, means: Means) -> AbstractContextManager[int]:
    """Open the sandbox, or look at the one that was handed over."""
    return netns.opened(request.env.netns, own_allowed=request.env.netns_override, handed=means.sandbox)


def _pods_own(request: Request, handed: int | None) -> int | None:
    """Give a sandbox that was handed over, unless it is the host's own namespace."""
    if handed is None or (not request.env.netns_override and netns.is_own(handed)):
        return None
    return handed


def _key(request: Request) -> Key:
    return Key(request.env.container_id, request.env.ifname)


def _clear(node: Node, known: Attachment) -> None:
    """Clear what a half-done or dead attachment left; refuse a second ADD of a living one."""
    if node.is_made(known):
        raise Failure(
            f"{known.key} is attached already; it is left untouched, and only a DEL makes room for another ADD"
        )
    node.remove(known.host_ifname)


def _collect(node: Node, network: str, containers: set[str]) -> Iterator[str]:
    """Remove what is of no such container, what is dead, and host ends that nobody knows; give what went wrong.

    `containers` has each ID as it is and hashed: so it may be in a link's alias, and in what is read back from there.
    """
    try:
        node.reap()
    except CniError as error:
        yield str(error)
    attachments = node.store.attachments()
    links = survey.host_ends(node.host, disturbed=True)  # who is missing is spared
    made = {link.name for link in links if link.alias}
    for attachment in attachments:
        gone = attachment.key.container_id not in containers or node.is_dead(attachment)
        if attachment.same_network(network) and gone:
            yield from _collect_one(node, attachment.host_ifname, attachment, made=attachment.host_ifname in made)
    known = {attachment.host_ifname for attachment in attachments}
    for link in links:
        if link.name not in known and _is_nobodys(link.alias, network, containers):
            yield from _collect_one(node, link.name, None, made=False)


def _is_nobodys(alias: str, network: str, containers: set[str]) -> bool:
    """Whether a host end without record, with this alias, is of the network and of none of the containers."""
    owner = read_alias(alias)
    return owner is None or (owner[1] in {network, hashed(network)} and owner[0].container_id not in containers)


def _collect_one(node: Node, host_ifname: str, known: Attachment | None, *, made: bool) -> Iterator[str]:
    """Remove an attachment if it is still the one that was looked at; give what went wrong.

    One that was not `made` and has been finished since is a pod's, of which the runtime could not know yet.
    """
    try:
        with node.locks.held(host_ifname):
            reach(Moment.LOCKED)
            if node.store.get(host_ifname) == known and (known is None or made or not node.is_made(known)):
                node.remove(host_ifname)
    except (CniError, OSError) as error:
        yield f"{known.key if known else host_ifname}: {error}"


def _require_node(intended: Intent) -> None:
    """Raise Failure when the kernel lacks a family or the state directory cannot be written."""
    sysctl.require(intended.families)
    folder: Path = intended.conf.state_dir
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110 -- as below
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise Failure(f"the state directory {folder} cannot be written; mount {existing} writable or change stateDir")


def _has_attachments(node: Node, state_dir: Path) -> bool:
    """Whether anything is attached; looking must not make a store."""
    path = state_dir / "state.db"
    return os.path.exists(path) and bool(node.store.attachments())  # noqa: PTH110 -- Path.exists raises for a name that is too long
