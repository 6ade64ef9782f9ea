"""Kernels that lack or forbid something, and what the kernel remembers: one clear sentence, and no stale connection."""

import fcntl
import json
import os
import shlex
import socket
from pathlib import Path

import pytest

from lab import snapshot, state
from lab.namespaces import Namespace
from lab.plugin import Json
from lab.probes import ANSWERED, SHORTLY, family_of
from lab.rig import Attachment, Rig, changed, requesting
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until
from netns.conftest import root

# where the plugin runs is what these tests change: mounts, locks, and who forgets a connection
pytestmark = pytest.mark.with_and_without_agent

HIDE_IPV6 = "mount -t tmpfs none /proc/sys/net/ipv6"
HIDE_IPV4 = "mount -t tmpfs none /proc/sys/net/ipv4"
READ_ONLY = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys"


def call_behind(rig: Rig, pod: Namespace, mounts: str, verb: str = "ADD") -> Json:
    """Call the frozen plugin in a mount namespace where something was mounted before; give what it said."""
    root = os.environ.get("SLASH80_ROOT") or pytest.skip("SLASH80_ROOT is not set")
    variables = {
        "CNI_COMMAND": verb,
        "CNI_CONTAINERID": pod.name,
        "CNI_NETNS": str(pod.path),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
    }
    program = shlex.quote(str(Path(root) / "opt/cni/bin/slash80"))
    environ = [f"{key}={value}" for key, value in variables.items()]
    argv = ["env", *environ, "unshare", "--mount", "sh", "-ec", f"{mounts}; exec {program}"]
    answer: Json = json.loads(rig.host.command(*argv, stdin=json.dumps(rig.conf), check=False))
    return answer


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
@pytest.mark.parametrize(("mounts", "missing"), [(HIDE_IPV6, "IPv6"), (HIDE_IPV4, "IPv4")])
def test_kernel_without_a_family_is_named(rig: Rig, mounts: str, missing: str) -> None:
    """A configured family that the kernel lacks is named in one sentence, and nothing is left."""
    before = snapshot.take(rig.host)
    error = call_behind(rig, rig.site.pod(), mounts)

    assert error["code"] == 999
    assert f"the kernel has no {missing}" in error["msg"]
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert state.attachments(rig.state_dir) == 0


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
def test_read_only_sysctl_with_a_wrong_value_is_named(rig: Rig) -> None:
    """Where /proc/sys is read-only and the node does not forward, ADD names the key and leaves no pod."""
    pod = rig.site.pod()
    rig.host.sysctl("ipv4/ip_forward", 0)  # a new namespace has the machine's setting
    error = call_behind(rig, pod, READ_ONLY)

    assert error["code"] == 999
    assert "net.ipv4.ip_forward" in error["msg"]
    assert not pod.has_link("eth0")
    assert state.attachments(rig.state_dir) == 0


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
def test_read_only_sysctl_without_ipv6_for_new_links_is_named(rig: Rig) -> None:
    """Where IPv6 is off for new links and cannot be enabled, ADD names the setting that new links inherit."""
    rig.cycle()
    rig.host.sysctl("ipv6/conf/default/disable_ipv6", 1)
    error = call_behind(rig, pod := rig.site.pod(), READ_ONLY)

    assert error["code"] == 999
    assert "set net.ipv6.conf.default.disable_ipv6 to 0 on the node" in error["msg"]
    assert not pod.has_link("eth0")
    assert state.attachments(rig.state_dir) == 0


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
def test_read_only_sysctl_with_the_right_value_works(rig: Rig) -> None:
    """Where /proc/sys is read-only and every value is right, ADD works."""
    rig.cycle()

    assert call_behind(rig, rig.site.pod(), READ_ONLY)["ips"]


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
def test_system_without_etc_protocols(rig: Rig) -> None:
    """A bare system has no /etc/protocols, and the firewall is still put in place."""
    hide = "test ! -e /etc/protocols || mount --bind /dev/null /etc/protocols"

    assert call_behind(rig, rig.site.pod(), hide)["ips"]


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
def test_status_with_an_nft_that_hangs(rig: Rig, tmp_path: Path) -> None:
    """STATUS does not wait for an nft that never ends, for example because of another program's lock."""
    hanging = tmp_path / "nft"
    hanging.write_text("#!/bin/sh\nexec sleep 1000\n")
    hanging.chmod(0o755)
    real = Path(root(), "opt/cni/bin/.slash80/engine").resolve().with_name("nft")
    error = call_behind(rig.having(cniVersion="1.1.0"), rig.site.pod(), f"mount --bind {hanging} {real}", "STATUS")

    assert error["code"] == 50
    assert "nft did not finish" in error["msg"]


