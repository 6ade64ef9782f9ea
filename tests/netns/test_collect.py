"""GC removes exactly what the runtime's list does not name, of its own network only."""

from dataclasses import dataclass

import pytest

from lab import snapshot, state
from lab.rig import Attachment, Rig, changed

# an agent has the store and the locks open, and a reaper at work
pytestmark = pytest.mark.with_and_without_agent
KEYS = pytest.mark.parametrize("key", ["cni.dev/valid-attachments", "cni.dev/attachments"])


@dataclass(frozen=True)
class Population:
    """Two pods of our network and one of another."""

    rig: Rig
    pods: list[Attachment]

    def collect(self, **lists: object) -> None:
        """Call GC with these lists."""
        self.rig.plugin.gc(self.rig.conf | lists)

    def alive(self) -> list[bool]:
        """Tell of each pod whether its interface, its host end and its firewall are all there."""
        found = []
        for name, pod in zip(("slash80", "slash80", "other"), self.pods, strict=True):
            conf = changed(self.rig.conf, name=name, prevResult=pod.result)
            complete = self.rig.plugin.call("CHECK", conf, netns=pod.pod).code == 0
            assert [complete, complete] == [self.rig.host.has_link(pod.host_ifname), pod.pod.has_link("eth0")]
            found.append(complete)
        assert sum(found) == state.attachments(self.rig.state_dir)
        return found


@pytest.fixture
def population(rig: Rig) -> Population:
    """Two pods of network slash80 and one of network other, on one node."""
    rig = rig.having(cniVersion="1.1.0")
    return Population(rig, [rig.attach(), rig.attach(), rig.attach(conf=changed(rig.conf, name="other"))])


def named(attachment: Attachment) -> dict[str, str]:
    """Return an attachment as the runtime lists it."""
    return {"containerID": attachment.pod.name, "ifname": attachment.ifname}


@KEYS
def test_gc_removes_unlisted_attachments(population: Population, key: str) -> None:
    """Listed attachments and those of another network stay; an unlisted one is removed though its pod is alive."""
    population.collect(**{key: [named(population.pods[0])]})

    assert population.alive() == [True, False, True]


@KEYS
@pytest.mark.parametrize("none", [None, []])
def test_gc_with_an_empty_list_removes_everything(population: Population, key: str, none: list[object] | None) -> None:
    """`null` and the empty list both mean that no attachment of this network is valid."""
    population.collect(**{key: none})

    assert population.alive() == [False, False, True]


def test_gc_without_a_list_removes_nothing(population: Population) -> None:
    """Without the key no attachment is removed."""
    population.collect()

    assert population.alive() == [True, True, True]


def test_current_key_of_the_gc_list_wins(population: Population) -> None:
    """When a runtime sends both keys, the one of the current specification counts."""
    population.collect(
        **{"cni.dev/valid-attachments": [named(pod) for pod in population.pods], "cni.dev/attachments": []}
    )

    assert population.alive() == [True, True, True]


@pytest.mark.parametrize("listed", ["eth0", "net1", "eth9"])
def test_gc_keeps_all_interfaces_of_a_listed_container(rig: Rig, listed: str) -> None:
    """Multus attaches a pod twice to one network, and the list may name one of the two, or one of another network."""
    rig = rig.having(cniVersion="1.1.0")
    first = rig.attach()
    second = rig.attach(first.pod, ifname="net1")
    other = rig.attach()

    rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": [named(first) | {"ifname": listed}]})

    for one in (first, second):
        rig.plugin.check(one.pod, rig.conf, one.result, ifname=one.ifname)
    assert not rig.host.has_link(other.host_ifname)
    assert state.attachments(rig.state_dir) == 2


@pytest.mark.parametrize("container", ["c0ffee", "c" * 300])
def test_gc_keeps_an_unrecorded_host_end_of_a_listed_container(rig: Rig, container: str) -> None:
    """The alias identifies its container, by a hash where the ID is too long."""
    rig = rig.having(cniVersion="1.1.0")
    kept = rig.attach(container=container)
    second = rig.attach(kept.pod, ifname="net1", container=container)
    gone = rig.attach()
    forgotten = [second, gone]
    state.forget(rig.state_dir, *(one.host_ifname for one in forgotten))

    listed = named(kept) | {"containerID": container}
    rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": [listed]})

    assert [True, False] == [rig.host.has_link(one.host_ifname) for one in forgotten]
    rig.plugin.check(kept.pod, rig.conf, kept.result, container=container)


def test_gc_removes_a_deleted_interface_of_a_listed_container(rig: Rig) -> None:
    """A deleted interface keeps no address, and the pod's other interface stays."""
    rig = rig.having(cniVersion="1.1.0")
    first = rig.attach()
    second = rig.attach(first.pod, ifname="net1")
    first.pod.ip("link del net1")

    rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": [named(first), named(second)]})

    rig.plugin.check(first.pod, rig.conf, first.result)
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (1, 2)


def test_gc_of_everything_leaves_a_clean_node(rig: Rig) -> None:
    """The node is as before the ADD, also after a pod whose namespace is gone."""
    rig = rig.having(cniVersion="1.1.0")
    rig.cycle()
    before = snapshot.take(rig.host)
    rig.attach()
    rig.attach().pod.delete()

    rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": []})

    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.mark.parametrize("verb", ["GC", "STATUS"])
def test_gc_and_status_need_version_1_1_0(rig: Rig, verb: str) -> None:
    """GC and STATUS in an older version are code 1."""
    assert rig.plugin.refuses(verb, rig.conf)["code"] == 1
