"""The files that the agent writes for others."""

import json
from pathlib import Path

import pytest

from slash80.agent import files
from slash80.cni import versions
from slash80.errors import BelongsToAnother, IoFailure
from slash80.host import compiled_network
from slash80.settings import node as nodefile

HERE = Path("/run/slash80")


def test_conflist_is_not_overwritten(tmp_path: Path) -> None:
    """A plugin that was added to the conflist after slash80 stays."""
    assert files.install_conflist(tmp_path, HERE)
    path = tmp_path / "05-slash80.conflist"
    found = json.loads(path.read_bytes())
    assert ("1.0.0", ["0.3.1", "0.4.0", "1.0.0", "1.1.0"]) == (found["cniVersion"], found["cniVersions"])
    assert [("slash80", "node")] == [(plugin["type"], plugin["source"]) for plugin in found["plugins"]]
    assert [path] == [*tmp_path.iterdir()]
    assert 0o644 == path.stat().st_mode & 0o777

    found["plugins"].append({"type": "tuning"})
    path.write_text(json.dumps(found))
    assert not files.install_conflist(tmp_path, HERE)
    assert found == json.loads(path.read_bytes())


def test_a_conflist_of_the_version_before_is_written_again(tmp_path: Path) -> None:
    """It had no host ports; whatever an operator has changed in it stays."""
    path, before = tmp_path / "05-slash80.conflist", files.conflist(HERE)
    del before["plugins"][0]["capabilities"]["portMappings"]
    path.write_text(json.dumps(before))
    assert files.install_conflist(tmp_path, HERE)
    assert files.conflist(HERE) == json.loads(path.read_text())

    before["plugins"].append({"type": "portmap", "capabilities": {"portMappings": True}})
    path.write_text(json.dumps(before))
    assert not files.install_conflist(tmp_path, HERE)


def test_versions_of_the_conflist_are_compared_by_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version with two digits in a part is not older than one with a single digit, as it is for texts."""
    monkeypatch.setattr(versions, "SUPPORTED", ("0.3.0", "0.3.1", "0.10.0"))
    assert ["0.3.1", "0.10.0"] == files.conflist(HERE)["cniVersions"]


@pytest.mark.parametrize("text", ["{}", '{"plugins": [{"type": "bridge"}]}', "nonsense", "[]", '{"plugins": 5}'])
def test_foreign_conflist_is_not_overwritten(tmp_path: Path, text: str) -> None:
    """A file of the same name without slash80 in it is left alone and named in the problem."""
    (tmp_path / "05-slash80.conflist").write_text(text)
    with pytest.raises(BelongsToAnother, match=r"05-slash80\.conflist"):
        files.install_conflist(tmp_path, HERE)
    assert text == (tmp_path / "05-slash80.conflist").read_text()


def test_conflist_points_the_engine_to_node_json(tmp_path: Path) -> None:
    """What the agent writes is what the engine reads, also with another state directory."""
    (tmp_path / "node.json").write_text('{"version": 1, "ipv6": [{"prefix": "2001:db8:a:b:1::/80"}]}')
    plugin = files.conflist(tmp_path)["plugins"][0]
    assert str(tmp_path / "cni.sock") == plugin["socket"]
    found = compiled_network.read(plugin | {"name": "slash80"})
    assert ["2001:db8:a:b:1::/80"] == [str(prefix) for prefix in found.prefixes]
    assert nodefile.NAME == "node.json"


def test_cni_configurations_that_sort_first_are_named(tmp_path: Path) -> None:
    """A runtime uses the first configuration only, so those before slash80's are reported; other files are not."""
    for name in ("00-other.conf", "04-x.conflist", "05-slash80.conflist", "10-y.conflist", "00-readme", ".00.json.tmp"):
        (tmp_path / name).touch()
    assert [tmp_path / "00-other.conf", tmp_path / "04-x.conflist"] == files.earlier_than_ours(tmp_path)
    assert [] == files.earlier_than_ours(tmp_path / "nowhere")


def test_file_is_replaced_atomically(tmp_path: Path) -> None:
    """A file replaces an older one and the half-written remains of a killed writer as a whole."""
    (tmp_path / ".a.json.tmp").write_text("half of something longer than that")
    files.write(tmp_path / "a.json", files.text({"a": 1}))
    assert {"a": 1} == files.read(tmp_path / "a.json")
    assert 0o600 == (tmp_path / "a.json").stat().st_mode & 0o777
    with pytest.raises(IoFailure, match="cannot be written"):
        files.write(tmp_path / "no/a.json", "")
    assert files.read(tmp_path / "none") is None
    (tmp_path / "a.json").write_text("[1")
    assert files.read(tmp_path / "a.json") is None


def test_a_conflist_shares_nothing_with_the_next_one() -> None:
    """Who changes the one that was returned changes no capability of those to come."""
    files.conflist(HERE)["plugins"][0]["capabilities"].clear()

    assert files.conflist(HERE)["plugins"][0]["capabilities"]


def test_conflist_declares_what_the_example_declares() -> None:
    """A runtime passes on an argument only if its capability is true in the configuration."""
    example = json.loads((Path(__file__).parents[3] / "cni/05-slash80.conflist").read_text())

    assert example["plugins"][0]["capabilities"] == files.conflist(HERE)["plugins"][0]["capabilities"]
    assert all(value is True for value in example["plugins"][0]["capabilities"].values())
