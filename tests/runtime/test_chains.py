"""Chains: our plugin first, then tuning, portmap, bandwidth and sbr of the reference plugins."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from runtime import chains
from runtime.cnitool import CniTool
from runtime.images import busybox
from runtime.internet import FAR, NEAR, NODE, connect, far_connect
from runtime.node import Node
from runtime.release import NEWEST


@pytest.fixture(params=["slash80", "portmap"])
def mapper(request: pytest.FixtureRequest) -> str:
    """The plugin that makes host ports."""
    return str(request.param)


def mapping(node: Node, mapper: str, **changes: object) -> Mapping[str, Any]:
    """Return a chain in which this plugin makes host ports."""
    if mapper == "slash80":
        return node.conflist(**changes)
    (plugin,) = node.example["plugins"]
    others = {name: True for name in plugin["capabilities"] if name != "portMappings"}
    return node.conflist(chains.PORTMAP, capabilities=others, **changes)


@pytest.mark.parametrize("address", ["127.0.0.1", *NODE.values()])
def test_host_port_from_the_node(node: Node, mapper: str, address: str) -> None:
    """A host port leads the node's own programs to the pod in both families, over IPv4 from its loopback too."""
    node.use(mapping(node, mapper))
    with node.pods(pod_options=chains.HOST_PORT):
        assert connect(node.box, address) == (NODE[6] if ":" in address else NODE[4])

    assert chains.leftovers(node.box) == []


def test_host_port_from_pods(node: Node, mapper: str) -> None:
    """A host port leads other pods of the node to the pod, by their own addresses, and the pod to itself."""
    node.use(mapping(node, mapper))
    with node.pods() as [other], node.pods(pod_options=chains.HOST_PORT) as [pod]:
        for family, address in NODE.items():
            assert node.whoami(other, address) == other.by_family[family]
            assert node.whoami(pod, address) == address


def test_host_port_from_outside(node: Node, mapper: str) -> None:
    """Ours is open unless a setting says otherwise, portmap's closed as the pod itself; the source is not changed."""
    trusted = {"trusted": [f"{NEAR[4]}/32", f"{NEAR[6]}/128"], "hostPorts": "trusted"}
    closed = {4: "", 6: ""}
    for firewall, seen in (
        ({}, NEAR if mapper == "slash80" else closed),
        ({"hostPorts": "trusted"}, closed),
        (trusted, NEAR),
    ):
        node.use(mapping(node, mapper, firewall=firewall))
        with node.pods(pod_options=chains.HOST_PORT):
            assert {family: far_connect(node.box, address) for family, address in NODE.items()} == seen


def test_bandwidth(node: Node) -> None:
    """A pod's bandwidth annotations limit both of its directions, traffic passes, and the limits go with the pod."""
    node.use(node.conflist(chains.BANDWIDTH))
    with node.pods(pod_options=chains.RATES) as [pod]:
        (host_end,) = node.host_ends()
        limits = chains.limits(node.box)
        node.reaches_internet(pod)

    assert f"{host_end} 8Mbit" in limits
    assert len(limits) == 2
    assert chains.leftovers(node.box) == []
    assert node.remains() == []


@pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)
@pytest.mark.parametrize(
    "chained",
    [[chains.TUNING], [chains.PORTMAP], [chains.BANDWIDTH], [chains.TUNING, chains.PORTMAP, chains.BANDWIDTH]],
    ids=lambda chained: "+".join(plugin["type"] for plugin in chained),
)
def test_life_in_a_chain(node: Node, tools: Path, tmp_path: Path, chained: list[Mapping[str, Any]]) -> None:
    """ADD, CHECK and DEL of a chain work, both addresses answer, and nothing is left of any plugin."""
    tool = CniTool(node, tools / "cnitool", tmp_path, chains.CAPABILITIES)
    tool.configure(node.conflist(*chained))
    with tool.namespaces() as [netns]:
        result = tool.add(netns)
        tool.succeed("check", netns)
        for ip in result["ips"]:
            node.box.run([busybox(), "ping", "-c", "1", "-W", "2", ip["address"].split("/")[0]])
        tool.succeed("del", netns)

        assert node.remains() == []
        assert chains.leftovers(node.box) == []


@pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)
def test_tuning(node: Node, tools: Path, tmp_path: Path) -> None:
    """The MAC and sysctl of tuning are the pod's, its addresses stay, and CHECK sees when the MAC is another one."""
    tool = CniTool(node, tools / "cnitool", tmp_path)
    tool.configure(node.conflist(chains.TUNING))
    with tool.namespaces() as [netns]:
        result = tool.add(netns)
        told = node.box.run(["ip", "-n", netns, "link", "show", "eth0"])
        sysctl = node.box.run(["sysctl", "-n", chains.SYSCTL.replace("IFNAME", "eth0")], netns=netns)
        node.box.run(["ip", "-n", netns, "link", "set", "eth0", "address", "02:80:00:00:00:02"])

        assert result["interfaces"][1]["mac"] == chains.MAC
        assert chains.MAC in told
        assert sysctl == "1\n"
        assert tool.call("check", netns).returncode == 1


@pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)
@pytest.mark.parametrize("moved", ["eth0", "net1"])
def test_source_based_routing(node: Node, tools: Path, tmp_path: Path, moved: str) -> None:
    """The plugin sbr moves an interface's routes to tables of their own: CHECK passes and every address still works."""
    tool = CniTool(node, tools / "cnitool", tmp_path)
    with tool.namespaces() as [netns]:
        for ifname in ("eth0", "net1"):
            tool.configure(node.conflist(*([chains.SBR] if ifname == moved else [])))
            result = tool.add(netns, ifname)
            tool.succeed("check", netns, ifname)
            for ip in result["ips"] if ifname in {"eth0", moved} else ():
                address = ip["address"].split("/")[0]
                far = FAR[6 if ":" in address else 4]
                node.box.run([busybox(), "ping", "-c", "1", "-W", "2", "-I", address, far], netns=netns)
        rules = node.box.run(["ip", "-n", netns, "rule"]) + node.box.run(["ip", "-n", netns, "-6", "rule"])
        for ifname in ("net1", "eth0"):
            tool.succeed("del", netns, ifname)
        remains = node.remains()

    assert "lookup 100" in rules
    assert "lookup 101" in rules
    assert remains == []
