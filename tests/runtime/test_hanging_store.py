"""A store whose lock is never released, while the runtime polls STATUS and the configuration is replaced.

containerd asks for STATUS, with no time limit, under a lock that also a new configuration waits for, and behind it
every ADD: our own limits are the only ones.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lab.waiting import wait_until
from runtime.cri import CriError
from runtime.node import STATE_DIR, Node
from runtime.release import NEWEST

pytestmark = pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)  # Debian's asks for no STATUS

_POLLERS = 4
# Seconds on a busy machine; our limits are 1 for STATUS, 5 for ADD and for the DEL after it, and the lock is held on.
_STATUS, _RELOAD, _CALL = 20, 40, 60


def test_status_tells(node: Node) -> None:
    """The runtime's network is not ready, with our sentence, while the lock is held, and ready once it is free."""
    with node.pods(), _held_lock(node):
        said = node.cri.network_condition()

    assert not said["status"]
    assert "has held the lock" in said["message"]
    wait_until(lambda: bool(node.cri.network_condition()["status"]), seconds=_STATUS)


def test_a_new_configuration_passes(node: Node) -> None:
    """STATUS, a new configuration, ADD and DEL all end within our limits, and a free lock lets everything recover."""
    with node.pods() as [old], _held_lock(node), _polls(node) as slowest:
        reload = _seconds(lambda: node.use(node.conflist(mtu=1400)))
        add = _seconds(lambda: _fails(lambda: node.cri.run_pod(node.names())))
        delete = _seconds(lambda: _fails(lambda: node.cri.stop(old.pod)))

    with node.pods() as [pod]:
        mtu = node.cri.exec(pod.container, "cat", "/sys/class/net/eth0/mtu")

    assert max(slowest) < _STATUS
    assert reload < _RELOAD
    assert max(add, delete) < _CALL
    assert mtu.strip() == "1400"
    assert node.remains() == []


@contextmanager
def _held_lock(node: Node) -> Iterator[None]:
    """Hold the lock of the store, as a process does that hangs in a transaction."""
    with node.box.running(["flock", "--no-fork", f"{STATE_DIR}/lock", "sleep", "3600"]):
        wait_until(lambda: not _is_free(node))
        yield


def _is_free(node: Node) -> bool:
    return node.box.try_run(["flock", "--nonblock", f"{STATE_DIR}/lock", "true"]).returncode == 0


@contextmanager
def _polls(node: Node) -> Iterator[list[float]]:
    """Poll STATUS without pause from several clients; the list has how long each poll took."""
    took: list[float] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            took.append(_seconds(node.cri.info))

    with ThreadPoolExecutor(_POLLERS) as pool:
        polls = [pool.submit(poll) for _ in range(_POLLERS)]
        try:
            yield took
        finally:
            over.set()
    for done in polls:
        done.result()


def _fails(call: Callable[[], object]) -> None:
    with pytest.raises(CriError, match="has held the lock"):
        call()


def _seconds(call: Callable[[], object]) -> float:
    begin = time.monotonic()
    call()
    return time.monotonic() - begin
