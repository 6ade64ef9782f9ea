"""A node whose kernel answers by `ip` words, and a cluster that is a few lists."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

from slash80.addressing.attachment import Attachment
from slash80.addressing.family import Prefix
from slash80.agent.reconcilers.board import Board
from slash80.agent.reconcilers.cluster_view import ClusterView, Source
from slash80.agent.reconcilers.part import Options, Surroundings
from slash80.cluster.objects.node import NodeSeen
from slash80.firewall.records import Ruleset
from slash80.host.cache import TtlCache
from slash80.host.context import Host, boottime
from slash80.prefixes.static import Static
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from slash80.wiring import route_messages
from unit.host.tables import FakeTable
from unit.kernels import Kernel

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

    def start(self) -> None:
        """Begin."""
        self.running = True

    def stop(self) -> None:
        """End."""
        self.running = False


class FakeSources:
    """Notes each list that is asked for; `given` is the list of Nodes that is handed out next."""

    def __init__(self, *nodes: NodeSeen) -> None:
        self.given = FakeSource([*nodes])
        self.services = FakeSource([(ip_network("10.96.0.0/16"),)])
        self.selectors: list[str] = []

    def nodes(self, selector: str) -> Source[NodeSeen]:
        """Hand out the list of Nodes."""
        self.selectors.append(selector)
        return self.given

    def service_cidrs(self) -> Source[tuple[Prefix, ...]]:
        """Hand out the list of ServiceCIDRs."""
        return self.services


class FakeHost(Host):
    """Has a real store; of the firewall it notes what it was told to ensure, and fails as it is told."""

    def __init__(self, state_dir: Path, kernel: Kernel) -> None:
        store = SqliteStore(state_dir, survey=list, timeout=5, clock=boottime)
        locks = AttachmentLocks(state_dir, 5)
        super().__init__(kernel, FakeTable(), store=store, locks=locks, cache=TtlCache())
        self.ensured: list[Ruleset] = []
        self.failure: Exception | None = None

    def ensure_firewall(
        self, ruleset: Ruleset, network: str, attachment: Attachment | None = None, *, alone: bool = False
    ) -> bool:
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

    @property
    def state_dir(self) -> Path:
        """The node's state directory."""
        return self.folder / "state"

    @contextmanager
    def opened(self) -> Iterator[Host]:
        """Hand out the host, which stays open."""
        yield self.host


def discard(prefix: str) -> str:
    """Return the command that adds the discard route of a prefix."""
    return route_messages.add_unreachable(ip_network(prefix)).what
