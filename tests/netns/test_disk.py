"""A store that is damaged, lost, newer than the plugin, or on a disk that is full or read-only."""

import contextlib
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab import programs, snapshot, state
from lab.probes import ping
from lab.rig import Attachment, Rig, changed
from lab.topology import INTERNET6
from netns.conftest import root

# an agent keeps the store open that these tests take away
pytestmark = pytest.mark.with_and_without_agent


def overwrite(path: Path, data: bytes) -> None:
    """Write over a file in place, so that a process that has it open sees it too."""
    with path.open("r+b") as file:
        file.write(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "deleted": lambda path: path.unlink(),
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:5000]),
    "replaced by something else": lambda path: path.write_text("this is not a database\n" * 500),
    "overwritten at the start": lambda path: overwrite(path, b"\0" * 100),
    "overwritten in the middle": lambda path: overwrite(path, path.read_bytes()[:4096] + b"\xff" * 9000),
}


def checked(rig: Rig, attachment: Attachment) -> None:
    """CHECK an attachment, and see that it works."""
    rig.plugin.check(attachment.pod, rig.conf, attachment.result)
    assert ping(attachment.pod, INTERNET6) == 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_store_is_read_back_from_the_kernel(rig: Rig, damage: str) -> None:
    """Pods keep their addresses, a second ADD is refused, and DEL leaves nothing."""
    rig.cycle()
    before = snapshot.take(rig.host)
    pods = [rig.attach(), rig.attach()]
    DAMAGES[damage](rig.state_dir / "state.db")

    rig.plugin.refuses("ADD", rig.conf, netns=pods[0].pod)
    pods.append(rig.attach())

    assert len({address for pod in pods for address in pod.addresses}) == 6
    for pod in pods:
        checked(rig, pod)
        rig.detach(pod)
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


def test_lost_store_keeps_what_gc_needs(rig: Rig) -> None:
    """After the store was lost GC still removes what is not listed, and knows whose network it is."""
    kept, gone = rig.attach(), rig.attach()
    (rig.state_dir / "state.db").unlink()
    listed = [{"containerID": kept.pod.name, "ifname": "eth0"}]
    rig.plugin.gc(changed(rig.conf, cniVersion="1.1.0", **{"cni.dev/valid-attachments": listed}))

    checked(rig, kept)
    assert not gone.pod.has_link("eth0")
    assert state.attachments(rig.state_dir) == 1


