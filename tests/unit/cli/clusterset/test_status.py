"""`slash80 clusterset status`: what people see of each cluster, and when something is wrong."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from slash80.clusterset.problems import Problem, Reason
from slash80.clusterset.records import Name
from slash80.clusterset.state import Condition, ExportState, MemberState, State
from unit.cli.clusterset.clusters import DEPLOYMENTS, IMPORTS, Clusters, deployment
from unit.cli.clusterset.members import file_of

ANSWERED = int(datetime(2026, 11, 28, 12, 7, tzinfo=UTC).timestamp())
US = MemberState(Condition.OK, ANSWERED, "[2001:db8:2::5]:8180", exports=3)
DB = ExportState(Name("shop", "db"), ready=True, reason="Ready")
WELL = State("eu", "world", members={"us": US}, exports=(DB,), imports=2)
ADVICE = "Service shop/web has IPv4 only; set ipFamilyPolicy: PreferDualStack"


@pytest.fixture
def well(clusters: Clusters) -> Clusters:
    """Return clusters of which `eu` has nothing to complain of."""
    clusters.has_file("eu", file_of("eu"))
    clusters.says("eu", WELL)
    return clusters


def test_a_cluster_that_is_well_is_a_few_lines(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """Who the cluster is, how many Services it shares and each member are shown, and the exit code is 0."""
    assert 0 == well.run("status", "eu")
    assert [
        "context    eu: eu of clusterset world",
        "services   1 exported, 1 of them ready; 2 imported",
        "MEMBER  STATE  ANSWERED           EXPORTS  REFUSED  AT",
        "us      ok     2026-11-28T12:07Z  3        -        [2001:db8:2::5]:8180",
    ] == capsys.readouterr().out.splitlines()


def test_programs_read_the_same_as_json(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """`-o json` is a list with an object for each context."""
    assert 0 == well.run("status", "eu", "-o", "json")
    (document,) = json.loads(capsys.readouterr().out)

    assert ("eu", "world", True, 2, []) == tuple(
        document[key] for key in ("cluster", "clusterset", "well", "imports", "problems")
    )
    assert {"id": "us", "state": "ok", "answered": "2026-11-28T12:07Z"}.items() <= document["members"][0].items()
    assert [{"namespace": "shop", "name": "db", "ready": True, "reason": "Ready", "message": ""}] == document["exports"]


@pytest.mark.parametrize("condition", [Condition.SILENT, Condition.GONE, Condition.NEVER])
def test_a_member_that_does_not_answer_is_wrong(
    condition: Condition, well: Clusters, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a member's state and problem are shown, and the exit code is 1."""
    well.says("eu", replace(WELL, members={"us": replace(US, condition=condition, problem="no route")}))

    assert 1 == well.run("status", "eu")
    out = capsys.readouterr().out
    assert f"us      {condition}" in out
    assert "problem    us: no route" in out


