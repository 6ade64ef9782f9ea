"""containerd itself: restarts, configuration coming and going, errors as people see them."""

import re

import pytest

from lab.waiting import wait_until
from runtime.cri import CriError, Pod
from runtime.images import busybox
from runtime.node import Node


def test_the_release(node: Node) -> None:
    """The runtime is of the release that the tests of this run are said to be about."""
    assert re.split(r"[+~]", node.cri.version())[0] == node.daemon.release.version


def test_restart_of_the_runtime(node: Node) -> None:
    """Over a restart of containerd pods keep their addresses, reach each other, and are removed as ever."""
    with node.pods(2) as [one, other]:
        node.daemon.stop()
        node.daemon.start()
        addresses = [tuple(node.cri.addresses(pod.pod)) for pod in (one, other)]
        for address in other.addresses:
            node.reaches(one, address)
        node.cri.remove(one.pod, force=True)
        node.cri.remove(other.pod, force=True)

        assert addresses == [one.addresses, other.addresses]
        assert node.remains() == []


def test_ready_when_the_configuration_comes(node: Node) -> None:
    """The runtime's network is not ready without a configuration, and ready soon after one came by rename."""
    node.daemon.remove_conflist()
    wait_until(lambda: not node.cri.network_condition()["status"])
    with pytest.raises(CriError, match="cni plugin not initialized"):
        node.cri.run_pod(node.names())
    node.daemon.write_conflist(node.conflist())
    wait_until(lambda: bool(node.cri.network_condition()["status"]))
    with node.pods() as [pod]:
        assert len(pod.addresses) == 2


def test_exhaustion_is_told(node: Node) -> None:
    """A pod that gets no address fails with our sentence where people look for it; other pods stay."""
    node.use(node.conflist(ipv4={"prefixes": ["10.80.9.0/30"]}))
    with node.pods(2) as [one, other]:
        with pytest.raises(CriError) as failure:
            node.cri.run_pod(node.names())
        said = str(failure.value)

        assert "IPv4" in said
        assert "10.80.9.0/30" in said
        assert "2 allocated" in said
        assert node.attachments() == 2
        node.ping(one, other.by_family[4])


def test_a_failed_pod_leaves_nothing(node: Node) -> None:
    """What a failed ADD had begun is undone; a later pod gets the address that is free again."""
    node.use(node.conflist(ipv4={"prefixes": ["10.80.10.0/30"]}))
    with node.pods(2) as running, pytest.raises(CriError):
        node.cri.run_pod(node.names())

    assert len(running) == 2
    assert node.remains() == []


def test_pods_of_one_name(node: Node) -> None:
    """A pod made again under the name of a stopped one is not touched by the late removal of the old."""
    with node.pods(0):
        old = node.cri.run_pod("again")
        node.cri.stop(old)
        new = node.cri.run_pod("again", attempt=1)
        node.cri.stop(old)
        node.cri.remove(old)

        assert node.cri.is_ready(new)
        assert node.attachments() == 1
        assert [link for link in node.remains() if link.startswith("link s80")]
        _assert_alive(node, new)


def _assert_alive(node: Node, pod: Pod) -> None:
    """Check that the node itself still reaches both addresses of a pod."""
    for address in node.cri.addresses(pod):
        node.box.run([busybox(), "ping", "-c", "1", "-W", "2", address])
