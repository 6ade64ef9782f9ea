"""SIGKILL at every failpoint of ADD, DEL and GC, once and twice: any call that follows recovers.

After each story the node is as it was before: no link, route, neighbour, rule, row or held address is left or doubled.
What is killed or stopped is the frozen plugin. The calls before and after it are the engine's too, and nothing is kept
between calls but what the kernel and the store have, so they are made in this process (`quick`).
"""

import itertools
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab import snapshot, state
from lab.namespaces import Namespace
from lab.probes import ping
from lab.rig import Attachment, Rig, changed
from lab.stopping import is_waited_for, stopped
from lab.topology import INTERNET6
from lab.waiting import wait_until
from slash80.failpoints import Failpoint

Story = Callable[[Rig, Namespace], None]
Quick = Callable[[Rig], Rig]

REMOVING = [Failpoint.LOCKED, Failpoint.DETACHED, Failpoint.RELEASED]
ADDING = list(itertools.takewhile(lambda moment: moment is not Failpoint.DEFERRED, Failpoint))
TURNS = [
    Failpoint.LOCKED,
    Failpoint.RESERVED,
    Failpoint.LINKED,
    Failpoint.HOST_WIRED,
    Failpoint.KEPT,
]  # after which others would recover
DONE = {
    Failpoint.POD_WIRED,
    Failpoint.KEPT,
    Failpoint.ANSWERED,
}  # the attachment is complete, only the caller does not know


@pytest.fixture
def shape() -> str:
    """Only a process can be killed."""
    return "frozen"


@pytest.fixture
def node(rig: Rig, quick: Quick) -> Iterator[Rig]:
    """Provide a node that has had a pod before, and see that the story leaves it exactly as it was."""
    quick(rig).cycle()
    before = snapshot.take(rig.host)
    yield rig
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.fixture
def others(node: Rig, quick: Quick) -> Rig:
    """Provide the same node for the calls that are not killed."""
    return quick(node)


def killed(rig: Rig, verb: str, pod: Namespace, moment: Failpoint) -> None:
    """Call the plugin and have it killed when it gets to the moment."""
    conf = rig.conf if verb != "GC" else collecting(rig)
    outcome = rig.plugin.call(verb, conf, netns=pod, SLASH80_FAILPOINT=f"{moment}:KILL")
    assert outcome.code == -signal.SIGKILL


def collecting(rig: Rig) -> dict[str, object]:
    """Return a configuration for a GC that finds nothing valid."""
    return changed(rig.conf, cniVersion="1.1.0", **{"cni.dev/valid-attachments": []})


def delete(rig: Rig, pod: Namespace) -> None:
    """DEL, as the runtime sends it after a failed ADD."""
    rig.plugin.delete(pod, rig.conf)


def delete_without_namespace(rig: Rig, pod: Namespace) -> None:
    """DEL, as the runtime sends it when the namespace is gone."""
    rig.plugin.delete("", rig.conf, container=pod.name)


def collect(rig: Rig, pod: Namespace) -> None:
    """GC, by a runtime that knows of no attachment."""
    rig.plugin.gc(collecting(rig))


def add_again(rig: Rig, pod: Namespace) -> None:
    """ADD once more: it works, unless the first one was complete; either way the pod then works, and can be removed."""
    outcome = rig.plugin.call("ADD", rig.conf, netns=pod)
    assert outcome.code == 0 or "attached already" in outcome.json["msg"]
    assert ping(pod, INTERNET6) == 1
    delete(rig, pod)


def add_another(rig: Rig, pod: Namespace) -> None:
    """ADD of another pod: it works, with addresses of its own, and neither removal touches the other."""
    held = {address for address in pod_addresses(pod) if address}
    other = rig.attach()
    assert not held & set(other.addresses)
    delete(rig, pod)
    assert ping(other.pod, INTERNET6) == 1
    rig.detach(other)


def pod_addresses(pod: Namespace) -> list[str]:
    """Return the addresses that a pod's interface has, if it is there."""
    links = [link for link in pod.query("addr show") if link["ifname"] == "eth0"]
    return [str(info["local"]) for link in links for info in link["addr_info"]]


NEXT = [delete, delete_without_namespace, collect, add_again, add_another]


@pytest.mark.parametrize("then", NEXT)
@pytest.mark.parametrize("moment", ADDING)
def test_after_a_killed_add_any_call_recovers(node: Rig, others: Rig, moment: Failpoint, then: Story) -> None:
    """Any call may follow an ADD that was killed, and it succeeds as documented."""
    pod = node.site.pod()
    killed(node, "ADD", pod, moment)

    then(others, pod)


@pytest.mark.parametrize("then", NEXT)
@pytest.mark.parametrize("verb", ["DEL", "GC"])
@pytest.mark.parametrize("moment", REMOVING)
def test_after_a_killed_del_or_gc_any_call_recovers(
    node: Rig, others: Rig, verb: str, moment: Failpoint, then: Story
) -> None:
    """Any call may follow a DEL or GC that was killed, and it succeeds as documented."""
    attachment = others.attach()
    killed(node, verb, attachment.pod, moment)

    then(others, attachment.pod)


