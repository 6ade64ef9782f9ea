"""`slash80 clusterset add`: an entry for each cluster, from what it says of itself, in a file that people keep."""

import json
from pathlib import Path

import pytest

from lab.kube import CONFIG_MAPS, PODS, config_map, pod
from slash80.clusterset import identity
from slash80.settings.clusterset import Clusterset, Place, in_base64, parse
from unit.cli.clusterset.clusters import SECRETS, Clusters, secret
from unit.cli.clusterset.members import PREFIXES, file_of, key

ALL = ("--namespaces", "*")


@pytest.fixture
def file(tmp_path: Path, clusters: Clusters) -> Path:
    """Return the path of a file that does not exist; the clusters say which prefixes their pods have."""
    for name in clusters.apis:
        has_prefixes(clusters, name, PREFIXES[name])
    return tmp_path / "world.yaml"


def has_prefixes(clusters: Clusters, name: str, *prefixes: str) -> None:
    """Have a cluster's settings say which prefixes its pods have."""
    text = json.dumps({"firewall": {"clusterPrefixes": prefixes}})
    clusters.apis[name].put(CONFIG_MAPS, config_map("slash80", **{"config.yaml": text}))


def read(file: Path) -> Clusterset:
    """Return what a file says."""
    return parse(file.read_text(), str(file))


