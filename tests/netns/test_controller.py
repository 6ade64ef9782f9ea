"""The controller on a real node: what it finds, makes and leaves alone, over whatever was there."""

import json
import subprocess
import sys
from argparse import Namespace as Arguments
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import snapshot
from lab.kube import FakeApi, node
from lab.namespaces import Namespace
from lab.node_agent import node_agent
from lab.plugin import Frozen, InProcess
from lab.rig import Rig
from lab.topology import Site
from lab.waiting import wait_until
from netns.conftest import root
from slash80.agent.reconcilers.controller import Controller
from slash80.agent.reconcilers.part import Options
from slash80.cli.uninstall import uninstall
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig
from slash80.prefixes.static import Static

NODES, CIDRS = "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"
TAINT = {"key": "slash80.io/not-ready", "effect": "NoSchedule"}


@dataclass
class Started:
    """A node with its controller, which looks when told to, and the API that it asks."""

    site: Site
    api: FakeApi
    url: str
    controller: Controller
    folder: Path

    @property
    def host(self) -> Namespace:
        """The node's namespace."""
        return self.site.node.namespace

    @property
    def state_dir(self) -> Path:
        """The node's state directory."""
        return self.folder / "state"

    def look(self) -> dict[str, Any]:
        """Have it look at everything once, and give what it reports."""
        self.host.run(self.controller.look)
        return self.report()

    def settle(self) -> dict[str, Any]:
        """Have it look until it knows the API, and give what it reports."""

        def known() -> bool:
            return bool(self.look()["known"])

        wait_until(known)
        self.look()
        return self.look()

    def report(self) -> dict[str, Any]:
        """Return what it has left for `status`."""
        found: dict[str, Any] = json.loads((self.state_dir / "agent.json").read_text())
        return found

    def node_file(self) -> dict[str, Any]:
        """Return its `node.json`."""
        found: dict[str, Any] = json.loads((self.state_dir / "node.json").read_text())
        return found

    def rig(self) -> Rig:
        """Put the plugin on the node, with the configuration that the controller wrote."""
        conflist = json.loads((self.folder / "net.d/05-slash80.conflist").read_text())
        conf = conflist["plugins"][0] | {"name": conflist["name"], "cniVersion": conflist["cniVersion"]}
        return Rig(self.site, self.site.node, InProcess(self.host), conf)

    def uninstall(self, *, force: bool = False) -> int:
        """Remove everything from the node."""
        places = {"conf_dir": "net.d", "bin_dir": "bin", "data_dir": "kept"}
        folders = {"state_dir": self.state_dir, **{key: self.folder / name for key, name in places.items()}}
        return self.host.run(uninstall, Arguments(**folders, force=force))


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Put a controller on the first node of a site with a second one that is its neighbour."""
    with ExitStack() as stack:
        site = stack.enter_context(Site())
        api = FakeApi()
        (tmp_path / "net.d").mkdir()
        own = node("a", cidrs=[site.node.prefix4, site.node.prefix6], addresses=[site.node.ipv4, site.node.ipv6])
        own["spec"]["taints"] = [TAINT]
        api.put(NODES, own)
        peer = node(
            "b", cidrs=["10.80.9.0/24", "2001:db8:0:9:1::/80"], addresses=[site.node.router4, site.node.router6]
        )
        api.put(NODES, peer)
        api.put(CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.96.0.0/16", "fd00:10:96::/112"]}})
        # in the node's namespace, so that the node reaches it
        url = site.node.namespace.run(api.start)
        stack.callback(api.stop)
        options = Options(
            "a", tmp_path / "config.yaml", tmp_path / "net.d", tmp_path / "kept", Static(), ("127.0.0.1", 0)
        )
        yield Started(site, api, url, Controller(options, tmp_path / "state", Api(ClientConfig(url))), tmp_path)


def _routes(host: Namespace) -> set[str]:
    lines = [line for f in "46" for line in host.command("ip", f"-{f}", "route", "show", "proto", "180").splitlines()]
    return {" ".join(line.split()[:4]) for line in lines}


def test_controller_sets_up_a_node(started: Started) -> None:
    """It sets prefixes, node routes, discard routes, forwarding, firewall and conflist, and updates the Node."""
    report = started.settle()

    assert [] == report["problems"]
    assert report["ready"]
    site, host = started.site, started.host
    assert {site.node.prefix4: "spec", site.node.prefix6: "spec"} == report["sources"]
    assert {
        f"10.80.9.0/24 via {site.node.router4} dev",
        f"2001:db8:0:9:1::/80 via {site.node.router6} dev",
        f"unreachable {site.node.prefix4} metric 4294967295",
        f"unreachable {site.node.prefix6} dev lo",
    } == _routes(host)
    assert "ip saddr @trusted4" in host.command("nft", "list", "table", "inet", "slash80")
    seen = started.api.objects[NODES]["a"]
    assert [] == seen["spec"]["taints"]
    assert json.dumps([site.node.prefix6, site.node.prefix4]) == seen["metadata"]["annotations"]["slash80.io/prefixes"]
    conditions = {one["type"]: one["status"] for one in seen["status"]["conditions"]}
    assert {"NetworkUnavailable": "False", "Slash80PrefixDraining": "False", "Slash80IPv4Routed": "True"} == conditions

    patches = sum(asked.startswith("PATCH") for asked in started.api.seen)
    started.look()
    assert patches == sum(asked.startswith("PATCH") for asked in started.api.seen)
    assert started.rig().attach().ipv4.startswith("10.80.1.")


def test_controller_repairs_routes_and_firewall(started: Started) -> None:
    """Wrong routes of slash80 are deleted, deleted ones come back, and so does a flushed firewall."""
    started.settle()
    wanted, host = _routes(started.host), started.host
    host.command("ip", "-6", "route", "del", "2001:db8:0:9:1::/80", "proto", "180")
    host.command("ip", "-6", "route", "add", "2001:db8:0:8:1::/80", "via", started.site.node.router6, "proto", "180")
    host.command("ip", "route", "add", "10.80.8.0/24", "via", started.site.node.router4)
    host.command("nft", "flush", "ruleset")

    started.look()
    assert wanted == _routes(host)
    assert "10.80.8.0/24" in host.command("ip", "route", "show", "10.80.8.0/24")
    assert "chain edge" in host.command("nft", "list", "table", "inet", "slash80")


def test_controller_leaves_a_foreign_route_alone(started: Started) -> None:
    """The route is named with the next step, and the other family's is added."""
    host = started.host
    host.command("ip", "route", "add", "10.80.9.0/24", "via", started.site.node.router4, "proto", "77")
    report = started.settle()

    assert any("ip route add 10.80.9.0/24" in problem and "nodeRoutes" in problem for problem in report["problems"])
    assert "proto 77" in host.command("ip", "route", "show", "10.80.9.0/24")
    assert any("2001:db8:0:9:1::/80" in route for route in _routes(host))


