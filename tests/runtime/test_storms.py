"""Many pods at once, and pods while the runtime is killed: what they get is theirs alone, and all of it is released.

Without an agent, and with the oldest runtime only, except at night; test_agent.py has the other halves.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lab.waiting import wait_until
from runtime.cri import CriError, Pod
from runtime.images import busybox
from runtime.node import Node
from runtime.release import DEBIAN, usually

pytestmark = usually(DEBIAN)
_PODS = 110  # as many as a kubelet allows on a node
_PODS_KILLED, _KILLS = 12, 4


def test_a_full_node_at_once(node: Node) -> None:
    """110 pods at once all come up, no two share an address, and removed at once they leave nothing."""
    with node.pods(0), ThreadPoolExecutor(_PODS) as pool:
        pods = list(pool.map(node.cri.run_pod, [node.names() for _ in range(_PODS)]))
        ready = list(pool.map(node.cri.is_ready, pods))
        addresses = [address for pair in pool.map(node.cri.addresses, pods) for address in pair]
        stored = node.attachments()
        list(pool.map(lambda pod: node.cri.remove(pod, force=True), pods))

        assert ready == [True] * _PODS
        assert len(set(addresses)) == len(addresses) == 2 * _PODS
        assert stored == _PODS
        assert node.remains() == []


def test_the_runtime_is_killed(node: Node) -> None:
    """SIGKILL for containerd, again and again amid ADDs: every pod comes up in the end, nothing is doubled or left."""
    with node.pods(0), ThreadPoolExecutor(_PODS_KILLED) as pool:
        making = [pool.submit(run_as_kubelet, node, node.names()) for _ in range(_PODS_KILLED)]
        for _ in range(_KILLS):
            _wait_for_another_link(node)
            node.daemon.kill()
            node.daemon.start()
        pods = [made.result() for made in making]
        half_made = node.cri.pod_ids() - {pod.id for pod in pods}
        list(pool.map(lambda pod_id: node.cri.remove(Pod(pod_id, Path()), force=True), half_made))
        stored = node.attachments()
        addresses = [address for pod in pods for address in node.cri.addresses(pod)]
        for address in addresses:
            node.box.run([busybox(), "ping", "-c", "1", "-W", "2", address])
        list(pool.map(lambda pod: node.cri.remove(pod, force=True), pods))

        assert stored == _PODS_KILLED
        assert len(set(addresses)) == len(addresses) == 2 * _PODS_KILLED
        assert node.remains() == []


def _wait_for_another_link(node: Node) -> None:
    """Wait for the middle of an ADD."""
    before = node.host_ends()
    wait_until(lambda: bool(node.host_ends() - before))


def run_as_kubelet(node: Node, name: str) -> Pod:
    """Create a pod as often as it takes, each time as another attempt."""
    for attempt in range(100):
        try:
            return node.cri.run_pod(name, attempt)
        except CriError:
            wait_until(node.daemon.answers)
    raise AssertionError(f"{name} did not come up")
