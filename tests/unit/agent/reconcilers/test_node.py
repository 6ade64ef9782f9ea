"""Part `node`: from what is known to `node.json`, forwarding and discard routes."""

import json
from dataclasses import replace
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest

from lab import members
from slash80.addressing.attachment import Assignment
from slash80.agent.reconcilers.node import Node
from slash80.agent.reconcilers.part import attempt
from slash80.desired.problems import Problem, Reason
from slash80.prefixes.static import Static
from slash80.settings import node as nodefile
from slash80.settings.clusterset import KEY
from unit.agent.reconcilers.fakes import OTHER4, OTHER6, OWN, PEER, V4, V6, Setting, discard, seen
from unit.builders import MAC, attachment


@pytest.fixture(autouse=True)
def _calls_know(setting: Setting) -> None:
    """Have calls know that no pod is isolated, which the part `policies` lets them know."""
    setting.tell_calls()


def _node_file(setting: Setting) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((setting.state_dir / "node.json").read_text())
    return found


def _look(setting: Setting) -> list[Problem]:
    """Have the part look once; return its problems."""
    attempt(Node(setting.around), setting.around)
    return [*setting.board.outcome("node").problems]


def test_a_known_node_is_made_as_it_should_be(setting: Setting, sysctls: Path) -> None:
    """Its prefixes are in `node.json`, it forwards both families, and unassigned addresses have a discard route."""
    assert [] == _look(setting)

    assert setting.board.outcome("node").in_force
    assert [{"prefix": V6, "state": "active"}] == _node_file(setting)["ipv6"]
    assert [OTHER4, OTHER6] == _node_file(setting)["firewall"]["clusterPrefixes"]
    assert [discard(V4), discard(V6)] == [step for step in setting.kernel.done if "unreachable" in step]
    assert ["1", "1"] == [(sysctls / key).read_text() for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]
    assert setting.board.desired
    assert {V6: "spec", V4: "spec"} == setting.board.desired.sources


def test_node_json_is_written_before_others_are_told(setting: Setting) -> None:
    """The firewall is built from the file, so a reconciler that is woken must find it."""
    there: list[bool] = []
    setting.board._changed = lambda part: there.append((setting.state_dir / "node.json").exists())
    _look(setting)
    assert {True} == {*there}


def test_node_json_waits_until_calls_know_of_policies(setting: Setting) -> None:
    """After a boot a conflist may be there already, and pods must not be open before it is known who closes them.

    A file that is there stays as it is and is changed: pods that run are under what is in force.
    """
    (setting.state_dir / "policy.json").unlink()
    (problem,) = _look(setting)
    assert (Reason.POLICIES_UNKNOWN, "node.json") == (problem.reason, problem.subject)
    assert not (setting.state_dir / "node.json").exists()
    assert not setting.board.outcome("node").in_force
    assert setting.board.policies is not None

    setting.tell_calls()
    assert [] == _look(setting)
    (setting.state_dir / "policy.json").unlink()
    setting.sources.given.objects = [OWN]
    assert [] == _look(setting)
    assert [] == _node_file(setting)["firewall"]["clusterPrefixes"]


def test_node_json_is_written_only_when_it_changes(setting: Setting) -> None:
    """A look that decides the same leaves the file alone, so that readers may keep what they have parsed."""
    _look(setting)
    before = (setting.state_dir / "node.json").stat()
    _look(setting)
    assert before == (setting.state_dir / "node.json").stat()


def test_a_node_that_is_not_known_waits(setting: Setting) -> None:
    """Nothing is written, and the problem says what is waited for."""
    setting.sources.given.synced = False
    (problem,) = _look(setting)

    assert Reason.NODE_UNKNOWN == problem.reason
    assert not setting.board.outcome("node").in_force
    assert setting.board.desired is None
    assert not (setting.state_dir / "node.json").exists()


@pytest.mark.parametrize("left", [[OWN], [PEER], []])
def test_nothing_is_taken_back_by_a_list_that_is_not_complete(setting: Setting, left: list[Any]) -> None:
    """A new list begins when settings change or the agent is started; until it is complete everything stays."""
    _look(setting)
    before, wanted = _node_file(setting), setting.board.desired
    setting.sources.given.synced, setting.sources.given.objects = False, left
    setting.sources.services.synced, setting.sources.services.objects = False, []

    assert [] == _look(setting)
    assert (before, wanted) == (_node_file(setting), setting.board.desired)
    assert setting.board.outcome("node").in_force


def test_service_ranges_stay_while_only_their_list_is_missing(setting: Setting) -> None:
    """An agent that was restarted may know the Nodes first."""
    _look(setting)
    setting.sources.services.synced, setting.sources.services.objects = False, []
    _look(setting)
    assert ["10.96.0.0/16"] == _node_file(setting)["firewall"]["serviceCIDRs"]