def test_node_routes_follow_the_nodes(started: Started) -> None:
    """A node's route and trust go with it; a prefix that returns at another address is routed there."""
    started.settle()
    started.api.remove(NODES, "b")
    wait_until(lambda: not any("10.80.9.0" in r for r in (started.look() and _routes(started.host))))
    assert "10.80.9.0/24" not in (started.state_dir / "node.json").read_text()

    other = str(started.site.node.router4).rpartition(".")[0] + ".9"
    started.api.put(NODES, node("c", cidrs=["10.80.9.0/24"], addresses=[other]))
    wait_until(lambda: any(f"via {other}" in r for r in (started.look() and _routes(started.host))))


def test_node_on_another_link_gets_no_route(started: Started) -> None:
    """The network must route to it; a missing IPv4 route is reported in a condition."""
    started.api.put(NODES, node("b", cidrs=["10.80.9.0/24"], addresses=["198.51.100.77"]))
    report = started.settle()

    assert [] == report["problems"]
    assert not any("10.80.9.0" in route for route in _routes(started.host))
    routed = next(
        c for c in started.api.objects[NODES]["a"]["status"]["conditions"] if c["type"] == "Slash80IPv4Routed"
    )
    assert "False" == routed["status"]
    assert "10.80.9.0/24" in routed["message"]


def test_node_state_is_kept_without_the_api(started: Started) -> None:
    """This holds over a restart of the agent; damage is still repaired, and the problem is named."""
    started.settle()
    wanted = _routes(started.host)
    started.api.stop()
    options = Options(
        "a",
        started.folder / "config.yaml",
        started.folder / "net.d",
        started.folder / "kept",
        Static(),
        ("127.0.0.1", 0),
    )
    started.controller = Controller(options, started.state_dir, Api(ClientConfig("http://127.0.0.1:9")))
    started.host.command("nft", "delete", "table", "inet", "slash80")
    report = started.look()
    wait_until(lambda: any("cannot be reached" in problem for problem in started.look()["problems"]))

    assert report["ready"]
    assert wanted == _routes(started.host)
    assert "chain edge" in started.host.command("nft", "list", "table", "inet", "slash80")


