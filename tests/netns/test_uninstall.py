"""A DEL and an uninstall at the same time: in either order nothing is left of both."""

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
    """Provide a node that never had a pod, and see that it is as it was and that nothing is kept on it."""
    before = snapshot.take(rig.host)
    yield rig
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert not rig.state_dir.exists()


def _uninstall(rig: Rig) -> int:
    program = root() / "opt/cni/bin/slash80"
    folders = [f"--{name}-dir={rig.state_dir.with_name(name)}" for name in ("bin", "conf", "data")]
    command = [str(program), "uninstall", "--force", *folders, f"--state-dir={rig.state_dir}"]
    return rig.host.run(partial(subprocess.call, command, stdout=subprocess.DEVNULL))


@pytest.mark.parametrize("moment", [Failpoint.LOCKED, Failpoint.DETACHED])
def test_uninstall_waits_for_a_del(node: Rig, moment: Failpoint) -> None:
    """A DEL in progress is finished before anything is removed: it would create the store again."""
    pod = node.attach().pod
    with stopped(node, "DEL", pod, moment) as resume, ThreadPoolExecutor(1) as pool:
        uninstalling = pool.submit(_uninstall, node)
        wait_until(lambda: is_waited_for(node.state_dir / "locks/attachments"))
        assert resume() == 0
        assert uninstalling.result() == 0


def test_del_waits_for_uninstall(rig: Rig) -> None:
    """A DEL that gets its lock when everything is gone removes what the kernel has, and creates nothing."""
    attachment = rig.attach()
    with ThreadPoolExecutor(1) as pool:
        with AttachmentLocks(rig.state_dir, 1).all_held():
            removing = pool.submit(rig.plugin.delete, attachment.pod, rig.conf)
            wait_until(lambda: is_waited_for(rig.state_dir / "locks/attachments"))
            rig.lose_state()
        removing.result()
    assert not rig.host.has_link(attachment.host_ifname)
    assert not rig.state_dir.exists()


def test_uninstall_removes_the_kept_settings(node: Rig) -> None:
    """The next slash80 on this node must not begin with the settings of this one."""
    node.detach(node.attach())
    kept = node.state_dir.with_name("data")
    kept.mkdir()
    (kept / "config.yaml").write_text("mtu: 1400")
    assert _uninstall(node) == 0
    assert not kept.exists()


def test_del_after_uninstall_creates_nothing(node: Rig) -> None:
    """Kubelets repeat their DELs, also when nothing is left."""
    pod = node.attach().pod
    assert _uninstall(node) == 0
    node.plugin.delete(pod, node.conf)
    node.plugin.delete("", node.conf, container=pod.name)
