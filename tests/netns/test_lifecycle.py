"""The life of attachments: duplicates, second interfaces, and DEL in every shape that runtimes send."""

import json
from collections.abc import Callable

import pytest

from lab import snapshot, state
from lab.probes import SHORTLY, Server, ask, source_seen
from lab.rig import Attachment, Rig, changed, requesting
from lab.topology import INTERNET6
from lab.waiting import wait_until

# An agent leaves the link of a removal to its reaper. Where a removal is read in the launcher, the agent or the engine,
# a test has every shape.
pytestmark = pytest.mark.with_and_without_agent


def pictures(rig: Rig, *attachments: Attachment) -> list[snapshot.Snapshot]:
    """Picture the node and these pods."""
    return [snapshot.take(namespace) for namespace in (rig.host, *(attachment.pod for attachment in attachments))]


def test_duplicate_add_is_refused(rig: Rig) -> None:
    """A second ADD without DEL is an error, and changes nothing on the node, in the pod or in the store."""
    first = rig.attach()
    before = pictures(rig, first)

    rig.plugin.refuses("ADD", rig.conf, netns=first.pod)

    assert before == pictures(rig, first)
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (1, 2)
    with Server(first.pod):
        assert rig.node.ipv6 == source_seen(rig.host, first.ipv6)
    rig.detach(first)


def test_duplicate_add_for_another_namespace_is_refused(rig: Rig) -> None:
    """The same container and interface with another namespace is a duplicate too; the first keeps working."""
    first, other = rig.attach(), rig.site.pod()

    rig.plugin.refuses("ADD", rig.conf, netns=other, container=first.pod.name)

    assert not other.has_link("eth0")
    rig.plugin.check(first.pod, rig.conf, first.result)


def test_second_interface_has_no_default_route(rig: Rig) -> None:
    """Of two interfaces of one pod only the first gets the default routes; all addresses differ."""
    first = rig.attach()
    second = rig.attach(first.pod, ifname="eth1")

    assert len({*first.addresses, *second.addresses}) == 4
    for words in ("-4", "-6"):
        assert [route["dev"] for route in first.pod.query(f"{words} route show default")] == ["eth0"]


@pytest.mark.every_shape
@pytest.mark.parametrize("order", [("eth0", "eth1"), ("eth1", "eth0")])
def test_del_of_one_interface_leaves_the_other(rig: Rig, order: tuple[str, str]) -> None:
    """DEL removes exactly one interface of a pod; the other keeps its addresses, host end and row."""
    pod = rig.site.pod()
    attached = {ifname: rig.attach(pod, ifname=ifname) for ifname in ("eth0", "eth1")}
    gone, left = (attached[ifname] for ifname in order)

    rig.detach(gone)

    assert [pod.has_link(ifname) for ifname in order] == [False, True]
    assert [rig.host.has_link(attachment.host_ifname) for attachment in (gone, left)] == [False, True]
    assert state.attachments(rig.state_dir) == 1
    held = {address["local"] for link in pod.query(f"addr show {left.ifname}") for address in link["addr_info"]}
    assert held >= set(left.addresses)


def test_first_interface_works_after_del_of_the_second(rig: Rig) -> None:
    """A pod whose second interface was deleted still reaches the internet and is reached by its node."""
    first = rig.attach()
    rig.detach(rig.attach(first.pod, ifname="eth1"))

    with Server(first.pod), Server(rig.site.internet):
        assert rig.node.ipv4 == source_seen(rig.host, first.ipv4)
        assert first.ipv6 == source_seen(first.pod, INTERNET6)


def without_namespace(rig: Rig, attachment: Attachment) -> None:
    """Delete with CNI_NETNS not set, though the namespace is alive."""
    rig.plugin.delete(None, rig.conf, container=attachment.pod.name)


def with_empty_namespace(rig: Rig, attachment: Attachment) -> None:
    """Delete with CNI_NETNS empty, as containerd sends it from the second time on."""
    rig.plugin.delete("", rig.conf, container=attachment.pod.name)


def with_namespace_gone(rig: Rig, attachment: Attachment) -> None:
    """Delete with a path that is not there any more."""
    attachment.pod.delete()
    rig.plugin.delete(attachment.pod, rig.conf)


