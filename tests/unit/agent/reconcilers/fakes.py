"""A node whose kernel answers by `ip` words, and a cluster that is a few lists."""

import json
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from slash80.addressing.attachment import Attachment
from slash80.addressing.family import Address, Prefix
from slash80.agent.policy_gate import PolicyGate
from slash80.agent.reconcilers.board import Board
from slash80.agent.reconcilers.cluster_view import ClusterView, Followed, Source
from slash80.agent.reconcilers.part import Options, Surroundings
from slash80.agent.reconcilers.policies import Enforcement
from slash80.agent.reconcilers.policy_keeper import PolicyKeeper
from slash80.cluster.cache import Change
from slash80.cluster.objects.node import NodeSeen
from slash80.cluster.subscription import Subscription
from slash80.firewall.apply import Refused
from slash80.firewall.installed import NodePods
from slash80.firewall.policies.table import PolicyTable
from slash80.firewall.records import Ruleset
from slash80.host.cache import TtlCache
from slash80.host.context import Host, boottime
from slash80.host.expected_verdicts import ExpectedVerdicts
from slash80.policy.diff import apply_plan
from slash80.policy.model import Flow, Namespace, Pod, Policy
from slash80.policy.records import Plan, PolicyRules
from slash80.prefixes.static import Static
from slash80.settings import policy
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from slash80.wiring import route_messages
from unit.host.tables import FakeTable
from unit.kernels import Kernel

EMPTY: Mapping[str, tuple[str, ...]] = {}
V6, V4 = "2001:db8:0:1:1::/80", "10.80.1.0/24"
OTHER6, OTHER4 = "2001:db8:0:2:1::/80", "10.80.2.0/24"


def seen(name: str, *cidrs: str, addresses: tuple[str, ...] = (), **more: Any) -> NodeSeen:  # noqa: ANN401 -- any field
    """Return a Node as the API shows it."""
    return NodeSeen(name, "1", tuple(map(ip_network, cidrs)), tuple(map(ip_address, addresses)), **more)


OWN = seen("a", V6, V4, addresses=("192.0.2.1", "2001:db8:1::1"))
PEER = seen("b", OTHER6, OTHER4, addresses=("192.0.2.2", "2001:db8:1::2"))


@dataclass
class FakeSource:
    """A list of objects."""

    objects: list[Any] = field(default_factory=list)
    synced: bool = True
    problem: str = ""
    running: bool = False
    age: float = 0.5

    def start(self) -> None:
        """Begin."""
        self.running = True

    def stop(self) -> None:
        """End."""
        self.running = False


class FakeFollowed(FakeSource):
    """A list of objects with names, which says what has changed to those who subscribe."""

    def __init__(self) -> None:
        super().__init__()
        self._subscriptions: list[Subscription[Any]] = []

    def get(self, key: str) -> Any:  # noqa: ANN401 -- any object
        """Return the object with a key."""
        return next((one for one in self.objects if name_of(one) == key), None)

    def indexed(self, index: str, value: Hashable) -> list[Any]:
        """Return the objects for which an attribute has this value."""
        return [one for one in self.objects if getattr(one, index) == value]

    def subscribe(self, wake: Callable[[], None]) -> Subscription[Any]:
        """Return what collects changes."""
        self._subscriptions.append(Subscription(wake, 100))
        return self._subscriptions[-1]

    def unsubscribe(self, subscription: Subscription[Any]) -> None:
        """Collect no more changes."""
        self._subscriptions.remove(subscription)

    def put(self, *objects: Any) -> None:  # noqa: ANN401 -- any object
        """Have these objects, instead of those with their names."""
        for one in objects:
            self._change(Change(name_of(one), self.get(name_of(one)), one))

    def remove(self, key: str) -> None:
        """Have an object no more."""
        self._change(Change(key, self.get(key), None))

    def _change(self, change: Change[Any]) -> None:
        others = [one for one in self.objects if name_of(one) != change.key]
        self.objects = sorted([*others, *([change.new] if change.new else [])], key=name_of)
        for subscription in self._subscriptions:
            subscription.add([change])
            subscription.wake()


