"""What belongs to others is named, refused and left alone: links, routes, namespaces."""

import base64
import hashlib
from pathlib import Path

import pytest

from lab import snapshot, state
from lab.namespaces import Namespace
from lab.plugin import Json
from lab.probes import ping
from lab.rig import Rig, requesting


def host_ifname(container: str, ifname: str = "eth0") -> str:
    """Return the name of the host end as documented."""
    return "s80" + base64.b32encode(hashlib.sha256(f"{container}\0{ifname}".encode()).digest()).decode().lower()[:12]


def refused(rig: Rig, pod: Namespace, conf: Json | None = None, **more: str) -> Json:
    """ADD that must fail and change neither the node, nor the pod, nor the store."""
    before = (
        snapshot.take(rig.host),
        snapshot.take(pod),
        state.attachments(rig.state_dir),
        state.held_addresses(rig.state_dir),
    )
    error = rig.plugin.refuses("ADD", conf or rig.conf, netns=pod, **more)
    after = (
        snapshot.take(rig.host),
        snapshot.take(pod),
        state.attachments(rig.state_dir),
        state.held_addresses(rig.state_dir),
    )
    assert [snapshot.difference(old, new) for old, new in zip(before[:2], after[:2], strict=True)] == [[], []]
    assert before[2:] == after[2:]
    return error


def test_host_end_has_the_documented_name(rig: Rig) -> None:
    """The host end is called s80 and 12 characters of the hash of container and interface."""
    attachment = rig.attach()

    assert host_ifname(attachment.pod.name) == attachment.host_ifname


def test_foreign_link_with_the_host_end_name_is_refused(rig: Rig) -> None:
    """A foreign link with the name of the host end is named in the error and stays."""
    rig.cycle()
    pod = rig.site.pod()
    rig.host.ip(f"link add {host_ifname(pod.name)} type bridge")

    error = refused(rig, pod)

    assert host_ifname(pod.name) in error["msg"]


def test_del_spares_a_foreign_link_with_the_host_end_name(rig: Rig) -> None:
    """DEL of an unknown container leaves a foreign link with the name of its host end."""
    rig.cycle()
    rig.host.ip(f"link add {host_ifname('c')} type bridge")

    rig.plugin.delete("", rig.conf, container="c")

    assert rig.host.has_link(host_ifname("c"))


def test_foreign_route_to_a_requested_address(rig: Rig, family: str) -> None:
    """A requested address with a foreign route is refused with 102, naming the route, which stays."""
    rig.cycle()
    address = rig.node.pod6("42") if family == "ipv6" else rig.node.pod4(42)
    rig.host.ip(f"route add {address} dev eth0 proto static")

    error = refused(rig, rig.site.pod(), requesting(rig.conf, address))

    assert error["code"] == 102
    assert address in error["msg"]


def test_requested_address_of_a_live_pod(rig: Rig, family: str) -> None:
    """A requested address of another pod is refused with 102, and that pod stays as it is."""
    first = rig.attach()

    error = refused(rig, rig.site.pod(), requesting(rig.conf, getattr(first, family)))

    assert error["code"] == 102
    rig.plugin.check(first.pod, rig.conf, first.result)


def test_interface_name_taken_in_the_pod(rig: Rig) -> None:
    """An interface of that name in the pod is an error that names it; it stays, and no address leaks."""
    rig.cycle()
    pod = rig.site.pod()
    pod.ip("link add eth0 type bridge")

    assert "eth0" in refused(rig, pod)["msg"]


@pytest.mark.every_shape
@pytest.mark.parametrize("ifname", ["eth0", "eth7"])
def test_namespace_of_the_host(rig: Rig, ifname: str) -> None:
    """At ADD the host's own namespace is code 8 before any work: a link of that name is untouched."""
    before = snapshot.take(rig.host)

    error = rig.plugin.refuses("ADD", rig.conf, netns=rig.host, ifname=ifname)

    assert error["code"] == 8
    assert snapshot.difference(before, snapshot.take(rig.host)) == []


