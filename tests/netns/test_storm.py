"""Many calls: all at once, and one after the other for long. Nothing is given twice, nothing accumulates."""

import os
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import snapshot, state
from lab.descriptors import Descriptors
from lab.night import at_night
from lab.probes import Server, ping, source_seen
from lab.rig import Rig
from lab.topology import INTERNET4

# threads, processes and an agent's processes meet in different places
pytestmark = pytest.mark.every_shape


# Each process of a frozen plugin loads Python, which takes much more than the call.
PODS = {"inprocess": 100, "frozen": at_night(100, usual=30), "served": int(os.environ.get("SLASH80_PODS", "100"))}
CYCLES = {
    "inprocess": at_night(1000, usual=100),
    "frozen": at_night(100, usual=15),
    "served": at_night(1000, usual=200),
}


def test_many_pods_at_once(rig: Rig, shape: str) -> None:
    """Many concurrent ADDs all succeed, with distinct addresses, names and MACs; as many DELs leave nothing."""
    count = PODS[shape]
    rig.cycle()
    before = snapshot.take(rig.host)
    pods = [rig.site.pod() for _ in range(count)]
    with ThreadPoolExecutor(len(pods)) as pool:
        attachments = list(pool.map(rig.attach, pods))

        assert len({address for attachment in attachments for address in attachment.addresses}) == 2 * count
        assert len({attachment.host_ifname for attachment in attachments}) == count
        assert len({attachment.result["interfaces"][1]["mac"] for attachment in attachments}) == count
        assert state.attachments(rig.state_dir) == count
        with Server(pods[0]):
            assert list(pool.map(lambda a: source_seen(a.pod, attachments[0].ipv6), attachments[1:])) == [
                attachment.ipv6 for attachment in attachments[1:]
            ]
        list(pool.map(rig.detach, attachments))

    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


def test_cycles_of_add_and_del_leave_nothing(rig: Rig, shape: str) -> None:
    """After many ADDs and DELs, node, pod, store and this process hold what they held after the first."""
    rig = rig.having(ipv4={"prefixes": ["10.96.0.0/16"]})
    pod = rig.site.pod()
    rig.detach(rig.attach(pod))
    before = snapshot.take(rig.host), snapshot.take(pod)
    descriptors = Descriptors()
    seen = set()
    for number in range(CYCLES[shape]):
        attachment = rig.attach(pod, container=f"c{number}")
        rig.plugin.delete(pod, rig.conf, container=f"c{number}")
        seen.add(attachment.ipv6)

    assert CYCLES[shape] == len(seen)
    assert before == (snapshot.take(rig.host), snapshot.take(pod))
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)
    assert descriptors.left() == []


def test_add_and_del_of_different_pods_at_once(rig: Rig) -> None:
    """While some pods are added, others are removed, and the remaining ones are complete."""
    leaving = [rig.attach() for _ in range(10)]
    pods = [rig.site.pod() for _ in range(10)]
    with ThreadPoolExecutor(20) as pool:
        gone = [pool.submit(rig.detach, attachment) for attachment in leaving]
        staying = list(pool.map(rig.attach, pods))
        for future in gone:
            future.result()

    assert state.attachments(rig.state_dir) == 10
    for attachment in staying:
        rig.plugin.check(attachment.pod, rig.conf, attachment.result)


def test_one_container_added_by_many_at_once(rig: Rig) -> None:
    """Of several ADDs for one container at once exactly one succeeds, and the pod it wired is complete."""
    pod = rig.site.pod()
    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(lambda _: rig.plugin.call("ADD", rig.conf, netns=pod), range(8)))

    (winner,) = [outcome for outcome in outcomes if outcome.code == 0]
    rig.plugin.check(pod, rig.conf, winner.json)
    assert state.attachments(rig.state_dir) == 1


@pytest.mark.with_and_without_agent
def test_exhausted_pool_is_code_100(rig: Rig) -> None:
    """The error has family and counts and leaves nothing; STATUS stays 0, and the pods keep working."""
    rig = rig.having(cniVersion="1.1.0", ipv4={"prefixes": ["10.80.1.0/30"]})
    for _ in range(2):
        rig.attach()
    before = snapshot.take(rig.host)
    pod = rig.site.pod()

    error = rig.plugin.refuses("ADD", rig.conf, netns=pod)

    assert error["code"] == 100
    assert "IPv4" in error["msg"]
    assert "10.80.1.0/30" in error["msg"]
    assert re.search(r"\b2\b", error["msg"])
    rig.plugin.status(rig.conf)
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (2, 4)
    assert not pod.has_link("eth0")


@pytest.mark.with_and_without_agent
def test_resting_addresses_are_used_on_a_full_node(rig: Rig) -> None:
    """Those released longest ago come first, each is counted, and STATUS stays 0."""
    rig = rig.having(cniVersion="1.1.0", ipv4={"prefixes": ["10.80.1.0/29"]})
    pods = [rig.attach() for _ in range(6)]
    rig.plugin.status(rig.conf)
    removed = [pods[index] for index in (4, 0, 2)]
    for pod in removed:
        rig.detach(pod)
    rig.plugin.status(rig.conf)

    again = [rig.attach() for _ in range(3)]

    assert [pod.ipv4 for pod in removed] == [pod.ipv4 for pod in again]
    assert state.early_reuse(rig.state_dir) == 3
    rig.plugin.check(again[0].pod, rig.conf, again[0].result)
    assert ping(again[0].pod, INTERNET4) == 1
