"""The plugin under cnitool (libcni 1.3.0): every verb on a bare network namespace, no container runtime."""

import json
from pathlib import Path

import pytest

from runtime.cnitool import CniTool
from runtime.internet import MTU
from runtime.node import Json, Node
from runtime.release import NEWEST

# cnitool asks nothing of containerd; the node is there with it.
pytestmark = pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)

VERSIONS = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]


@pytest.fixture
def tool(node: Node, tools: Path, tmp_path: Path) -> CniTool:
    """Configure cnitool as shipped; tmp_path is seen inside the sandbox too."""
    made = CniTool(node, tools / "cnitool", tmp_path)
    made.configure(node.conflist())
    return made


def _only(conflist: Json, version: str) -> Json:
    """Return the configuration with a single version."""
    return {key: value for key, value in conflist.items() if key != "cniVersions"} | {"cniVersion": version}


def test_newest_version_is_spoken(tool: CniTool) -> None:
    """Of the shipped versions libcni picks 1.1.0, and the result is of that version, with MTUs."""
    with tool.namespaces() as [netns]:
        result = tool.add(netns)

    assert result["cniVersion"] == "1.1.0"
    assert [interface["mtu"] for interface in result["interfaces"]] == [MTU, MTU]
    assert result["interfaces"][1]["sandbox"] == f"/run/netns/{netns}"


@pytest.mark.parametrize("version", VERSIONS)
def test_life_of_an_attachment(tool: CniTool, version: str) -> None:
    """ADD, CHECK (from 0.4.0), DEL and DEL again work in every version and leave nothing."""
    tool.configure(_only(tool.node.conflist(), version))
    with tool.namespaces() as [netns]:
        result = tool.add(netns)
        if version != "0.3.1":
            tool.succeed("check", netns)
        tool.succeed("del", netns)
        tool.succeed("del", netns)
        remains = tool.node.remains()

    assert result["cniVersion"] == version
    assert [ip["address"].split("/")[1] for ip in result["ips"]] == ["32", "128"]
    assert [ip["gateway"] for ip in result["ips"]] == ["169.254.1.1", "fe80::1"]
    assert {ip["interface"] for ip in result["ips"]} == {1}
    assert remains == []


def test_second_add_is_refused(tool: CniTool) -> None:
    """A second ADD for an attachment fails and leaves the first as it is."""
    with tool.namespaces() as [netns]:
        tool.add(netns)
        assert tool.call("add", netns).returncode == 1
        tool.succeed("check", netns)


def test_check_sees_damage(tool: CniTool) -> None:
    """CHECK fails once the pod has lost its address."""
    with tool.namespaces() as [netns]:
        tool.add(netns)
        tool.node.box.run(["ip", "-n", netns, "-6", "addr", "flush", "dev", "eth0", "scope", "global"])
        assert tool.call("check", netns).returncode == 1


def test_status(tool: CniTool) -> None:
    """STATUS is fine before the first pod and while a family's pool is used up: then ADD says so, with 100."""
    tool.configure(tool.node.conflist(ipv4={"prefixes": ["10.80.11.0/30"]}))
    with tool.namespaces(3) as [*names, further]:
        tool.succeed("status")
        for name in names:
            tool.add(name)
        tool.succeed("status")
        refused = tool.call("add", further)

    assert refused.returncode == 1
    assert "no free IPv4 address in 10.80.11.0/30" in refused.stdout + refused.stderr


def test_gc_without_a_list(tool: CniTool) -> None:
    """The gc of cnitool sends DELs for what its cache knows, then GC without a list: nothing more goes."""
    with tool.namespaces(2) as [forgotten, cached]:
        tool.add(forgotten)
        tool.forget()
        tool.add(cached)
        assert tool.node.attachments() == 2
        tool.succeed("gc")
        assert tool.node.attachments() == 1
        tool.succeed("del", forgotten)
        assert tool.node.remains() == []


def test_gc_with_a_list(tool: CniTool) -> None:
    """GC removes attachments that are not on the list, alive or not, and keeps the others whole."""
    with tool.namespaces(2) as [stale, valid]:
        tool.add(stale)
        tool.add(valid)
        conflist = tool.node.conflist()
        attachments = [{"containerID": tool.container_id(valid), "ifname": "eth0"}]
        common = {"name": conflist["name"], "cniVersion": "1.1.0", "cni.dev/valid-attachments": attachments}
        assert tool.plugin("GC", conflist["plugins"][0] | common) == ""
        assert tool.node.attachments() == 1
        tool.succeed("check", valid)
        assert tool.call("check", stale).returncode == 1


def test_version(tool: CniTool) -> None:
    """VERSION needs nothing else and names every version that the shipped configuration offers."""
    said = json.loads(tool.plugin("VERSION", {"cniVersion": "1.0.0"}))

    assert set(tool.node.example["cniVersions"]) <= set(said["supportedVersions"])