@pytest.mark.parametrize(("first", "second"), list(itertools.product(ADDING, REMOVING)))
def test_add_and_del_both_killed_are_finished_by_the_next_del(
    node: Rig, others: Rig, first: Failpoint, second: Failpoint
) -> None:
    """The next DEL finishes a killed ADD whose DEL was killed too."""
    pod = node.site.pod()
    killed(node, "ADD", pod, first)
    killed(node, "DEL", pod, second)

    delete(others, pod)


@pytest.mark.parametrize(("first", "second"), list(itertools.product([m for m in ADDING if m not in DONE], TURNS)))
def test_add_killed_while_it_recovers_another_is_recovered(
    node: Rig, others: Rig, first: Failpoint, second: Failpoint
) -> None:
    """A third ADD recovers from an ADD that was killed while it recovered from a killed one."""
    pod = node.site.pod()
    killed(node, "ADD", pod, first)
    killed(node, "ADD", pod, second)

    add_again(others, pod)


def test_killed_calls_for_one_interface_leave_the_other_as_it_was(node: Rig) -> None:
    """Each may send from both interfaces' addresses while both are there; what the firewall has of that goes too."""
    eth0 = node.attach()
    before = snapshot.take(node.host)
    for verb, moment in (("ADD", Failpoint.CLOSED), ("DEL", Failpoint.DETACHED)):
        if verb == "DEL":
            node.attach(eth0.pod, ifname="net1")
        environ = {"SLASH80_FAILPOINT": f"{moment}:KILL", "ifname": "net1"}
        assert -signal.SIGKILL == node.plugin.call(verb, node.conf, netns=eth0.pod, **environ).code
        node.plugin.delete(eth0.pod, node.conf, ifname="net1")
        assert [] == snapshot.difference(before, snapshot.take(node.host)), (verb, moment)
    node.detach(eth0)


@pytest.mark.parametrize("moment", ADDING)
def test_namespace_vanishes_during_add(node: Rig, others: Rig, moment: Failpoint) -> None:
    """Whether or not that ADD fails, the DEL after it leaves nothing."""
    pod = node.site.pod()
    with stopped(node, "ADD", pod, moment) as resume:
        pod.delete()
        resume()

    delete_without_namespace(others, pod)


@pytest.mark.parametrize("moment", REMOVING)
def test_namespace_vanishes_during_del(node: Rig, others: Rig, moment: Failpoint) -> None:
    """A DEL whose namespace goes away in the middle succeeds."""
    attachment = others.attach()
    with stopped(node, "DEL", attachment.pod, moment) as resume:
        attachment.pod.delete()

        assert resume() == 0


def test_pods_are_served_while_another_add_stands_still(node: Rig) -> None:
    """An ADD that is stopped in the middle blocks no other call, and its addresses are not handed out."""
    slow = node.site.pod()
    with stopped(node, "ADD", slow, Failpoint.HOST_WIRED) as resume:
        others = [node.attach() for _ in range(3)]
        assert resume() == 0

    held = {address for address in pod_addresses(slow) if not address.startswith("fe80")}
    assert not held & {address for other in others for address in other.addresses}
    for pod in [slow, *(other.pod for other in others)]:
        assert ping(pod, INTERNET6) == 1
        delete(node, pod)


@pytest.mark.parametrize(
    ("moment", "listed"),
    [(Failpoint.RESERVED, True), (Failpoint.RESERVED, False), (Failpoint.LINKED, False), (Failpoint.HOST_WIRED, False)],
)
def test_gc_spares_an_add_in_progress(node: Rig, moment: Failpoint, *, listed: bool) -> None:
    """An ADD that finishes while a GC waits for it keeps its attachment, listed or not."""
    slow = node.site.pod()
    names = [{"containerID": slow.name, "ifname": "eth0"}] if listed else []
    conf = changed(node.conf, cniVersion="1.1.0", **{"cni.dev/valid-attachments": names})
    lock = node.state_dir / "locks/attachments"
    with stopped(node, "ADD", slow, moment) as resume, ThreadPoolExecutor(1) as pool:
        collecting = pool.submit(node.plugin.call, "GC", conf)
        wait_until(lambda: is_waited_for(lock))
        assert resume() == 0
        assert collecting.result().code == 0

    assert ping(slow, INTERNET6) == 1
    delete(node, slow)


def test_lost_store_while_an_add_stands_still(node: Rig) -> None:
    """If the store is lost in the middle of an ADD, the address that it has chosen is not handed out."""
    slow = node.site.pod()
    with stopped(node, "ADD", slow, Failpoint.HOST_WIRED) as resume:
        (node.state_dir / "state.db").unlink()
        other: Attachment = node.attach()
        assert resume() == 0

    assert not set(pod_addresses(slow)) & set(other.addresses)
    for pod in (slow, other.pod):
        assert ping(pod, INTERNET6) == 1
        delete(node, pod)
