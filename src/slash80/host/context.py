"""What one call works with on its host: netlink sockets, firewall check, store and locks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

from slash80.addressing.attachment import Attachment
from slash80.addressing.family import Address, Family, Prefix
from slash80.addressing.pool import Pool, Range
from slash80.errors import FirewallUnusable
from slash80.firewall import elements
from slash80.firewall.installed import InstalledTable, NodePods
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import Element, Ruleset
from slash80.host import kept_firewall
from slash80.host.cache import TtlCache
from slash80.host.expected_verdicts import ExpectedVerdicts
from slash80.netlink.socket import Socket
from slash80.settings.network import RemovalConf
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from slash80.wiring import conflicts, discard_routes, netns, query, recover, return_paths, sysctl, veth


class DeferredDeletion(Protocol):
    """Deletes links later and in batches, after they were taken from their pods."""

    def queued(self) -> None:
        """Note that one more link waits for its deletion."""

    def failed(self, host_ifname: str, reason: Exception) -> None:
        """Note that a link's deletion could not be deferred, so it was deleted at once."""


@dataclass(frozen=True, slots=True)
class OfAgent:
    """What only an agent has: it deletes links later than the DEL that leaves them, and it knows of pods to come."""

    deferred_deletion: DeferredDeletion
    expected: ExpectedVerdicts = field(default_factory=ExpectedVerdicts)


class Host:
    """The host's resources for one call; the caller that opened them closes them."""

    def __init__(
        self,
        netlink: Socket,
        table: InstalledTable,
        *,
        store: SqliteStore,
        locks: AttachmentLocks,
        cache: TtlCache,
        of_agent: OfAgent | None = None,
    ) -> None:
        self.netlink, self.table, self.store, self.locks = netlink, table, store, locks
        self.cache = cache
        self.deferred_deletion = of_agent.deferred_deletion if of_agent else None
        self.expected = of_agent.expected if of_agent else None

    def ensure_firewall(
        self,
        ruleset: Ruleset,
        network: str,
        attachment: Attachment | None = None,
        *,
        alone: bool = False,
        dispatch: Callable[[Iterable[Element]], object] = lambda _: None,
    ) -> bool:
        """Put the firewall in place, with a recorded attachment's elements, which must be before its link exists.

        Under the same lock, NetworkPolicies are told of these elements by `dispatch`.

        Report whether the firewall was missing. Either costs one netlink question; only the check alone takes no lock.
        `alone` spares a query: when the attachment was recorded its container had no other, and one that comes later
        adds the elements of both. Raises what `InstalledTable.ensure` raises.
        """
        if attachment is None and self.table.is_whole(ruleset):
            return False
        new: frozenset[Element] = frozenset()
        with self.locks.firewall_held():
            if attachment:  # under the lock, since a removal takes the elements of both away
                new = elements.brought_by(attachment, [] if alone else self.store.attachments(attachment.key))
            installed = self.table.ensure(ruleset, network, self.pods, facts=self.node_facts, new=new)
            dispatch(new)
            remember = partial(kept_firewall.remember, self.locks.state_dir, ruleset, network)
            if installed:
                remember()
            else:  # a version that kept nothing may have put it in place
                self.cache.get(("kept", ruleset.fingerprint, network), remember)
            return installed

    def pods(self) -> NodePods:
        """Return all that is attached on the node: what the store has, and links of other state directories."""
        recorded = self.store.attachments()
        names = {one.host_ifname for one in recorded}
        with veth.translated():
            others = [one for one in recover.attachments(self.netlink) if one.host_ifname not in names]
        installed = self.table.elements() or () if others else ()
        return NodePods(recorded, [elements.with_openings(one, installed) for one in others])

    def node_facts(self, prefixes: Iterable[Prefix] = ()) -> NodeFacts:
        """Return what the firewall has to know of the node itself; `prefixes` are known to be its own."""
        networks = self.store.read(lambda register: register.networks(boottime()))
        noted = [prefix for of_network in networks.values() for prefix in of_network]
        with veth.translated():
            kept = discard_routes.present(self.netlink)  # those of a network are kept for as long as it has pods
            addresses = map(ip_network, return_paths.own_addresses(self.netlink))
            return NodeFacts.of([*prefixes, *noted, *kept, *addresses], return_paths.multipath(self.netlink))

    def require(self, families: tuple[Family, ...]) -> None:
        """Raise Failure when the kernel lacks a family."""
        self.cache.get(("families", families), lambda: sysctl.require(families))

    def on_link(self, prefixes: tuple[Prefix, ...]) -> Mapping[Range, str]:
        """Return what subnets of the host's links take of the prefixes, and which link it is."""
        return self.cache.get(("on-link", prefixes), lambda: self._on_link(prefixes))

    def _on_link(self, prefixes: tuple[Prefix, ...]) -> Mapping[Range, str]:
        with veth.translated():
            return conflicts.around(self.netlink, prefixes)

    def routed_elsewhere(self, addresses: Sequence[Address], prefixes: Sequence[Prefix]) -> Mapping[Range, str]:
        """Return what the routes to these addresses take of the prefixes."""
        with veth.translated():
            return conflicts.routed_elsewhere(self.netlink, addresses, prefixes)

    def refuse_conflicts(self, pools: Sequence[Pool]) -> None:
        """Raise BelongsToAnother when every address of one of the pools is routed elsewhere."""
        with veth.translated():
            conflicts.refuse(self.netlink, pools)

    def uplink_mtu(self) -> int:
        """Return the MTU of the default route; raise Failure when the kernel refuses to tell."""
        return self.cache.get("mtu", self._uplink_mtu)

    def _uplink_mtu(self) -> int:
        with veth.translated():
            return query.uplink_mtu(self.netlink)