def test_changed_prefix_drains(started: Started) -> None:
    """Existing pods keep their addresses, the next one gets the new prefix; without pods the old one is gone."""
    started.settle()
    rig = started.rig()
    old, new = started.site.node.prefix6, "2001:db8:0:1:2::/80"
    pod = rig.attach()
    override = {"metadata": {"annotations": {"slash80.io/prefix-override": json.dumps([new])}}}
    started.api.patch(NODES, "a", "merge", body=override)
    wait_until(lambda: new in started.look()["sources"])
    states = {one["prefix"]: one["state"] for one in started.node_file()["ipv6"]}
    assert {new: "active", old: "draining"} == states
    assert pod.ipv6.startswith("2001:db8:0:1:1:")
    assert rig.attach().ipv6.startswith("2001:db8:0:1:2:")

    rig.detach(pod)
    started.look()
    assert [{"prefix": new, "state": "active"}] == started.node_file()["ipv6"]
    assert not any(old in route for route in _routes(started.host))


def test_invalid_cluster_settings_change_nothing(started: Started) -> None:
    """The sentence names file, key and value, and the previous settings stay in force."""
    started.settle()
    before = (started.state_dir / "node.json").read_text()
    (started.folder / "config.yaml").write_text("firewall: {trusted: ['::/0']}")
    report = started.look()

    assert any("config.yaml: configuration key 'firewall.trusted[0]'" in problem for problem in report["problems"])
    assert before == (started.state_dir / "node.json").read_text()


def test_changed_cluster_settings_take_effect_without_a_pod(started: Started) -> None:
    """They are written to node.json and to the firewall at once."""
    started.settle()
    (started.folder / "config.yaml").write_text("firewall: {trusted: ['2001:db8:77::/48']}")
    started.look()
    assert "2001:db8:77::/48" in started.host.command("nft", "list", "set", "inet", "slash80", "trusted6")


def test_uninstall_leaves_the_node_as_it_was(started: Started) -> None:
    """Links, routes, rules, settings and files are as before; with a pod nothing is removed unless forced."""
    before = snapshot.take(started.host)
    started.settle()
    (started.folder / "bin/.slash80").mkdir(parents=True)
    (started.folder / "bin/slash80").touch()
    rig = started.rig()
    rig.attach()
    during = snapshot.take(started.host)
    assert 1 == started.uninstall()
    assert during == snapshot.take(started.host)
    assert 0 == started.uninstall(force=True)
    assert before == snapshot.take(started.host)
    assert {"bin", "net.d"} == {path.name for path in started.folder.rglob("*")}
    assert 0 == started.uninstall()


AGENT = """
import sys
from functools import partial
from pathlib import Path
from slash80.agent.reconcilers import controller
from slash80.agent.reconcilers.controller import Controller
from slash80.agent.reconcilers.part import Options
from slash80.agent.run import run
from slash80.cluster.credentials import ClientConfig
from slash80.cluster.api import Api
from slash80.prefixes.static import Static
controller._END = 60  # on a busy machine parts that end take longer than is usual
folder, url = Path(sys.argv[1]), sys.argv[2]
options = Options("a", folder / "config.yaml", folder / "net.d", folder / "kept", Static(), ("127.0.0.1", 0))
make = partial(Controller, options, folder / "state", Api(ClientConfig(url)))
sys.exit(run(folder / "state", lambda shared: make(shared=shared)))
"""


def test_an_agent_ends_with_all_its_parts(started: Started) -> None:
    """By SIGTERM, although its status waits for an API server that never answers; it has kept the node till then."""
    started.api.mute = {"PATCH"}
    words = [sys.executable, "-c", AGENT, str(started.folder), started.url]
    log = started.folder / "log"
    with log.open("wb") as stderr:
        agent = started.host.run(lambda: subprocess.Popen(words, stderr=stderr))
    try:
        wait_until(lambda: (started.state_dir / "agent.json").exists() and started.report()["ready"])
        wait_until(lambda: any(asked.startswith("PATCH") for asked in started.api.seen))
        started.host.command("nft", "delete", "table", "inet", "slash80")
        wait_until(lambda: "slash80" in started.host.command("nft", "list", "tables"))
        agent.terminate()
        assert 0 == agent.wait(300)
    finally:
        agent.kill()
        agent.wait()
    assert "stopped, and every call was finished" in log.read_text()
    assert "still at work" not in log.read_text()


def test_a_node_full_of_pods_fits_into_memory(tmp_path: Path) -> None:
    """A frozen agent with its controller takes at most 68 MiB, all its processes together, with 108 pods.

    It takes 63 to 65: which pages its processes still share depends on who looked at what since they were forked. From
    the first scrape of its metrics on it takes 3 more at most.
    """
    with Site() as site, node_agent(site.node, root(), tmp_path / "k8s", prefix4="10.96.0.0/16") as agent:
        rig = Rig(site, site.node, Frozen(site.node.namespace, root=root()), agent.conf())
        for _ in range(108):
            rig.attach()
        assert agent.memory() <= 68 << 10
        agent.scrape()
        assert agent.memory() <= 71 << 10
