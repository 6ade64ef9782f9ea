"""Pods under CRI-O 1.34: a runtime that uses the verbs that containerd does not, CHECK and GC.

Its pods have no process of their own here: that would need an OOM score that only CAP_SYS_RESOURCE may set.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cnitool import CniTool
from runtime.crio import Crio, crio
from runtime.node import Node
from runtime.release import NEWEST

# CRI-O asks nothing of containerd; the node is there with it.
pytestmark = pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)


@pytest.fixture
def runtime(node: Node, tools: Path) -> Iterator[tuple[Crio, Node]]:
    """Provide CRI-O and a node whose pods are CRI-O's."""
    with crio(node, tools) as made:
        yield made


def test_life_of_a_pod(runtime: tuple[Crio, Node]) -> None:
    """Pods pass the CHECK after ADD, have both addresses, reach each other and the Internet, and leave nothing."""
    _, node = runtime
    with node.pods(2) as [one, other]:
        assert [":" in address for address in one.addresses] == [False, True]
        for family, address in other.by_family.items():
            assert node.reaches(one, address) == one.by_family[family]
        node.reaches_internet(one)

    assert node.remains() == []


def test_restart(runtime: tuple[Crio, Node]) -> None:
    """Over a restart pods pass CHECK, keep their addresses, and are removed as ever."""
    daemon, node = runtime
    with node.pods() as [pod]:
        daemon.stop()
        daemon.start()

        assert node.cri.is_ready(pod.pod)
        assert tuple(node.cri.addresses(pod.pod)) == pod.addresses
        assert set(node.reaches_internet(pod)) == {4, 6}

    assert node.remains() == []


def test_garbage(runtime: tuple[Crio, Node], tools: Path, tmp_path: Path) -> None:
    """When it starts, an attachment that CRI-O does not know is collected, and its pods' stay whole."""
    daemon, node = runtime
    tool = CniTool(node, tools / "cnitool", tmp_path)
    tool.configure(node.conflist())
    with node.pods() as [pod], tool.namespaces() as [lost]:
        tool.add(lost)
        assert node.attachments() == 2
        daemon.stop()
        daemon.start()

        assert node.attachments() == 1
        assert set(node.reaches_internet(pod)) == {4, 6}