def test_without_the_api_what_is_in_force_is_kept(setting: Setting, sysctls: Path) -> None:
    """The agent was started again: forwarding and discard routes are put right by the `node.json` of before."""
    _look(setting)
    setting.kernel.done.clear()
    (sysctls / "ipv4/ip_forward").write_text("0")
    restarted = Setting(setting.folder, setting.sources, setting.kernel, setting.host)
    setting.sources.given.synced = False

    assert [] == _look(restarted)
    assert restarted.board.outcome("node").in_force
    assert restarted.board.desired is None
    assert discard(V6) in setting.kernel.done
    assert "1" == (sysctls / "ipv4/ip_forward").read_text()


def test_bad_settings_change_nothing(setting: Setting) -> None:
    """The last good ones stay in force; before there were any, nothing is decided by the defaults."""
    (setting.folder / "config.yaml").write_text("firewall: {trusted: ['::/0']}")
    (problem,) = (one for one in _look(setting) if one.reason is Reason.SETTINGS_INVALID)
    assert "'firewall.trusted[0]'" in problem.message
    assert not (setting.state_dir / "node.json").exists()

    part = Node(setting.around)
    (setting.folder / "config.yaml").write_text("mtu: 1400")
    attempt(part, setting.around)
    (setting.folder / "config.yaml").write_text("mtu: small")
    attempt(part, setting.around)
    assert 1400 == _node_file(setting)["mtu"]
    assert [Reason.SETTINGS_INVALID] == [problem.reason for problem in setting.board.outcome("node").problems]


WRONG = ["mtu: small", "mtu: 100", "{", "firewall: {services: closed}", "ipv6: {sufix: mac}"]


@pytest.mark.parametrize("text", [*WRONG, None])
def test_the_last_good_settings_survive_a_boot(setting: Setting, text: str | None) -> None:
    """A mistake in the ConfigMap, or its loss, does not open with the next start what was closed before."""
    (setting.folder / "config.yaml").write_text("firewall: {services: trusted, echo: drop}")
    _look(setting)
    (setting.state_dir / "node.json").unlink()  # as /run is empty then
    if text is None:
        (setting.folder / "config.yaml").unlink()
    else:
        (setting.folder / "config.yaml").write_text(text)
    (problem,) = _look(setting)

    assert Reason.SETTINGS_INVALID == problem.reason
    assert "the last good settings stay in force" in problem.message
    firewall = _node_file(setting)["firewall"]
    assert ("trusted", "drop") == (firewall["services"], firewall["echo"])
    assert setting.board.outcome("node").in_force
    kept = setting.folder / "kept"
    assert (0o700, 0o600) == tuple(path.stat().st_mode & 0o777 for path in (kept, kept / "config.yaml"))


@pytest.mark.parametrize("text", WRONG)
def test_without_good_settings_nothing_is_opened(setting: Setting, text: str) -> None:
    """No `node.json` means no firewall by defaults and no pods; the problem names the file, and says so."""
    (setting.folder / "config.yaml").write_text(text)
    problems = _look(setting)

    assert [Reason.SETTINGS_INVALID] == [problem.reason for problem in problems]
    assert str(setting.folder / "config.yaml") in problems[0].message
    assert "no pod" in problems[0].message
    assert not setting.board.outcome("node").in_force
    assert not (setting.state_dir / "node.json").exists()


def test_settings_that_do_not_fit_the_nodes_prefixes_are_not_used(setting: Setting) -> None:
    """Suffix `hash` follows from the IPv4, which this node has no prefix for; what is in force stays."""
    setting.sources.given.objects = [seen("a", V6)]
    _look(setting)
    before = _node_file(setting)
    (setting.folder / "config.yaml").write_text("ipv6: {suffix: hash}")
    (problem,) = _look(setting)
    assert Reason.SETTINGS_INVALID == problem.reason
    assert "ipv6.suffix 'hash'" in problem.message
    assert before == _node_file(setting)


def test_settings_that_cannot_be_kept_are_used_all_the_same(setting: Setting) -> None:
    """The problem says that the next boot will not know them."""
    (setting.folder / "kept").write_text("a file where the folder should be")
    (setting.folder / "config.yaml").write_text("mtu: 1400")
    assert {Reason.SETTINGS_NOT_KEPT} == {problem.reason for problem in _look(setting)}
    assert 1400 == _node_file(setting)["mtu"]