def test_store_of_a_newer_version(rig: Rig) -> None:
    """With a store of a newer version ADD is code 11, while CHECK and DEL of existing pods work."""
    attachment = rig.attach()
    with contextlib.closing(sqlite3.connect(rig.state_dir / "state.db", isolation_level=None)) as database:
        database.execute("ALTER TABLE attachment ADD COLUMN later TEXT")
        database.execute("PRAGMA user_version = 99")

    error = rig.plugin.refuses("ADD", rig.conf, netns=rig.site.pod())

    assert error["code"] == 11
    assert "newer slash80" in error["msg"]
    checked(rig, attachment)
    rig.detach(attachment)
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.fixture
def disk(rig: Rig) -> Iterator[Path]:
    """Put the state directory on a small disk of its own."""
    rig.state_dir.mkdir(mode=0o700)
    programs.run(["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "slash80-test", rig.state_dir])
    yield rig.state_dir
    programs.run(["umount", "--lazy", rig.state_dir])


def fill(disk: Path) -> Path:
    """Fill a disk to its last byte, and give the file that does it."""
    filler = disk / "filler"
    with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)
    return filler


@pytest.mark.parametrize("shape", ["inprocess", "frozen"], indirect=True)  # an agent would hold the disk
def test_add_on_a_full_disk_is_code_5(rig: Rig, disk: Path) -> None:
    """The ADD leaves nothing, DEL removes the pod, and with space again everything works."""
    rig.cycle()
    before = snapshot.take(rig.host)
    attachment, pod = rig.attach(), rig.site.pod()
    filler = fill(disk)

    error = rig.plugin.refuses("ADD", rig.conf, netns=pod)
    rig.detach(attachment)

    assert error["code"] == 5
    assert str(disk) in error["msg"]
    assert not pod.has_link("eth0")
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    filler.unlink()
    rig.detach(rig.attach(pod))
    rig.plugin.gc(changed(rig.conf, cniVersion="1.1.0", **{"cni.dev/valid-attachments": []}))
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.mark.parametrize("shape", ["inprocess", "frozen"], indirect=True)  # as above
def test_add_on_a_read_only_disk_is_code_5(rig: Rig, disk: Path) -> None:
    """STATUS is code 50, and DEL removes the pod."""
    rig = rig.having(cniVersion="1.1.0")
    rig.cycle()
    before = snapshot.take(rig.host)
    attachment = rig.attach()
    programs.run(["mount", "-o", "remount,ro", disk])

    codes = [rig.plugin.refuses(verb, rig.conf, netns=rig.site.pod())["code"] for verb in ("ADD", "STATUS")]
    rig.detach(attachment)

    assert codes == [5, 50]
    assert snapshot.difference(before, snapshot.take(rig.host)) == []


@contextlib.contextmanager
def locked(rig: Rig) -> Iterator[None]:
    """Keep the store locked, as a program does that copies or repairs it."""
    with contextlib.closing(sqlite3.connect(rig.state_dir / "state.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield


def test_store_locked_by_another_program_is_code_11(rig: Rig, shape: str) -> None:
    """The error comes after lockTimeout and names the file; a DEL removes the pod before that."""
    rig = rig.having(cniVersion="1.1.0")
    rig.cycle()
    before = snapshot.take(rig.host)
    attachment, pod = rig.attach(), rig.site.pod()
    # of these calls only: the others have to get the locks, which a busy agent holds for longer
    hurried = changed(rig.conf, lockTimeout=0.2, **{"cni.dev/valid-attachments": []})
    with locked(rig):
        errors = [
            rig.plugin.refuses("ADD", hurried, netns=pod),
            rig.plugin.refuses("CHECK", hurried | {"prevResult": attachment.result}, netns=attachment.pod),
            rig.plugin.refuses("GC", hurried),
            rig.plugin.refuses("STATUS", hurried),
            rig.plugin.refuses("DEL", hurried, netns=attachment.pod),
        ]
        gone = [not attachment.pod.has_link("eth0"), not rig.host.has_link(attachment.host_ifname)]

    assert [11, 11, 11, 50, 11] == [error["code"] for error in errors]
    words = [f"another program, such as a backup or sqlite3, has kept {rig.state_dir}"]
    if shape == "served":  # an agent deletes links some time later, and may hold our own lock while it waits for theirs
        words.append(f"another call has held the lock {rig.state_dir}")
    assert [] == [error["msg"] for error in errors if not any(map(error["msg"].__contains__, words))]
    assert [True, True, False] == [*gone, pod.has_link("eth0")]
    rig.detach(attachment)
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)  # which has a command line
def test_attachments_of_a_locked_store_are_not_listed(rig: Rig) -> None:
    """The command says so in one sentence."""
    rig.attach()
    words: list[str | Path] = [root() / "opt/cni/bin/slash80", "attachments", "--state-dir", rig.state_dir]
    with locked(rig):
        done = subprocess.run(words, capture_output=True, text=True, check=False)

    assert (1, "") == (done.returncode, done.stdout)
    assert done.stderr.startswith("slash80 attachments: another program, such as a backup or sqlite3, has kept ")


def test_del_after_a_reboot_succeeds(rig: Rig) -> None:
    """With state, rules, links and namespaces gone, every DEL that the runtime still sends succeeds."""
    attachments = [rig.attach() for _ in range(3)]
    rig.lose_state()
    rig.host.nft("flush ruleset")
    for attachment in attachments:
        attachment.pod.delete()
        rig.host.command("ip", "link", "del", attachment.host_ifname, check=False)

        rig.plugin.delete("", changed(rig.conf, prevResult=attachment.result), container=attachment.pod.name)
        rig.plugin.delete("", rig.conf, container=attachment.pod.name)

    new = rig.attach()
    checked(rig, new)
    assert state.attachments(rig.state_dir) == 1