def with_no_namespace(rig: Rig, attachment: Attachment) -> None:
    """Delete with a file that is not a namespace."""
    path = rig.state_dir.with_name("file")
    path.touch()
    rig.plugin.delete(path, rig.conf, container=attachment.pod.name)


def with_link_gone(rig: Rig, attachment: Attachment) -> None:
    """Delete after the interface was removed."""
    attachment.pod.ip("link del eth0")
    rig.plugin.delete(attachment.pod, rig.conf)


def with_link_renamed(rig: Rig, attachment: Attachment) -> None:
    """Delete after the pod renamed its interface."""
    attachment.pod.ip("link set eth0 down", "link set eth0 name other")
    rig.plugin.delete(attachment.pod, rig.conf)


def with_routes_gone(rig: Rig, attachment: Attachment) -> None:
    """Delete after the host routes were removed."""
    rig.host.ip(*(f"route del {address} dev {attachment.host_ifname}" for address in attachment.addresses))
    rig.plugin.delete(attachment.pod, rig.conf)


def repeated(rig: Rig, attachment: Attachment) -> None:
    """Delete three times."""
    rig.detach(attachment)
    rig.plugin.delete(attachment.pod, rig.conf)
    rig.plugin.delete("", rig.conf, container=attachment.pod.name)


def with_state_gone(rig: Rig, attachment: Attachment) -> None:
    """Delete after the state directory was removed."""
    rig.lose_state()
    rig.plugin.delete(attachment.pod, rig.conf)


def with_state_and_namespace_unknown(rig: Rig, attachment: Attachment) -> None:
    """Delete without state and namespace; the host end alone identifies its owner."""
    rig.lose_state()
    rig.plugin.delete("", rig.conf, container=attachment.pod.name)


def with_state_damaged(rig: Rig, attachment: Attachment) -> None:
    """Delete when the database holds rubbish."""
    (rig.state_dir / "state.db").write_bytes(b"rubbish" * 1000)
    rig.plugin.delete(attachment.pod, rig.conf)


def without_previous_result(rig: Rig, attachment: Attachment) -> None:
    """Delete with a namespace and no prevResult."""
    rig.plugin.delete(attachment.pod, rig.conf)


def under_other_configuration(rig: Rig, attachment: Attachment) -> None:
    """Delete under another name and other prefixes, as after a change of the conflist."""
    other = {"ipv6": {"prefixes": ["2001:db8:7:7:7::/80"]}, "ipv4": {"prefixes": ["10.99.0.0/24"]}}
    rig.plugin.delete(attachment.pod, changed(rig.conf, name="other", **other))


def in_an_old_version(rig: Rig, attachment: Attachment) -> None:
    """Delete in version 0.3.1, whose DEL knows no prevResult."""
    rig.plugin.delete(attachment.pod, changed(rig.conf, cniVersion="0.3.1"))


SHAPES: list[Callable[[Rig, Attachment], None]] = [
    without_namespace,
    with_empty_namespace,
    with_namespace_gone,
    with_no_namespace,
    with_link_gone,
    with_link_renamed,
    with_routes_gone,
    repeated,
    with_state_gone,
    with_state_and_namespace_unknown,
    with_state_damaged,
    without_previous_result,
    under_other_configuration,
    in_an_old_version,
]


@pytest.mark.every_shape
@pytest.mark.parametrize("delete", SHAPES)
def test_del_leaves_nothing(rig: Rig, quick: Callable[[Rig], Rig], delete: Callable[[Rig, Attachment], None]) -> None:
    """DEL succeeds silently in every shape, and afterwards the node is as it was before the ADD."""
    quick(rig).cycle()
    before = snapshot.take(rig.host)
    attachment = quick(rig).attach()

    delete(rig, attachment)

    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)
    if attachment.pod.path.exists():
        assert [link["ifname"] for link in attachment.pod.query("link show")] == ["lo"]


@pytest.mark.every_shape
@pytest.mark.parametrize("netns", [None, "", "/run/netns/s80t-none"])
def test_del_of_what_was_never_added(rig: Rig, netns: str | None) -> None:
    """DEL of an unknown container succeeds and changes nothing on a node that never had a pod."""
    before = snapshot.take(rig.host)

    rig.plugin.delete(netns, rig.conf, container="unknown")

    assert snapshot.difference(before, snapshot.take(rig.host)) == []