def test_status_while_the_store_is_locked(rig: Rig) -> None:
    """STATUS does not wait for a store whose lock is never released; ADD is code 11 after `lockTimeout`."""
    rig = rig.having(cniVersion="1.1.0")
    rig.cycle()
    hurried = changed(rig.conf, lockTimeout=0.2)
    with (rig.state_dir / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        codes = [rig.plugin.refuses(verb, hurried, netns=rig.site.pod())["code"] for verb in ("STATUS", "ADD")]

    assert codes == [50, 11]


def test_each_end_has_one_queue(rig: Rig) -> None:
    """One for each CPU would be created and disabled again, with a wait for RCU at both ends."""
    made = rig.attach()
    for namespace, name in ((rig.host, made.host_ifname), (made.pod, "eth0")):
        (link,) = namespace.query(f"-details link show {name}")
        assert (1, 1) == (link["num_tx_queues"], link["num_rx_queues"])


def test_ends_have_different_indexes(rig: Rig) -> None:
    """With equal indexes IPv6 would notice the link up to a second late."""
    pods = [rig.attach().pod for _ in range(3)]
    ends = [pod.query("link show eth0")[0] for pod in pods]

    assert all(end["ifindex"] != end["link_index"] for end in ends)


@pytest.mark.parametrize("end", ["removed", "vanished", "collected"])
def test_next_holder_of_an_address_inherits_no_connection(routed: Rig, family: str, end: str) -> None:
    """A connection of a pod that is gone does not let its peer in to the pod that gets the address next.

    However the pod went, and though the peer has not stopped to send.
    """
    rig = routed.having(cniVersion="1.1.0", ipv4={"masquerade": False})
    first = rig.attach()
    address, peer = getattr(first, family), {"ipv6": INTERNET6, "ipv4": INTERNET4}[family]
    with rig.site.internet.socket(family_of(peer), socket.SOCK_DGRAM) as outside:
        outside.bind((peer, 7))
        exchange(first, address, outside, peer)
        remove(rig, first, end)
        for _ in range(3):
            outside.sendto(b"late", (address, 5000))
        second = rig.attach(conf=requesting(rig.conf, address))

        assert not is_reached(second, address, outside)


def remove(rig: Rig, pod: Attachment, end: str) -> None:
    """Have a pod go in one of the ways in which pods go."""
    if end == "removed":
        rig.detach(pod)
        return
    pod.pod.delete()
    wait_until(lambda: not rig.host.has_link(pod.host_ifname))
    if end == "vanished":
        rig.plugin.delete("", rig.conf, container=pod.pod.name)
    else:
        rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": []})


def exchange(pod: Attachment, address: str, outside: socket.socket, peer: str) -> None:
    """Have the pod begin a connection, and see that its peer may answer."""
    with pod.pod.socket(family_of(address), socket.SOCK_DGRAM) as inside:
        inside.bind((address, 5000))
        inside.settimeout(ANSWERED)
        outside.settimeout(ANSWERED)
        inside.sendto(b"hello", (peer, 7))
        outside.sendto(b"answer", outside.recvfrom(100)[1])
        assert inside.recv(100) == b"answer"


def is_reached(pod: Attachment, address: str, outside: socket.socket) -> bool:
    """Whether a packet of the peer arrives at the port that the old connection had."""
    with pod.pod.socket(family_of(address), socket.SOCK_DGRAM) as inside:
        inside.bind((address, 5000))
        inside.settimeout(SHORTLY)
        outside.sendto(b"late", (address, 5000))
        try:
            return bool(inside.recv(100))
        except TimeoutError:
            return False
