"""SIGKILL at any moment of a call: what is half made is found and removed, and nothing leaks.

The frozen plugin is killed; the calls before and after it are made in this process (`quick`).
"""

import dataclasses
import signal
from collections.abc import Callable, Iterator

import pytest

from lab import snapshot, state
from lab.night import at_night
from lab.plugin import Frozen, Json, Plugin
from lab.probes import ping
from lab.rig import Rig

pytestmark = pytest.mark.parametrize("shape", ["frozen"], indirect=True)
MOMENTS = at_night(25, usual=12)
Quick = Callable[[Rig], Rig]


def killers(rig: Rig, verb: str, conf: Json) -> Iterator[Plugin]:
    """Yield plugins that die at moments spread evenly over the time that this verb takes."""
    assert isinstance(rig.plugin, Frozen)
    pod = rig.site.pod()
    took = {name: rig.plugin.call(name, conf, netns=pod).seconds for name in ("ADD", "DEL")}[verb]
    for moment in range(1, MOMENTS + 1):
        yield dataclasses.replace(rig.plugin, kill_after=took * moment / MOMENTS)


def assert_clean(rig: Rig, before: snapshot.Snapshot) -> None:
    """Demand that the node and the store are as they were."""
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


def test_del_after_a_killed_add(rig: Rig, quick: Quick) -> None:
    """The DEL that a runtime sends after its ADD was killed removes everything of it."""
    quick(rig).cycle()
    before = snapshot.take(rig.host)
    for plugin in killers(rig, "ADD", rig.conf):
        pod = rig.site.pod()
        plugin.call("ADD", rig.conf, netns=pod)

        quick(rig).plugin.delete(pod, rig.conf)

        assert_clean(rig, before)
        assert not pod.has_link("eth0")


def test_add_after_a_killed_add(rig: Rig, quick: Quick) -> None:
    """A second ADD after a killed one works without DEL, or is refused because the first was complete."""
    others = quick(rig).plugin
    quick(rig).cycle()
    before = snapshot.take(rig.host)
    for plugin in killers(rig, "ADD", rig.conf):
        pod = rig.site.pod()
        first = plugin.call("ADD", rig.conf, netns=pod)
        second = others.call("ADD", rig.conf, netns=pod)

        # Killed between the last step and the answer, the first is complete although its answer was lost.
        if second.code == 0:
            assert first.code == -signal.SIGKILL
            others.check(pod, rig.conf, second.json)
        assert [ping(pod, address) for address in (rig.node.ipv6, rig.node.ipv4)] == [1, 1]
        others.delete(pod, rig.conf)
        assert_clean(rig, before)


def test_del_after_a_killed_del(rig: Rig, quick: Quick) -> None:
    """A DEL that is repeated after a killed one removes the rest."""
    quick(rig).cycle()
    before = snapshot.take(rig.host)
    for plugin in killers(rig, "DEL", rig.conf):
        attachment = quick(rig).attach()
        plugin.call("DEL", rig.conf, netns=attachment.pod)

        quick(rig).plugin.delete("", rig.conf, container=attachment.pod.name)

        assert_clean(rig, before)


def test_killed_first_add_of_a_node_leaves_no_open_pod(rig: Rig, quick: Quick) -> None:
    """Whenever the node's very first ADD is killed, a pod that is up stands behind the firewall."""
    for plugin in killers(rig, "ADD", rig.conf):
        rig.host.nft("flush ruleset")
        pod = rig.site.pod()
        plugin.call("ADD", rig.conf, netns=pod)

        links = [link["ifname"] for link in rig.host.query("link show up") if link["ifname"].startswith("s80")]
        assert not links or "slash80" in rig.host.command("nft", "list", "tables")
        quick(rig).plugin.delete(pod, rig.conf)