def test_kept_settings_that_are_damaged_are_reported(setting: Setting) -> None:
    """They are written again with the next good ones."""
    _look(setting)
    (setting.folder / "kept/config.yaml").write_text("mtu: small")
    assert [Reason.SETTINGS_NOT_KEPT] == [problem.reason for problem in _look(setting)]
    assert [] == _look(setting)


def test_what_is_followed_of_the_cluster_depends_on_the_settings(setting: Setting) -> None:
    """Where the settings name every prefix, this node's own object is all that is watched."""
    keys = {"clusterPrefixes": ["2001:db8::/48"], "nodePrefixes": ["192.0.2.0/24"], "serviceCIDRs": ["10.96.0.0/16"]}
    (setting.folder / "config.yaml").write_text(json.dumps({"nodeRoutes": "none", "firewall": keys}))
    _look(setting)
    assert ["metadata.name=a"] == setting.sources.selectors


def test_a_prefix_that_other_nodes_will_not_accept_is_a_problem_of_its_node(setting: Setting) -> None:
    """Otherwise only the other nodes would say so."""
    (setting.folder / "config.yaml").write_text(json.dumps({"firewall": {"clusterPrefixes": [OTHER6, OTHER4, V6]}}))
    (problem,) = _look(setting)
    assert (Reason.PREFIX_OUTSIDE_CLUSTER, V4) == (problem.reason, problem.subject)


def test_a_damaged_node_json_is_replaced(setting: Setting) -> None:
    """No runtime's call can use it, so there is nothing to keep; the problem is gone at the next look."""
    (setting.state_dir / "node.json").write_text('{"version": 1, "ipv6": [{"prefix"')
    assert [Reason.NODE_FILE_INVALID] == [problem.reason for problem in _look(setting)]
    assert [] == _look(setting)
    assert nodefile.NodeFile.model_validate(_node_file(setting))


