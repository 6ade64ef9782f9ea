"""`slash80 status` and `prefixes`: on a node, and for a cluster."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab.kube import FakeApi, node
from slash80.cli import commands
from slash80.desired import node_status
from slash80.errors import FirewallUnusable
from slash80.firewall.installed import InstalledTable
from slash80.host.context import boottime, store_in
from slash80.settings import node as nodefile
from unit.builders import attachment
from unit.kernels import Kernel

V6, OLD = "2001:db8:0:1:1::/80", "2001:db8:0:9:1::/80"
NODES = "/api/v1/nodes"
ODD = {"reason": "RouteConflict", "subject": "route", "message": "one thing is odd"}


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """Return the state directory of a node with an agent, a pod, and a prefix that drains."""
    folder = tmp_path / "state"
    store_in(folder, timeout=5).keep(attachment(since=boottime()))
    prefixes = [{"prefix": V6}, {"prefix": OLD, "state": "draining"}]
    (folder / nodefile.NAME).write_text(json.dumps({"version": 1, "ipv6": prefixes}))
    report = {"node": "a", "ready": True, "sources": {V6: "spec"}, "routes": [{}], "problems": [ODD["message"]]}
    report["problemDetails"] = [ODD]
    report["kubeletsTrusted"] = ["clusterPrefixes", "nodePrefixes"]
    report["policies"] = {"policies": 12, "isolated": 3, "answered": 5, "unanswered": 1}
    members: list[dict[str, object]] = [{"id": "us", "prefixes": ["2001:db8:2::/48"], "trusted": True, "reason": ""}]
    members += [{"id": "ap", "prefixes": ["2001:db8:2::/48"], "trusted": False, "reason": "a prefix holds a subnet"}]
    report["clusterset"] = {"name": "shop", "here": "eu", "members": members}
    (folder / "agent.json").write_text(json.dumps(report))
    (folder / "cni.sock").touch()
    return folder


def of(state_dir: Path) -> list[str]:
    """Return the arguments that name a node's state directory, and a directory for configurations beside it."""
    return ["--state-dir", str(state_dir), "--conf-dir", str(state_dir.with_name("net.d"))]


def test_status_of_a_node_is_a_few_lines(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`slash80 status` shows agent, node, routes, pods, problems and prefixes of its node."""
    assert 0 == commands.main(["status", *of(state_dir)])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert [
        "agent answers calls",
        "node a, ready",
        "routes 1 to other nodes",
        "trust every kubelet's word on its node's prefixes and addresses: clusterPrefixes and nodePrefixes not set",
        "pods 1 ready",
        "policies 12 in the cluster isolate 3 interfaces here; 5 pods waited for theirs at their start, 1 too long",
        "clusterset shop: this cluster is eu; trusted: us; not: ap",
        f"addresses IPv6 {V6}: 1 addresses in use",
        "problem one thing is odd",
        "",
        "PREFIX FAMILY STATE SOURCE PODS",
        f"{V6} IPv6 active spec 1",
        f"{OLD} IPv6 draining - 0",
    ] == lines


def test_status_names_what_keeps_the_node_from_its_own_pods(
    kernel: Kernel, state_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node that has pods with IPv4 and no IPv4 address of its own is a problem of `status`."""
    kernel.forget("ip address show (index 0)")
    (state_dir / nodefile.NAME).write_text(json.dumps({"version": 1, "ipv4": [{"prefix": "10.80.1.0/24"}]}))
    commands.main(["status", *of(state_dir)])

    assert "problem    the node has no IPv4 address" in capsys.readouterr().out


def test_status_of_a_user_who_may_not_look_at_the_firewall_shows_the_rest(
    state_dir: Path, capsys: pytest.CaptureFixture[str], mocker: MockerFixture
) -> None:
    """As in a container without NET_ADMIN: that is a problem with the next step, and no failure of the command."""
    mocker.patch.object(InstalledTable, "misrouted", side_effect=FirewallUnusable("not permitted; run as root"))
    assert 0 == commands.main(["status", *of(state_dir)])
    out = capsys.readouterr().out
    assert "pods       1 ready" in out
    assert "problem    the firewall cannot be looked at: not permitted; run as root" in out


def test_status_of_a_node_as_json(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The document has the same contents as the text."""
    assert 0 == commands.main(["status", "-o", "json", *of(state_dir)])
    found = json.loads(capsys.readouterr().out)
    assert ("a", True, True, {"pending": 0, "ready": 1, "dying": 0}) == (
        found["node"],
        found["ready"],
        found["agent"],
        found["attachments"],
    )
    assert [(V6, "active", "spec", 1), (OLD, "draining", "-", 0)] == [
        (one["prefix"], one["state"], one["source"], one["pods"]) for one in found["prefixes"]
    ]
    assert ([ODD["message"]], [ODD]) == (found["problems"], found["problemDetails"])


def test_status_without_an_agent_is_exit_code_1(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A node whose agent does not run is reported as unhealthy, although its calls are handled."""
    (state_dir / "cni.sock").unlink()
    assert 1 == commands.main(["status", *of(state_dir)])
    assert "does not run: calls start the engine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("pods", "length", "said"),
    [
        (1, 24, "1 of 254 addresses in use"),
        (228, 24, "228 of 254 addresses in use"),
        (229, 24, "229 of 254 addresses in use, almost full: delete pods or add a prefix"),
        (5, 29, "5 of 6 addresses in use"),
        (6, 29, "6 of 6 addresses in use, full: delete pods or add a prefix"),
    ],
)
def test_status_shows_a_full_pool(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], pods: int, length: int, said: str
) -> None:
    """A full pool, which CNI's STATUS does not report, is shown for the prefixes of the configurations in use."""
    folder, store = tmp_path / "net.d", store_in(tmp_path / "state", timeout=5)
    for number in range(1, pods + 1):
        store.keep(attachment(number, since=boottime()))
    folder.mkdir()
    prefix = f"10.80.1.0/{length}"
    ours = {"type": "slash80", "stateDir": str(tmp_path / "state"), "ipv4": {"prefixes": [prefix]}}
    other = ours | {"stateDir": "/elsewhere", "ipv4": {"prefixes": ["10.99.0.0/30"]}}
    listed = {"cniVersion": "1.0.0", "name": "net", "plugins": [ours, {"type": "tuning"}]}
    (folder / "10-ours.conflist").write_text(json.dumps(listed))
    (folder / "20-another.conf").write_text(json.dumps(other | {"name": "other"}))
    (folder / "30-bad.conf").write_text("{")
    commands.main(["status", *of(tmp_path / "state")])
    lines = capsys.readouterr().out.splitlines()

    assert [f"addresses  IPv4 {prefix}: {said}"] == [line for line in lines if line.startswith("addresses")]
    (problem,) = [line for line in lines if line.startswith("problem")]
    assert f"{folder}/30-bad.conf is not a JSON object" in problem