@pytest.mark.every_shape
def test_del_with_the_namespace_of_the_host(rig: Rig) -> None:
    """A DEL whose CNI_NETNS has become the host's own removes the pod and its addresses, and no link of the host.

    A runtime that names a sandbox by a process ID sends that once the ID was given to another process.
    """
    rig.cycle()
    before = snapshot.take(rig.host)
    attachment = rig.attach()  # its interface has the name of the node's uplink

    rig.plugin.delete(rig.host, rig.conf, container=attachment.pod.name)

    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert not attachment.pod.has_link("eth0")
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.mark.every_shape
def test_del_of_nothing_with_the_namespace_of_the_host(rig: Rig) -> None:
    """It succeeds, like any DEL of an unknown attachment, and a link of that name on the host stays."""
    before = snapshot.take(rig.host)

    rig.plugin.delete(rig.host, rig.conf, container="never")

    assert snapshot.difference(before, snapshot.take(rig.host)) == []


@pytest.mark.every_shape
def test_overridden_guard_spares_default_routes(rig: Rig) -> None:
    """CNI_NETNS_OVERRIDE lifts the guard, but a namespace with other default routes is still refused."""
    before = snapshot.take(rig.host)

    rig.plugin.refuses("ADD", rig.conf, netns=rig.host, ifname="eth7", CNI_NETNS_OVERRIDE="1")

    assert snapshot.difference(before, snapshot.take(rig.host)) == []


def test_default_routes_of_a_chained_interface_stay(rig: Rig) -> None:
    """In a pod with another plugin's default route none is added or replaced."""
    pod = rig.site.pod()
    pod.ip(
        "link add net1 type bridge",
        "addr add 10.1.1.2/24 dev net1",
        "link set net1 up",
        "route add default via 10.1.1.1",
    )
    before = pod.query("-4 route show default")

    rig.plugin.call("ADD", rig.conf, netns=pod)

    assert before == pod.query("-4 route show default")


@pytest.mark.every_shape
def test_file_as_namespace_is_code_8(rig: Rig) -> None:
    """A path that is a regular file is code 8."""
    path = rig.state_dir.with_name("file")
    path.touch()

    assert rig.plugin.refuses("ADD", rig.conf, netns=path, container="c")["code"] == 8
    assert state.attachments(rig.state_dir) == 0


@pytest.mark.every_shape
def test_other_kind_of_namespace_is_code_8(rig: Rig) -> None:
    """A namespace that is not a network namespace is code 8."""
    assert rig.plugin.refuses("ADD", rig.conf, netns="/proc/self/ns/uts", container="c")["code"] == 8


@pytest.mark.every_shape
def test_missing_namespace_is_code_999(rig: Rig) -> None:
    """A path that does not exist is code 999, and the message names it."""
    error = rig.plugin.refuses("ADD", rig.conf, netns="/run/netns/s80t-none", container="c")

    assert error["code"] == 999
    assert "/run/netns/s80t-none" in error["msg"]


def test_address_of_a_pod_in_another_store(rig: Rig, family: str, tmp_path: Path) -> None:
    """A pod in another state directory keeps its address: the kernel refuses it, and another one is chosen."""
    conf = {"ipv6": {"suffix": "ipv4"}}  # both stores would begin with the same addresses
    first = rig.having(**conf).attach()
    second = rig.having(**conf, stateDir=str(tmp_path / "other"), socket=None).attach()

    assert getattr(first, family) != getattr(second, family)
    assert ping(first.pod, getattr(second, family)) == 1


def test_requested_address_of_a_pod_in_another_store(rig: Rig, family: str, tmp_path: Path) -> None:
    """A request for its address is code 102, and the pod keeps it."""
    address = getattr(rig.attach(), family)
    other = rig.having(stateDir=str(tmp_path / "other"), socket=None)
    error = other.plugin.refuses("ADD", requesting(other.conf, address), netns=rig.site.pod())

    assert error["code"] == 102
    assert address in error["msg"]
    assert ping(rig.attach().pod, address) == 1
