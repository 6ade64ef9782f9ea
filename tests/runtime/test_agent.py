"""The runtimes' stories once more, with an agent behind the launcher: the same, and while agents come and go.

With the newest runtime only; test_storms.py and test_critest.py tell them without an agent, with the oldest. Each of
both runtimes has both at night.
"""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.waiting import wait_until
from runtime.node import Node
from runtime.release import NEWEST, usually
from runtime.sandbox import Started
from runtime.test_critest import test_critest as critest_passes
from runtime.test_storms import run_as_kubelet
from runtime.test_storms import test_a_full_node_at_once as full_node_at_once
from runtime.test_storms import test_the_runtime_is_killed as runtime_killed

pytestmark = usually(NEWEST)
_PODS, _TURNS = 16, 4


@contextmanager
def agent(node: Node, root: Path) -> Iterator[Started]:
    """Run the agent on the node, and wait until it serves."""
    words: list[str | Path] = [root / "opt/cni/bin/slash80", "agent", "--cni-only"]
    log = node.box.scratch / "agent.log"
    before = log.read_text().count(" serves ") if log.exists() else 0
    with node.box.running(words, log=log.name) as started:
        wait_until(lambda: log.exists() and log.read_text().count(" serves ") > before)
        yield started


@pytest.fixture
def served(node: Node, root: Path) -> Iterator[Node]:
    """Provide the node with an agent."""
    with agent(node, root):
        yield node
        assert node.remains() == []


def test_a_full_node(served: Node) -> None:
    """110 pods at once."""
    full_node_at_once(served)


def test_critest(served: Node, tools: Path) -> None:
    """All of critest that concerns the network."""
    critest_passes(served, tools)


def test_the_runtime_is_killed(served: Node) -> None:
    """Again and again amid ADDs."""
    runtime_killed(served)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_agents_come_and_go(node: Node, root: Path, number: signal.Signals) -> None:
    """Pods that are made meanwhile come up by an agent, by the engine, or by a second try; they leave nothing."""
    with node.pods(0), ThreadPoolExecutor(4) as pool:
        making = [pool.submit(run_as_kubelet, node, node.names()) for _ in range(_PODS)]
        for turn in range(1, _TURNS + 1):
            with agent(node, root) as started:
                wait_until(lambda: sum(made.done() for made in making) >= _PODS // _TURNS * turn)  # noqa: B023
                started.end(number)
        pods = [made.result() for made in making]
        addresses = [address for pod in pods for address in node.cri.addresses(pod)]
        with agent(node, root):
            list(pool.map(lambda pod: node.cri.remove(pod, force=True), pods))

            assert len(set(addresses)) == len(addresses) == 2 * _PODS
            assert node.remains() == []