def name_of(one: Any) -> str:  # noqa: ANN401 -- any object
    """Return an object's key."""
    return f"{one.namespace}/{one.name}" if hasattr(one, "namespace") else str(one.name)


class FakePolicyTable(PolicyTable):
    """The policies' table of a kernel of its own, which refuses what `failures` say, one for each change.

    Rules with one of the `refused` words it never takes; `asked` is how often it was asked whether it would.
    """

    def __init__(self, mark: int | None = None) -> None:
        super().__init__(mark)
        self.mark = mark
        self.kernel: PolicyRules | None = None
        self.failures: list[Exception] = []
        self.done: list[str] = []
        self.refused: set[str] = set()
        self.asked = 0

    def read(self) -> PolicyRules | None:
        """Return what is in force."""
        return self.kernel

    def is_intact(self, rules: PolicyRules) -> bool:
        """Report whether nothing was changed by another program."""
        return self.kernel == rules

    def replace(self, rules: PolicyRules) -> None:
        """Put the rules in place."""
        self._do("replace", rules.chains)
        self.kernel = rules

    def refusal(self, rules: PolicyRules) -> str:
        """Return why the rules would be refused."""
        self.asked += 1
        return self._refusal(rules.chains)

    def apply(self, plan: Plan) -> None:
        """Change the rules."""
        self._do("apply", plan.new_chains)
        assert self.kernel is not None
        self.kernel = apply_plan(self.kernel, plan)

    def remove(self) -> None:
        """Remove the table."""
        self._do("remove")
        self.kernel = None

    def close(self) -> None:
        """Nothing is open."""

    def _do(self, what: str, chains: Mapping[str, tuple[str, ...]] = EMPTY) -> None:
        if self.failures:
            raise self.failures.pop(0)
        if reason := self._refusal(chains):
            raise Refused(reason)
        self.done.append(what)

    def _refusal(self, chains: Mapping[str, tuple[str, ...]]) -> str:
        rules = [rule for chain in chains.values() for rule in chain]
        return next((f"nft refuses {word}" for word in sorted(self.refused) for rule in rules if word in rule), "")


class FakeConnections:
    """The connections of a node, of which those in `marked` were ended; `broken` is why they cannot be read.

    `asked` are the marks, `judged` how many connections were judged, and `meanwhile` is done once each, when they were.
    """

    def __init__(self) -> None:
        self.open: set[Flow] = set()
        self.marked: set[Flow] = set()
        self.asked: list[int] = []
        self.judged = 0
        self.meanwhile: list[Callable[[], None]] = []
        self.broken: Exception | None = None

    def revoke(self, addresses: Collection[Address], allowed: Callable[[Flow], bool | None], mark: int) -> int:
        """End what is not allowed."""
        self.asked.append(mark)
        if self.broken:
            raise self.broken
        concerned = {one for one in self.open if not {one.source, one.destination}.isdisjoint(addresses)}
        self.judged += len(concerned)
        before, judged = self.marked, {flow: allowed(flow) for flow in concerned}
        kept = {flow for flow in before if judged.get(flow) is None}
        self.marked = kept | {flow for flow, may in judged.items() if may is False}
        while self.meanwhile:
            self.meanwhile.pop()()
        return len(self.marked - before)