@pytest.mark.every_shape
def test_late_del_spares_the_next_holder_of_the_address(rig: Rig) -> None:
    """A DEL that comes again after the addresses went to another pod does not hurt that pod."""
    old = rig.attach()
    rig.detach(old)
    new = rig.attach(conf=requesting(rig.conf, *old.addresses))

    rig.detach(old)

    assert old.addresses == new.addresses
    rig.plugin.check(new.pod, rig.conf, new.result)
    with Server(new.pod):
        assert rig.node.ipv6 == source_seen(rig.host, new.ipv6)


def test_address_of_a_vanished_pod_can_be_requested(rig: Rig) -> None:
    """Its namespace is gone with its link, and no DEL came, so its address is free."""
    old = rig.attach()
    old.pod.delete()
    wait_until(lambda: not rig.host.has_link(old.host_ifname))

    new = rig.attach(conf=requesting(rig.conf, *old.addresses))

    assert old.addresses == new.addresses
    rig.plugin.check(new.pod, rig.conf, new.result)
    assert state.attachments(rig.state_dir) == 1


def test_del_of_one_pod_leaves_the_others(rig: Rig) -> None:
    """After one of two pods is gone, the other is reached as before, and the one is not."""
    one, other = rig.attach(), rig.attach()
    with Server(one.pod), Server(other.pod):
        rig.detach(one)

        assert rig.node.ipv4 == source_seen(rig.host, other.ipv4)
        assert ask(rig.host, one.ipv4, timeout=SHORTLY) is None


def test_container_can_be_added_again_after_del(rig: Rig) -> None:
    """The same container and interface can be added again, with another IPv6 address than before."""
    first = rig.attach()
    rig.detach(first)

    again = rig.attach(first.pod)

    assert first.ipv6 != again.ipv6
    rig.plugin.check(again.pod, rig.conf, again.result)


@pytest.mark.every_shape
def test_invalid_prevresult_is_refused_by_add(rig: Rig) -> None:
    """ADD is refused before anything is created, with place and value; DEL removes the pod with any prevResult."""
    rig.cycle()
    before, pod = snapshot.take(rig.host), rig.site.pod()
    nonsense = changed(rig.conf, prevResult={"ips": [{"address": "nonsense"}]})

    error = rig.plugin.refuses("ADD", nonsense, netns=pod)

    assert (7, True) == (error["code"], "ips[0].address with the value 'nonsense'" in error["msg"])
    assert not pod.has_link("eth0")
    rig.attach(pod)
    rig.plugin.delete(pod, nonsense)
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.mark.every_shape
@pytest.mark.parametrize(("size", "code"), [(180 << 10, 0), (256 << 10, 0), (700 << 10, 6)])
def test_annotations_may_be_as_large_as_kubernetes_allows(rig: Rig, size: int, code: int) -> None:
    """Go writes each `<` as six bytes, so 256 KiB become 1.5 MiB; an error about more names the annotations."""
    annotations = {"io.kubernetes.cri.pod-annotations": {"a": "<" * size}}
    stdin = json.dumps(changed(rig.conf, runtimeConfig=annotations)).replace("<", "\\u003c").encode()
    pod = rig.site.pod()
    environ = {
        "CNI_COMMAND": "ADD",
        "CNI_CONTAINERID": pod.name,
        "CNI_NETNS": str(pod.path),
        "CNI_IFNAME": "eth0",
        "CNI_PATH": "/opt/cni/bin",
    }
    outcome = rig.plugin.execute(environ, stdin)

    assert code == (outcome.json["code"] if outcome.code else 0)
    if code:
        assert (
            "standard input has more than 4194304 bytes; the usual cause is the pod's annotations"
            in outcome.json["msg"]
        )
    else:
        rig.plugin.check(pod, rig.conf, outcome.json)
        assert 0 == rig.plugin.execute(environ | {"CNI_COMMAND": "DEL"}, stdin).code
    assert state.attachments(rig.state_dir) == 0
