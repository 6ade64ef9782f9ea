"""The node's table of policies, kept as the API has it. All of its writers but ADD are here, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from slash80.addressing import attachment
from slash80.addressing.family import Address
from slash80.agent.reconcilers.endpoints import Join
from slash80.agent.reconcilers.judge import Doubts, Judge
from slash80.agent.reconcilers.known_policies import KnownPolicies
from slash80.agent.reconcilers.part import Surroundings, log, network_in_force
from slash80.agent.reconcilers.policy_file import tell_calls_of_the_end
from slash80.agent.reconcilers.refused_policies import refused
from slash80.errors import FirewallUnusable
from slash80.failpoints import Failpoint, hit
from slash80.firewall.apply import Refused
from slash80.firewall.installed import NodePods
from slash80.firewall.policies.layout import map_of
from slash80.firewall.policies.revoke import revoke
from slash80.firewall.policies.table import PolicyTable
from slash80.host.context import Host
from slash80.host.expected_verdicts import ExpectedVerdicts, Verdicts
from slash80.policy.diff import added, apply_plan, diff
from slash80.policy.model import Endpoint, Flow, Pod, Policy
from slash80.policy.records import ACCEPT, Dispatched, Plan, PolicyRules
from slash80.settings.cluster import PolicySettings
from slash80.wiring import return_paths, veth

_TRY_AGAIN = 600.0  # seconds after which policies that the kernel refuses are tried again: it may lack memory
MakeTable = Callable[[int | None], PolicyTable]
Revoke = Callable[[Collection[Address], Callable[[Flow], bool | None], int], int]


class PolicyKeeper:
    """What is known of policies and what is in force of them. Its methods may be called by several threads."""

    def __init__(
        self,
        around: Surroundings,
        make_table: MakeTable,
        *,
        wake: Callable[[str], None],
        revoke: Revoke = revoke,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Do nothing yet; `make_table` makes what talks to the kernel, for a bit of conntrack's mark.

        `wake` is called with the name of a part that has something to do: `revocation` when connections have to be
        judged again, which are ended by `revoke`, `policies`, and `waiting` when ADDs that have asked may be answered.
        `ended` is called when the table was taken away.
        """
        self._around, self._make_table, self._wake, self._revoke = around, make_table, wake, revoke
        self._ended = ended
        self._lock = threading.Lock()
        self._known = KnownPolicies(around.cluster, self._policies_changed)
        self._expected: ExpectedVerdicts | None = None  # of the process's hosts; they share one
        self._settings: PolicySettings | None = None
        self._table = make_table(None)
        self._applied: PolicyRules | None = None
        # of connections: which have to be judged again, and whether some may not go on; an agent that has died may have
        # left both
        self._doubts, self._denied = Doubts(), True
        self._tried = 0.0  # when all policies were last tried of which some were refused

    @property
    def refused(self) -> Mapping[Policy, str]:
        """The policies because of which the table was refused, each with the reason: they allow nothing."""
        with self._lock:
            return self._known.refused

    def keep(self, host: Host, settings: PolicySettings) -> int | None:
        """Have the table follow from what is known; return how many interfaces are isolated.

        Return None, and change nothing, while a list is not complete: what it lacks would be taken from its peers.
        """
        with self._lock:
            self._begin(host)
            if not self._known.take() or not (join := self._join()):
                return None
            self._use(settings)
            if self._known.refused and time.monotonic() - self._tried >= _TRY_AGAIN:
                self._known.refuse({})
            try:
                wanted = self._put_in_force(host, join)
            except FirewallUnusable:
                if not self._blame(host, join):
                    raise
                wanted = self._put_in_force(host, join)
            self._table.sweep()
        if self._doubts:
            self._wake("revocation")
        self._wake("waiting")  # an ADD may have asked when it was not known what is in force, or was refused
        return len({key.ifname for key, verdict in wanted.verdicts.items() if verdict != ACCEPT})

    def _put_in_force(self, host: Host, join: Join) -> PolicyRules:
        self._prepare(self._rules(host, join))  # now, as ADDs wait while the lock is held
        with host.locks.firewall_held():
            # again: who has come since may have a verdict by ADD, and must not lose it
            wanted = self._rules(host, join)
            if self._expected:
                self._expected.clear()
            self._bring_about(wanted)
            if self._expected:
                self._expected.write(map(_expected, self._known.compiler.coming))
        return wanted

    def _begin(self, host: Host) -> None:
        """Have an ADD ask while something is known that is not in force."""
        self._expected = host.expected
        if self._expected and self._expected.is_outdated:
            with host.locks.firewall_held():
                self._expected.begin()

    def _policies_changed(self) -> None:
        if self._expected:
            self._expected.outdated()

    def _rules(self, host: Host, join: Join) -> PolicyRules:
        """Return what the table has to have; an ADD that comes has the pod's chains there then, and runs no program."""
        endpoints = join.endpoints(host.pods())
        return self._known.compiler.rules(endpoints, join.expected(endpoints))

    def _prepare(self, wanted: PolicyRules) -> None:
        """Load chains and sets to which nothing leads yet: nft takes seconds for many, and no packet meets them."""
        applied, self._applied = self._applied, None  # which is not known if this fails
        if applied is None:
            return
        plan = added(applied, wanted)
        new = Plan(new_sets=plan.new_sets, new_chains=plan.new_chains)
        if not new.empty:
            try:
                self._table.apply(new)
            except FirewallUnusable as error:
                log.warning("%s; it is tried as a whole", error)
                return
        self._applied = apply_plan(applied, new)

    def _blame(self, host: Host, join: Join) -> bool:
        """Leave out the policies because of which the table is refused; return whether there are any.

        The kernel is asked without the firewall's lock and changes nothing meanwhile, so ADDs go on.
        """
        endpoints = join.endpoints(host.pods())
        expected = join.expected(endpoints)
        namespaces = {one.pod.namespace for one in (*endpoints, *expected) if one.pod}

        def refusal(left_out: Collection[Policy]) -> str:
            self._known.refuse(dict.fromkeys(left_out, "refused"))
            return self._table.refusal(self._known.compiler.rules(endpoints, expected))

        found: Mapping[Policy, str] = {}
        try:
            found = refused((one for one in self._known.policies if one.namespace in namespaces), refusal)
        finally:
            self._known.refuse(found)
            self._tried = time.monotonic()
        return bool(found)

    def open(self, host: Host, host_ifnames: Iterable[str]) -> list[str]:
        """Have what these interfaces need in force, and nothing else; return those that wait no more.

        One waits on whose Pod the API has not shown yet.
        """
        with self._lock:
            if self._applied is None or not self._known.take() or not (join := self._join()):
                return []
            settled = []
            for name in host_ifnames:
                try:
                    if self._open(host, join, name):
                        settled.append(name)
                except FirewallUnusable as error:
                    log.warning("%s; interface %s stays closed until it is found out why", error, name)
                    self._wake("policies")
                    if self._applied is None:  # it is not known what is in force
                        break
            return settled

    def _open(self, host: Host, join: Join, host_ifname: str) -> bool:
        """Have what one interface needs in force; return whether its Pod is known."""
        attachment = host.store.get(host_ifname)
        # its container's other interfaces may send from its addresses
        together = NodePods(host.store.attachments(attachment.key) if attachment else ())
        endpoints = join.endpoints(together)
        if any(one.closed for one in endpoints):
            return False
        with host.locks.firewall_held():
            for endpoint in endpoints:
                self._add(endpoint)
        return True

    def end(self, host: Host) -> None:
        """Take the table away; this one is not needed any more then."""
        with self._lock, host.locks.firewall_held():
            self._applied = None
            if host.expected:
                host.expected.clear()
            hit(Failpoint.POLICIES_ENDING)
            self._table.remove()
            hit(Failpoint.POLICIES_REMOVED)
            tell_calls_of_the_end(self._around.state_dir)
            self._table.close()
            self._known.close()
        self._ended()
        log.info("the table of NetworkPolicies was removed: no policy is left")

    def revoke(self, host: Host, mark: int) -> int:
        """End connections that policies do not allow any more, and let those go on that they allow again.

        Return how many were ended. Where nothing has changed that may forbid one, they are not looked at.
        """
        with self._lock:
            if not self._doubts or self._applied is None or not (join := self._join()):
                return 0
            snapshot, endpoints = self._known.compiler.snapshot(), join.endpoints(host.pods())
            peers = self._doubts.take()
            # what changes meanwhile may allow again a connection that is going to be ended
            denied, self._denied = self._denied, True
        done = False
        try:
            with veth.translated():
                own = tuple(return_paths.own_addresses(host.netlink))
            judge = Judge(snapshot, endpoints, {self._around.options.node: own})
            hit(Failpoint.CONNECTIONS_JUDGED)
            ended = self._revoke(judge.addresses if peers is None else peers, judge.allowed, mark)
            hit(Failpoint.CONNECTIONS_ENDED)
            self._denied = judge.denied > 0 or (denied and peers is not None)
            done = True
        finally:
            if not done:
                with self._lock:
                    self._doubts.add_all()
        return ended

    def _use(self, settings: PolicySettings) -> None:
        if settings != self._settings:
            self._settings, self._applied = settings, None
            self._table.close()
            self._table = self._make_table(settings.mark if settings.end_connections else None)

    def _join(self) -> Join | None:
        """Return what finds Pods; None without `node.json`."""
        found = network_in_force(self._around.state_dir)
        if found is None:
            return None
        node, isolated = self._around.options.node, self._known.compiler.isolated
        return Join(node, found.network.prefixes, pods=self._known.pods, isolated=isolated)

    def _bring_about(self, wanted: PolicyRules) -> None:
        """Change the table to what is wanted, or replace it where that is refused or another one is there."""
        applied, self._applied = self._applied, None  # which is not known if this fails
        if applied is None:
            applied = self._table.read()
            self._doubts.add_all()  # a change that seemed to fail may have been made
        if applied is None:
            self._replace(wanted)
            log.info("the table of NetworkPolicies was put in place")
        elif not self._table.is_intact(applied):
            self._replace(wanted)
            self._around.board.repaired("policy_table")
            log.warning("another program had changed the table of NetworkPolicies, and it was put back")
        else:
            self._change(diff(applied, wanted), wanted)
        self._applied = wanted

    def _replace(self, wanted: PolicyRules) -> None:
        hit(Failpoint.POLICIES_CHANGING)
        self._table.replace(wanted)
        self._doubts.add_all()
        hit(Failpoint.POLICIES_CHANGED)

    def _change(self, plan: Plan, wanted: PolicyRules) -> None:
        if plan.empty:
            return
        hit(Failpoint.POLICIES_CHANGING)
        try:
            self._table.apply(plan)
        except FirewallUnusable as error:
            log.warning("%s; the table is replaced as a whole", error)
            self._table.replace(wanted)
        hit(Failpoint.POLICIES_CHANGED)
        if self._denied:
            self._doubts.add_all()  # some may be allowed again
        self._doubts.add(plan)

    def _add(self, endpoint: Endpoint) -> None:
        """Add what one interface needs. Its keys are written whatever was known of them: ADD has closed them since."""
        applied, self._applied = self._applied, None
        if applied is None:
            return
        part = self._known.compiler.rules_of(endpoint)
        plan = replace(added(applied, part), verdicts=part.verdicts)
        try:
            self._table.apply(plan)
        except Refused:
            self._applied = applied  # nothing has changed
            raise
        self._applied = apply_plan(applied, plan)


def _expected(coming: tuple[Pod, Mapping[Dispatched, str]]) -> tuple[attachment.Pod, Verdicts]:
    pod, verdicts = coming
    by_map = Verdicts(**{map_of(key): verdict for key, verdict in verdicts.items()})
    return attachment.Pod(pod.namespace, pod.name, pod.uid), by_map
