"""Removals that meet the uninstaller: whoever comes first, nothing is left of either."""

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from lab import snapshot
from lab.rig import Rig
from lab.stopping import is_waited_for, stopped
from lab.waiting import wait_until
from netns.conftest import root
from slash80.failpoints import Failpoint
from slash80.store.locks import AttachmentLocks


@pytest.fixture
def shape() -> str:
    """Only a process can be stopped."""
    return "frozen"


@pytest.fixture
def node(rig: Rig) -> Iterator[Rig]:
    """Give a node that never had a pod, and see that it is as it was and that nothing is kept on it."""
    before = snapshot.take(rig.host)
    yield rig
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert not rig.state_dir.exists()


def _uninstall(rig: Rig) -> int:
    program = root() / "opt/cni/bin/slash80"
    folders = [f"--{name}-dir={rig.state_dir.with_name(name)}" for name in ("bin", "conf")]
    command = [str(program), "uninstall", "--force", *folders, f"--state-dir={rig.state_dir}"]
    return rig.host.run(partial(subprocess.call, command, stdout=subprocess.DEVNULL))


@pytest.mark.parametrize("moment", [Failpoint.LOCKED, Failpoint.DETACHED])
def test_the_uninstaller_waits_for_a_removal(node: Rig, moment: Failpoint) -> None:
    """A DEL that stands still is finished before anything goes: it would make the store anew."""
    pod = node.attach().pod
    with stopped(node, "DEL", pod, moment) as resume, ThreadPoolExecutor(1) as pool:
        uninstalling = pool.submit(_uninstall, node)
        wait_until(lambda: is_waited_for(node.state_dir / "locks/attachments"), seconds=20)
        assert resume() == 0
        assert uninstalling.result() == 0


def test_a_removal_waits_for_the_uninstaller(rig: Rig) -> None:
    """A DEL that gets its lock when everything is gone removes what the kernel has, and makes nothing."""
    attachment = rig.attach()
    with ThreadPoolExecutor(1) as pool:
        with AttachmentLocks(rig.state_dir, 1).all_held():
            removing = pool.submit(rig.plugin.delete, attachment.pod, rig.conf)
            wait_until(lambda: is_waited_for(rig.state_dir / "locks/attachments"), seconds=20)
            shutil.rmtree(rig.state_dir)
        removing.result()
    assert not rig.host.has_link(attachment.host_ifname)
    assert not rig.state_dir.exists()


def test_a_removal_after_the_uninstaller_makes_nothing(node: Rig) -> None:
    """Kubelets repeat their removals, also when nothing is there any more."""
    pod = node.attach().pod
    assert _uninstall(node) == 0
    node.plugin.delete(pod, node.conf)
    node.plugin.delete("", node.conf, container=pod.name)