def test_two_clusters_are_a_file(clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each has an entry with certificate, prefixes and the address of its program; the file names the clusterset."""
    for name, api in clusters.apis.items():
        program = pod("p", "slash80-system", "p", [PREFIXES[name].replace("::/56", "::7"), "10.1.1.1"])
        program["metadata"]["labels"] = {"app.kubernetes.io/name": "slash80-clusterset"}
        api.put(PODS, program)
        api.objects["/api/v1/namespaces/slash80-system/pods"] = api.objects[PODS]

    assert 0 == clusters.run("add", "-f", str(file), *ALL, "eu", "us")
    found = read(file)
    assert "world" == found.name
    assert [("eu", PREFIXES["eu"]), ("us", PREFIXES["us"])] == [(one.id, str(one.prefixes[0])) for one in found.members]
    assert [(key("eu").der,), (key("us").der,)] == [one.certificates for one in found.members]
    assert [(Place("2001:db8:1::7", 8180),), (Place("2001:db8:2::7", 8180),)] == [one.at for one in found.members]
    assert {("*",)} == {one.namespaces for one in found.members}
    out = capsys.readouterr().out
    assert f"eu: added to {file} as eu with {PREFIXES['eu']}" in out
    assert out.endswith(f"next: slash80 clusterset apply -f {file}, with the contexts of all members\n")


def test_what_is_listed_is_not_written_again(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file stays the same file, and no namespaces are asked for."""
    file.write_text(file_of("eu", "us"))
    before = file.stat()

    assert 0 == clusters.run("add", "-f", str(file), "eu", "us")
    assert capsys.readouterr().out.endswith(f"us: in {file} as us already\n")
    assert 0 == clusters.run("add", "-f", str(file), "--namespaces", "shop, web", "us")
    assert f"us: its namespaces stay *; change them in {file}\n" in capsys.readouterr().out
    assert (before.st_ino, before.st_mtime_ns) == (file.stat().st_ino, file.stat().st_mtime_ns)


def test_comments_mode_and_links_stay(clusters: Clusters, file: Path) -> None:
    """People's file is extended where it is, as it is."""
    kept = file.with_name("kept.yaml")
    kept.write_text(f"# ours\n{file_of('eu')}  # eu is the first\n")
    kept.chmod(0o640)
    file.symlink_to(kept)

    assert 0 == clusters.run("add", "-f", str(file), *ALL, "--at", "us.example.net:8180", "us")
    text = kept.read_text()
    assert text.startswith("# ours\n")
    assert text.index("eu is the first") < text.index("id: us")
    assert 0o640 == kept.stat().st_mode & 0o777
    assert file.is_symlink()
    assert (Place("us.example.net", 8180),) == read(file).members[1].at


def test_a_changed_certificate_is_listed_beside_the_old_one(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People read that it changed and which one to strike later; a third one is refused."""
    file.write_text(file_of("eu", "us"))
    new, newer = identity.create(), identity.create()
    clusters.apis["us"].put(SECRETS, secret(new))

    assert 0 == clusters.run("add", "-f", str(file), "us")
    assert "strike the first one (sha256:" in capsys.readouterr().out
    assert (key("us").der, new.der) == read(file).members[1].certificates
    clusters.apis["us"].put(SECRETS, secret(newer))
    assert 1 == clusters.run("add", "-f", str(file), "us")
    assert "has 2 certificates already" in capsys.readouterr().err
    assert in_base64(newer.der) not in file.read_text()


def test_another_cluster_of_the_same_id_is_no_changed_certificate(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster whose pods have other prefixes needs an id of its own."""
    file.write_text(file_of("eu"))

    assert 1 == clusters.run("add", "-f", str(file), "--id", "eu", *ALL, "us")
    assert "so it is another one; give it an --id of its own" in capsys.readouterr().err
    assert file.read_text() == file_of("eu")


def test_new_prefixes_are_added_and_old_ones_are_named(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Trust grows by what the cluster says, and shrinks by people's hand only."""
    file.write_text(file_of("eu", "us"))
    has_prefixes(clusters, "us", "2001:db8:9::/56")

    assert 0 == clusters.run("add", "-f", str(file), "us")
    out = capsys.readouterr().out
    assert f"us: in {file} as us with 2001:db8:9::/56 more" in out
    assert f"nothing of {PREFIXES['us']} any more" in out
    assert (PREFIXES["us"], "2001:db8:9::/56") == tuple(map(str, read(file).members[1].prefixes))


def test_ipv4_is_left_out_unless_it_is_routed(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Private IPv4 is the same in most clusters, so it is listed when people say so."""
    has_prefixes(clusters, "eu", PREFIXES["eu"], "10.80.0.0/16")

    assert 0 == clusters.run("add", "-f", str(file), *ALL, "eu")
    assert "10.80.0.0/16 of its clusterPrefixes is left out" in capsys.readouterr().out
    file.unlink()
    assert 0 == clusters.run("add", "-f", str(file), *ALL, "--with-ipv4", "eu")
    assert (PREFIXES["eu"], "10.80.0.0/16") == tuple(map(str, read(file).members[0].prefixes))


def test_a_cluster_without_prefixes_is_refused(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """People read which key to set, and nothing is written."""
    clusters.apis["eu"].put(CONFIG_MAPS, config_map("slash80", **{"config.yaml": ""}))

    assert 1 == clusters.run("add", "-f", str(file), *ALL, "eu")
    assert "has no firewall.clusterPrefixes" in capsys.readouterr().err
    assert not file.exists()


def test_one_that_is_not_ready_does_not_keep_the_others_out(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A cluster with an empty Secret is named, the other one gets its entry, and the exit code is 1."""
    clusters.apis["eu"].put(SECRETS, secret(None))

    assert 1 == clusters.run("add", "-f", str(file), *ALL, "-o", "json", "eu", "us")
    eu, us = json.loads(capsys.readouterr().out)
    assert "has not put its certificate into the Secret" in eu["problem"]
    assert ("us", "added", [PREFIXES["us"]]) == (us["id"], us["change"], us["prefixes"])
    assert ["us"] == [one.id for one in read(file).members]


@pytest.mark.parametrize(
    "arguments", [["eu"], ["--id", "x", *ALL, "eu", "us"], [*ALL, "--at", "nowhere", "eu"], ["--namespaces", "", "eu"]]
)
def test_wrong_usage_writes_nothing(arguments: list[str], clusters: Clusters, file: Path) -> None:
    """Without namespaces and a terminal, with an id for two clusters, or a place that is not one, the code is 2."""
    assert 2 == clusters.run("add", "-f", str(file), *arguments)
    assert not file.exists()


def test_namespaces_are_asked_on_a_terminal(clusters: Clusters, file: Path, terminal: list[str]) -> None:
    """What a person types is written out."""
    terminal.append("shop, web\n")

    assert 0 == clusters.run("add", "-f", str(file), "eu")
    assert ("shop", "web") == read(file).members[0].namespaces


def test_a_context_that_is_no_label_needs_an_id(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Names as clouds give them to contexts are refused with the option that helps, which then does."""
    config = clusters.kubeconfig.read_text()
    clusters.kubeconfig.write_text(config.replace('{"name": "eu", "context"', '{"name": "arn:aws:eu/1", "context"'))

    assert 1 == clusters.run("add", "-f", str(file), *ALL, "arn:aws:eu/1")
    assert "arn:aws:eu/1 cannot be its name" in capsys.readouterr().err
    assert 0 == clusters.run("add", "-f", str(file), *ALL, "--id", "eu", "--name", "planet", "arn:aws:eu/1")
    assert ("planet", "eu") == (read(file).name, read(file).members[0].id)
    assert 1 == clusters.run("add", "-f", str(file), "--name", "other", "arn:aws:eu/1")


def test_a_file_is_checked_whole_before_it_is_written(
    clusters: Clusters, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A prefix that another member has is named with both members, and the file stays."""
    file.write_text(file_of("eu"))
    has_prefixes(clusters, "us", "2001:db8::/33")

    assert 1 == clusters.run("add", "-f", str(file), *ALL, "us")
    assert "which overlap; give each its own" in capsys.readouterr().err
    assert file.read_text() == file_of("eu")