class FakeSources:
    """Notes each list that is asked for; `given` is the list of Nodes that is handed out next."""

    def __init__(self, *nodes: NodeSeen) -> None:
        self.given = FakeSource([*nodes])
        self.services = FakeSource([(ip_network("10.96.0.0/16"),)])
        self.exposing = FakeSource(["team-a"])
        self.of_clusterset = FakeSource()
        self.of_policies, self.of_namespaces, self.of_pods = FakeFollowed(), FakeFollowed(), FakeFollowed()
        self.selectors: list[str] = []

    def nodes(self, selector: str) -> Source[NodeSeen]:
        """Hand out the list of Nodes."""
        self.selectors.append(selector)
        return self.given

    def service_cidrs(self) -> Source[tuple[Prefix, ...]]:
        """Hand out the list of ServiceCIDRs."""
        return self.services

    def exposing_namespaces(self) -> Source[str]:
        """Hand out the list of Namespaces whose pods may open ports."""
        return self.exposing

    def config_maps(self, selector: str) -> Source[Mapping[str, str]]:
        """Hand out the list that has the clusterset's ConfigMap, by whose name it is selected."""
        assert selector == "metadata.name=slash80-clusterset"
        return self.of_clusterset

    def policies(self) -> Followed[Policy]:
        """Hand out the list of NetworkPolicies."""
        return self.of_policies

    def namespaces(self) -> Followed[Namespace]:
        """Hand out the list of all Namespaces."""
        return self.of_namespaces

    def pods(self) -> Followed[Pod]:
        """Hand out the list of Pods."""
        return self.of_pods


class FakeHost(Host):
    """Has a real store; of the firewall it notes what it was told to ensure, and fails as it is told."""

    def __init__(self, state_dir: Path, kernel: Kernel) -> None:
        store = SqliteStore(state_dir, survey=list, timeout=5, clock=boottime)
        locks = AttachmentLocks(state_dir, 5)
        self.installed = FakeTable()
        super().__init__(kernel, self.installed, store=store, locks=locks, cache=TtlCache())
        self.expected = ExpectedVerdicts()
        self.ensured: list[Ruleset] = []
        self.others: list[Attachment] = []
        self.failure: Exception | None = None

    def pods(self) -> NodePods:
        """Return what is recorded, and the links of `others`."""
        return NodePods(self.store.attachments(), self.others)

    def ensure_firewall(self, ruleset: Ruleset, *_: object, **__: object) -> bool:
        """Note the rules, or fail."""
        if self.failure:
            raise self.failure
        self.ensured.append(ruleset)
        return True


@dataclass
class Setting:
    """All that a part works with, on one node."""

    folder: Path
    sources: FakeSources
    kernel: Kernel
    host: FakeHost
    woken: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        options = Options(
            "a", self.folder / "config.yaml", self.folder / "net.d", self.folder / "kept", Static(), ("127.0.0.1", 0)
        )
        self.board = Board(self.woken.append)
        self.cluster = ClusterView("a", self.sources)
        self.around = Surroundings(options, self.state_dir, self.opened, self.cluster, self.board)
        self.table = FakePolicyTable()
        self.connections = FakeConnections()
        # as patient as a busy machine needs it
        self.gate = PolicyGate(self.state_dir, lambda: self.woken.append("waiting"), patience=300)

    @property
    def state_dir(self) -> Path:
        """The node's state directory."""
        return self.folder / "state"

    def enforcement(self) -> Enforcement:
        """Return what makes what keeps the policies' table of this node."""
        return Enforcement(lambda: self.keeper(self.around, wake=self.woken.append))

    def keeper(self, around: Surroundings, *, wake: Callable[[str], None]) -> PolicyKeeper:
        """Return what keeps the policies' table of this node."""

        def made(mark: int | None) -> PolicyTable:
            self.table.mark = mark
            return self.table

        return PolicyKeeper(around, made, wake=wake, revoke=self.connections.revoke)

    def write_node_file(self, **firewall: Any) -> None:  # noqa: ANN401 -- any key
        """Have a `node.json` with these keys of `firewall`."""
        document = {"version": 1, "ipv6": [{"prefix": V6}], "ipv4": [{"prefix": V4}], "firewall": firewall}
        (self.state_dir / "node.json").write_text(json.dumps(document))

    def tell_calls(self, *isolated: str) -> None:
        """Have `policy.json` say which namespaces have policies."""
        document = policy.document(enforced=bool(isolated), isolated=isolated, may_expose=None)
        (self.state_dir / policy.NAME).write_text(json.dumps(document))

    @contextmanager
    def opened(self) -> Iterator[Host]:
        """Hand out the host, which stays open."""
        yield self.host


def discard(prefix: str) -> str:
    """Return the command that adds the discard route of a prefix."""
    return route_messages.add_unreachable(ip_network(prefix)).what