def test_status_of_a_node_whose_prefixes_all_drain(state_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A node without an active prefix is a problem, and everything else is still shown."""
    (state_dir / nodefile.NAME).write_text(json.dumps({"version": 1, "ipv6": [{"prefix": OLD, "state": "draining"}]}))
    assert 0 == commands.main(["status", "-o", "json", *of(state_dir)])
    found = json.loads(capsys.readouterr().out)

    assert ([], 1) == (found["pools"], found["attachments"]["ready"])
    (*_, problem) = found["problemDetails"]
    assert "node.json has no active prefix" in problem["message"]
    assert ("ConfigurationUnusable", str(state_dir / "node.json")) == (problem["reason"], problem["subject"])
    assert [ODD["message"], problem["message"]] == found["problems"]


def test_prefixes_are_printed_as_table_and_json(
    state_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`slash80 prefixes` prints a table or a list, and an empty one without node.json."""
    assert 0 == commands.main(["prefixes", "--state-dir", str(state_dir)])
    assert 3 == len(capsys.readouterr().out.splitlines())
    assert 0 == commands.main(["prefixes", "-o", "json", "--state-dir", str(tmp_path)])
    assert [] == json.loads(capsys.readouterr().out)
    (state_dir / nodefile.NAME).write_text("{")
    assert 1 == commands.main(["prefixes", "--state-dir", str(state_dir)])
    assert "node.json is not a JSON document" in capsys.readouterr().err


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeApi]:
    """Run an API server to which the kubeconfig leads."""
    api = FakeApi()
    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": api.start()}}],
        "users": [{"name": "x", "user": {"token": "t"}}],
    }
    (tmp_path / "kubeconfig").write_text(json.dumps(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    yield api
    api.stop()


def test_status_of_a_cluster_has_a_line_for_each_node(
    cluster: FakeApi, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each node is shown with what it reports; a node that reports nothing is not ready."""
    said = node_status.conditions(ready=True, draining=[OLD], unrouted=["10.80.2.0/24"])
    ready = node("a", annotations={"slash80.io/prefixes": json.dumps([V6])})
    ready["status"]["conditions"] = [
        {"type": kind, "status": status, "reason": reason, "message": message}
        for kind, (status, reason, message) in said.items()
    ]
    cluster.put(NODES, ready)
    nowhere = ["--state-dir", str(tmp_path / "nowhere")]
    assert 0 == commands.main(["status", *nowhere])
    head, row = capsys.readouterr().out.splitlines()
    assert ["NODE", "READY", "PREFIXES", "DRAINING"] == head.split()[:4]
    assert ["a", "yes", V6] == row.split()[:3]
    assert OLD in row
    assert "10.80.2.0/24" in row

    cluster.put(NODES, node("b", annotations={"slash80.io/prefixes": "nonsense"}))
    assert 1 == commands.main(["status", "--cluster", "-o", "json"])
    assert [("a", True), ("b", False)] == [(one["node"], one["ready"]) for one in json.loads(capsys.readouterr().out)]


def test_unreachable_cluster_is_one_sentence(cluster: FakeApi, capsys: pytest.CaptureFixture[str]) -> None:
    """A kubeconfig whose server does not answer ends with one sentence."""
    cluster.faults = [403]
    assert 1 == commands.main(["status", "--cluster"])
    assert "slash80 status: 403 as the test wants it" in capsys.readouterr().err
    cluster.stop()
    assert 1 == commands.main(["status", "--cluster"])
    assert "cannot be reached" in capsys.readouterr().err
