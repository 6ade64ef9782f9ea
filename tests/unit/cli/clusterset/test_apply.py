"""`slash80 clusterset apply`: what is shown before, what comes into which cluster, and what is refused."""

import io
import json
from pathlib import Path

import pytest

from lab.kube import CONFIG_MAPS
from unit.cli.clusterset.clusters import SECRETS, Clusters, secret
from unit.cli.clusterset.members import PREFIXES, file_of


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a file with the members `eu` and `us`."""
    made = tmp_path / "clusterset.yaml"
    made.write_text(file_of("eu", "us"))
    return made


def test_the_file_comes_into_each_cluster_as_it_is(clusters: Clusters, file: Path) -> None:
    """Each cluster has the text of the file, with the comments in it."""
    file.write_text(f"# who belongs together\n{file.read_text()}")

    assert 0 == clusters.run("apply", "-f", str(file), "--yes", "eu", "us")
    assert {file.read_text()} == {clusters.file("eu"), clusters.file("us")}


def test_what_changes_in_trust_is_shown_by_cluster_and_member(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prefixes, certificates, places and namespaces that are new or gone are rows, and nothing else is."""
    clusters.has_file("eu", file_of("eu", "ap"))

    assert 0 == clusters.run("apply", "-f", str(file), "-y", "eu")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["eu", "us", "prefixes", "added", PREFIXES["us"]] in rows
    assert ["eu", "ap", "prefixes", "removed", PREFIXES["ap"]] in rows
    assert ["eu", "ap", "at", "removed", "ap.example.net:8180"] in rows
    assert ["eu", "us", "namespaces", "added", "*"] in rows
    assert not [row for row in rows if row[:2] == ["eu", "eu"]]


def test_a_second_time_changes_nothing(clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A cluster that has the file is not written to, and there is no question."""
    clusters.run("apply", "-f", str(file), "-y", "eu")
    capsys.readouterr()

    assert 0 == clusters.run("apply", "-f", str(file), "eu")
    assert "eu: has this file already\n" == capsys.readouterr().out
    assert 1 == sum(asked.startswith("PATCH") for asked in clusters.apis["eu"].seen)


def test_without_a_terminal_nothing_is_applied_unasked(clusters: Clusters, file: Path, terminal: list[str]) -> None:
    """Programs have to say `--yes`: with `-o json` nothing is asked, and the exit code is that of wrong usage."""
    terminal.append("y\n")

    assert 2 == clusters.run("apply", "-f", str(file), "-o", "json", "eu")
    assert clusters.file("eu") is None


def test_without_a_person_nothing_is_applied_unasked(
    clusters: Clusters, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without `--yes` and without a terminal nothing changes, whatever comes in."""
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    assert 2 == clusters.run("apply", "-f", str(file), "eu")
    assert clusters.file("eu") is None


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("\n", 1), ("", 1)])
def test_on_a_terminal_a_person_is_asked(
    said: str, code: int, clusters: Clusters, file: Path, terminal: list[str]
) -> None:
    """It is applied after a yes and after nothing else."""
    terminal.append(said)

    assert code == clusters.run("apply", "-f", str(file), "eu")
    assert (clusters.file("eu") is None) is bool(code)


def test_a_cluster_that_is_not_listed_would_leave_by_mistake(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Such a file is refused for that cluster alone, and with `--leaving` it is applied."""
    file.write_text(file_of("eu", "ap"))

    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu", "us")
    assert "us: no entry of" in capsys.readouterr().err
    assert clusters.file("us") is None
    assert clusters.file("eu") == file.read_text()
    assert 0 == clusters.run("apply", "-f", str(file), "-y", "--leaving", "us")
    assert clusters.file("us") == file.read_text()


def test_a_cluster_without_a_certificate_has_to_wait(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """While the Secret is empty people read that the program has not run yet."""
    clusters.apis["eu"].put(SECRETS, secret(None))

    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu")
    assert "has not put its certificate into the Secret" in capsys.readouterr().err


@pytest.mark.parametrize("listed", [True, False], ids=["ServiceCIDRs", "before Kubernetes 1.33"])
def test_prefixes_of_a_clusters_services_are_refused_before(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str], *, listed: bool
) -> None:
    """A cluster whose Services have addresses of a member would refuse the file, so it does not get it."""
    api = clusters.apis["eu"]
    api.writes.ranges["IPv6"] = "2001:db8:2::/112"
    api.objects |= {"/api/v1/services": {}}
    if listed:
        services = {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["2001:db8:2:0::/112"]}}
        api.put("/apis/networking.k8s.io/v1/servicecidrs", services)

    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu")
    assert "which overlaps 2001:db8:2::/112" in capsys.readouterr().err
    assert clusters.file("eu") is None


def test_one_that_fails_does_not_stop_the_others(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others get the file, and the exit code and the document say that one did not."""
    clusters.apis["eu"].forbidden.add("configmaps")

    assert 1 == clusters.run("apply", "-f", str(file), "-y", "-o", "json", "eu", "us")
    eu, us = json.loads(capsys.readouterr().out)
    assert (False, True) == (eu["applied"], us["applied"])
    assert "403" in eu["problem"]
    assert {"member": "us", "key": "prefixes", "change": "added", "value": PREFIXES["us"]} in us["changes"]


def test_what_another_program_keeps_is_not_taken_over(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where GitOps has written another file people read how to take it over, and `--force` does so."""
    clusters.apis["eu"].writes.apply(
        f"{CONFIG_MAPS}/slash80-clusterset",
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}, "data": {"clusterset.yaml": file_of("eu")}},
        manager="gitops",
        force=True,
    )

    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu")
    assert "give --force to take it over" in capsys.readouterr().err
    assert 0 == clusters.run("apply", "-f", str(file), "-y", "--force", "eu")
    assert clusters.file("eu") == file.read_text()


@pytest.mark.parametrize("text", ["name: [", "name: world\nmembers: []\n", b"\xff".decode("latin-1")])
def test_a_file_with_a_mistake_is_applied_nowhere(
    text: str, clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence names the file, and no API server is asked."""
    file.write_bytes(text.encode("latin-1"))

    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu")
    assert f"slash80 clusterset apply: {file}" in capsys.readouterr().err
    assert not clusters.apis["eu"].seen


def test_a_file_that_is_not_there_is_named(clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """People read which command makes one; a folder in its place cannot be read."""
    file.unlink()
    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu")
    assert f"{file} does not exist; slash80 clusterset add" in capsys.readouterr().err
    file.mkdir()
    assert 1 == clusters.run("apply", "-f", str(file), "-y", "eu")
    assert f"{file} cannot be read: Is a directory" in capsys.readouterr().err