@pytest.mark.parametrize("content", ["[" * 100_000, " " * (3 << 20), '{"version": 1, "mtu": "x"}', "\udcff"])
def test_a_node_json_that_cannot_be_read_is_written_again(setting: Setting, content: str) -> None:
    """Whatever is in it: no call can use it, and the agent must not stumble over its own file."""
    (setting.state_dir / "node.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert [Reason.NODE_FILE_INVALID] == [problem.reason for problem in _look(setting)]
    assert [] == _look(setting)
    assert nodefile.NodeFile.model_validate(_node_file(setting))


def test_a_full_disk_does_not_keep_the_node_from_forwarding(setting: Setting, sysctls: Path) -> None:
    """When node.json cannot be written, forwarding and discard routes are still put right by the one in force."""
    _look(setting)
    (setting.state_dir / ".node.json.tmp").mkdir()
    (setting.folder / "config.yaml").write_text("mtu: 1400")
    (sysctls / "ipv4/ip_forward").write_text("0")
    (problem,) = _look(setting)

    assert (Reason.NODE_FAILED, "node.json") == (problem.reason, problem.subject)
    assert "cannot be written" in problem.message
    assert 0 == _node_file(setting)["mtu"]
    assert "1" == (sysctls / "ipv4/ip_forward").read_text()
    assert setting.board.outcome("node").in_force


def test_discard_routes_that_cannot_be_made_are_a_problem(setting: Setting) -> None:
    """The problem is reported, and the node is in force all the same, since pods can be attached without them."""
    setting.kernel._answers.clear()
    (problem,) = _look(setting)
    assert (Reason.NODE_FAILED, "discard routes") == (problem.reason, problem.subject)
    assert setting.board.outcome("node").in_force


def test_a_node_that_cannot_forward_is_not_in_force(setting: Setting, sysctls: Path) -> None:
    """A pod would be cut off, so none is sent here."""
    (sysctls / "ipv6/conf/all/forwarding").unlink()
    (problem,) = _look(setting)
    assert "the kernel has no IPv6" in problem.message
    assert not setting.board.outcome("node").in_force


def test_prefixes_of_pods_drain(setting: Setting) -> None:
    """The store says which addresses are in use."""
    _look(setting)
    address = IPv6Address("2001:db8:0:1:1::5")
    setting.host.store.keep(attachment(assignment=Assignment(None, address, MAC)))
    setting.sources.given.objects = [seen("a", "2001:db8:0:9:1::/80", V4)]
    setting.kernel._answers[discard("2001:db8:0:9:1::/80")] = 0
    assert [] == _look(setting)
    assert {"2001:db8:0:9:1::/80": "active", V6: "draining"} == {
        entry["prefix"]: entry["state"] for entry in _node_file(setting)["ipv6"]
    }


def test_a_node_whose_prefixes_all_drain_takes_no_pods_and_keeps_those_it_has(setting: Setting, sysctls: Path) -> None:
    """It forwards and has its discard routes, and says why it is not ready."""
    prefixes = {"ipv6": [{"prefix": V6, "state": "draining"}], "ipv4": [{"prefix": V4, "state": "draining"}]}
    (setting.state_dir / "node.json").write_text(json.dumps({"version": 1, **prefixes}))
    setting.sources.given.synced = False
    (problem,) = _look(setting)

    assert Reason.NO_PREFIX == problem.reason
    assert f"node.json has no active prefix ({V4}, {V6})" in problem.message
    assert not setting.board.outcome("node").in_force
    assert [discard(V4), discard(V6)] == [step for step in setting.kernel.done if "unreachable" in step]
    assert ["1", "1"] == [(sysctls / key).read_text() for key in ("ipv4/ip_forward", "ipv6/conf/all/forwarding")]


def test_problems_of_what_is_wanted_are_reported_as_long_as_it_stays(setting: Setting) -> None:
    """Those of the decision and of the prefix sources are reported also while the API is away."""
    options = replace(setting.around.options, static=Static(("nonsense",)))
    around = replace(setting.around, options=options)
    part = Node(around)
    for synced in (True, False):
        setting.sources.given.synced = synced
        attempt(part, around)
        assert [Reason.PREFIX_SOURCE_FAILED] == [one.reason for one in setting.board.outcome("node").problems]


def _listing(*numbers: int, **here: Any) -> dict[str, str]:  # noqa: ANN401 -- any YAML value
    """Return the clusterset's ConfigMap with these members, and this cluster as c0."""
    own = members.entry(0, prefixes=["2001:db8:0:1::/64", "10.80.0.0/16"], **here)
    others = [members.entry(n, prefixes=[f"2001:db8:{n:x}::/48", f"10.{n}.0.0/16"]) for n in numbers]
    return {KEY: members.text(own, *others)}


def test_members_are_trusted_and_see_the_pods_own_address(setting: Setting) -> None:
    """`node.json` says so, beside what the settings say, and what is reported names each member."""
    (setting.folder / "config.yaml").write_text(
        "firewall: {trusted: ['2001:db8:ffff::/64']}\nipv4: {noMasquerade: ['10.99.0.0/16']}"
    )
    setting.sources.of_clusterset.objects = [_listing(7, 8)]
    assert [] == _look(setting)

    found = _node_file(setting)
    expected = ["2001:db8:ffff::/64", "2001:db8:7::/48", "10.7.0.0/16", "2001:db8:8::/48", "10.8.0.0/16"]
    assert expected == found["firewall"]["trusted"]
    assert ["10.99.0.0/16", "10.7.0.0/16", "10.8.0.0/16"] == found["options"]["ipv4"]["noMasquerade"]
    assert setting.board.desired
    assert ("shop", "c0") == (setting.board.desired.trust.name, setting.board.desired.trust.here)


def test_members_are_trusted_after_a_boot_and_no_more_when_the_config_map_is_gone(setting: Setting) -> None:
    """The last good file is on the node's disk; a ConfigMap that is known to be deleted ends all trust."""
    setting.sources.of_clusterset.objects = [_listing(7)]
    _look(setting)
    (setting.state_dir / "node.json").unlink()
    setting.sources.of_clusterset.synced = False
    assert [] == _look(setting)
    assert "2001:db8:7::/48" in _node_file(setting)["firewall"]["trusted"]

    setting.sources.of_clusterset.synced, setting.sources.of_clusterset.objects = True, []
    assert [] == _look(setting)
    assert "trusted" not in _node_file(setting)["firewall"]
    assert "noMasquerade" not in _node_file(setting)["options"]["ipv4"]


@pytest.mark.parametrize("wrong", ["members: [", members.text(members.entry(0, prefixes=["10.96.0.0/24"]))])
def test_a_wrong_clusterset_changes_nothing(setting: Setting, wrong: str) -> None:
    """Whether it cannot be read or contradicts this cluster; the problem has the code, and says what stays."""
    setting.sources.of_clusterset.objects = [_listing(7)]
    _look(setting)
    before = _node_file(setting)
    setting.sources.of_clusterset.objects = [{KEY: wrong}]
    (problem,) = _look(setting)

    assert before == _node_file(setting)
    assert Reason.CLUSTERSET_INVALID == problem.reason
    assert "the last good file stays in force" in problem.message


def test_a_member_is_noted_before_it_is_trusted(setting: Setting) -> None:
    """Or its connections would not end where the agent is killed in between."""
    setting.sources.of_clusterset.objects = [_listing(7)]
    _look(setting)
    noted = json.loads((setting.state_dir / "trusted.json").read_text())
    assert {"version": 1, "prefixes": ["10.7.0.0/16", "2001:db8:7::/48"]} == noted