def test_what_was_refused_is_counted_and_named(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """Each reason has its number in the member's row, and examples are sentences."""
    refused = replace(US, refused={"AddressOutside": 4}, examples=("shop/db has 10.0.0.1, which is not us's",))
    well.says("eu", replace(WELL, members={"us": refused}))

    assert 1 == well.run("status", "eu")
    out = capsys.readouterr().out
    assert "4 AddressOutside" in out
    assert "refused    us: shop/db has 10.0.0.1, which is not us's" in out


def test_an_export_that_is_not_ready_is_shown_with_its_sentence(
    well: Clusters, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of an export without IPv6 people read which key to change."""
    web = ExportState(Name("shop", "web"), ready=False, reason="Failed", message=ADVICE)
    well.says("eu", replace(WELL, exports=(web, DB)))

    assert 1 == well.run("status", "eu")
    out = capsys.readouterr().out
    assert "services   2 exported, 1 of them ready; 2 imported" in out
    assert f"export     shop/web is not ready (Failed): {ADVICE}" in out


def test_of_many_exports_a_part_is_known(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """The program says something of the first two hundred, so their number is the least."""
    well.says("eu", replace(WELL, exports=tuple(replace(DB, name=Name("shop", f"db{n}")) for n in range(300))))

    assert 0 == well.run("status", "eu")
    assert "services   at least 200 exported, 200 of them ready; 2 imported" in capsys.readouterr().out


def test_what_other_clusters_say_cannot_command_the_terminal(
    well: Clusters, capsys: pytest.CaptureFixture[str]
) -> None:
    """Escape sequences in what a member has caused are shown as text."""
    well.says("eu", replace(WELL, members={"us": replace(US, at="\x1b[2J", examples=("\x1b]0;me\x07",))}))

    well.run("status", "eu")
    assert "\x1b" not in capsys.readouterr().out


def test_a_terminal_has_colours_and_takes_no_orders(well: Clusters, colours: pytest.CaptureFixture[str]) -> None:
    """A member that is gone is red there, one that answers is green, and what they are called is text."""
    members = {"us": US, "ap": replace(US, condition=Condition.GONE, at="\x1b[2J")}
    well.says("eu", replace(WELL, members=members))

    well.run("status", "eu")
    out = colours.readouterr().out
    assert ("\x1b[32mok" in out, "\x1b[31mgone" in out, "\x1b[2J" in out) == (True, True, False)


def test_a_problem_of_the_program_is_shown(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """What the program says is wrong with the file is shown, and the exit code is 1."""
    overlap = Problem(Reason.CLUSTERSET_INVALID, "ConfigMap slash80-clusterset", "members 'eu' and 'us' overlap")
    well.says("eu", replace(WELL, problem="members 'eu' and 'us' overlap", problems=(overlap,)))

    assert 1 == well.run("status", "eu")
    assert 1 == capsys.readouterr().out.count("problem    members 'eu' and 'us' overlap")
    well.run("status", "eu", "-o", "json")
    (document,) = json.loads(capsys.readouterr().out)
    assert ["members 'eu' and 'us' overlap"] == document["problems"]
    assert [
        {
            "reason": "ClustersetInvalid",
            "subject": "ConfigMap slash80-clusterset",
            "message": "members 'eu' and 'us' overlap",
        }
    ] == document["problemDetails"]


def test_a_file_is_read_here_when_the_program_is_silent(clusters: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the program has not said anything, a mistake of the file is named all the same."""
    clusters.has_file("eu", "name: [")

    assert 1 == clusters.run("status", "eu")
    assert "problem    clusterset.yaml of ConfigMap slash80-clusterset cannot be read" in capsys.readouterr().out


def test_a_cluster_without_a_file_is_not_a_member(clusters: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """People read that there is no file, and which command makes one."""
    assert 1 == clusters.run("status", "eu")
    out = capsys.readouterr().out
    assert "context    eu: no member" in out
    assert "slash80 clusterset apply -f FILE eu" in out


def test_a_program_that_does_not_run_is_said(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """A state may be old when no pod is ready."""
    well.apis["eu"].put(DEPLOYMENTS, deployment())

    assert 1 == well.run("status", "eu")
    assert "has no pod that is ready, so what is said here may be old" in capsys.readouterr().out


def test_a_program_that_is_not_installed_is_said(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """People read what to apply."""
    well.apis["eu"].remove(DEPLOYMENTS, "slash80-system/slash80-clusterset")

    assert 1 == well.run("status", "eu")
    assert "kubectl --context eu apply -k manifests/clusterset" in capsys.readouterr().out


def test_another_controller_is_named(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """ServiceImports of another controller are counted with its name; our own are not a problem."""
    for name, owner in (("db", "lighthouse"), ("web", "clusterset.slash80.io")):
        labels = {"app.kubernetes.io/managed-by": owner}
        well.apis["eu"].put(IMPORTS, {"metadata": {"name": name, "namespace": "shop", "labels": labels}})

    assert 1 == well.run("status", "eu")
    assert "problem    1 ServiceImports are from lighthouse and not from slash80" in capsys.readouterr().out


def test_a_cluster_that_fails_does_not_hide_the_others(well: Clusters, capsys: pytest.CaptureFixture[str]) -> None:
    """A context that is not there and an API server that refuses are problems of theirs alone."""
    well.apis["us"].forbidden.add("configmaps")

    assert 1 == well.run("status", "nowhere", "us", "eu", "-o", "json")
    nowhere, us, eu = json.loads(capsys.readouterr().out)
    assert "there is no context 'nowhere'" in nowhere["problems"][0]
    assert "sign in as a user with that right" in us["problems"][0]
    assert eu["well"]


def test_a_command_without_a_context_is_used_wrongly(clusters: Clusters) -> None:
    """The exit code is 2, as for every mistake of usage."""
    with pytest.raises(SystemExit) as ended:
        clusters.run("status")

    assert 2 == ended.value.code