def alone() -> AbstractContextManager[bool]:
    """Return where a process waits that has no other call to answer."""
    return nullcontext(enter_result=True)


@dataclass(frozen=True, slots=True)
class CallContext:
    """What a process brings to a call: the host's resources, and the descriptor of CNI_NETNS if one was received.

    A call that waits for another program does so in `aside`, where it keeps no other call of its process from being
    answered; that says whether it may wait at all.
    """

    opened: Callable[[RemovalConf], AbstractContextManager[Host]]
    sandbox: int | None = None
    aside: Callable[[], AbstractContextManager[bool]] = alone


def store_in(state_dir: Path, timeout: float) -> SqliteStore:
    """Return the store of a state directory; one that was lost is rebuilt from the kernel."""
    return SqliteStore(state_dir, survey=_recovered, timeout=timeout, clock=boottime)


def boottime() -> float:
    """Return the seconds since boot, including suspend: the clock of everything that does not survive a reboot."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _recovered() -> list[Attachment]:
    """Return the attachments that are complete; a call that is still making one stores it itself in the end."""
    with netns.socket_here() as netlink:
        found = list(recover.attachments(netlink))
    installed = _openings(found)
    return [replace(elements.with_openings(one, installed), since=boottime()) for one in found]


def _openings(found: list[Attachment]) -> frozenset[Element]:
    """Return the table's elements, and delete openings of pods that are gone: they would be those of the next pod."""
    table = InstalledTable()
    try:
        installed = table.elements() or frozenset()
        table.change(delete=elements.orphans(found, installed))
    except FirewallUnusable:  # without nf_tables there are no openings; a removal must go on
        return frozenset()
    else:
        return installed
    finally:
        table.close()


@contextmanager
def _opened(conf: RemovalConf) -> Iterator[Host]:
    """Open everything a call needs, for that call only."""
    with ExitStack() as stack:
        netlink, table = stack.enter_context(netns.socket_here()), InstalledTable()
        stack.callback(table.close)
        store = store_in(conf.state_dir, conf.lock_timeout)
        stack.callback(store.close)
        locks = AttachmentLocks(conf.state_dir, conf.lock_timeout)
        yield Host(netlink, table, store=store, locks=locks, cache=TtlCache())


STANDALONE = CallContext(_opened)  # of a process that handles one call
