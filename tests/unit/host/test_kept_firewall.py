"""What is kept of the firewall: written by rename, read within reason, and put back only where it was in place."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.rulesets import CLOSED, SETTINGS
from slash80.firewall.ruleset import build
from slash80.host import kept_firewall
from slash80.host.kept_firewall import KeptFirewall
from slash80.store import files

RULESET, OTHER = build(CLOSED), build(SETTINGS["open"])
VALUES = st.none() | st.booleans() | st.integers() | st.text()
JSON = st.recursive(VALUES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    """Rules, network and count are the same; only root may read them."""
    kept = KeptFirewall(RULESET, "net", 3, "the table was deleted")
    kept_firewall.write(tmp_path, kept)
    assert kept == kept_firewall.read(tmp_path)
    assert 0o600 == (tmp_path / "firewall.json").stat().st_mode & 0o777


def test_changed_settings_keep_the_count(tmp_path: Path) -> None:
    """The count is of the boot, whatever the rules were."""
    kept_firewall.write(tmp_path, KeptFirewall(RULESET, "net", 3, "the table was deleted"))
    kept_firewall.remember(tmp_path, OTHER, "net")
    assert KeptFirewall(OTHER, "net", 3, "the table was deleted") == kept_firewall.read(tmp_path)


def test_the_same_rules_are_not_written_again(tmp_path: Path) -> None:
    """Every ADD comes here."""
    kept_firewall.remember(tmp_path, RULESET, "net")
    before = files.identity(tmp_path / "firewall.json")
    kept_firewall.remember(tmp_path, RULESET, "net")
    assert before == files.identity(tmp_path / "firewall.json")


def test_what_another_process_wrote_is_noticed(tmp_path: Path) -> None:
    """The file that was read before is not taken for the one that is there now, nor for one that was deleted."""
    kept_firewall.remember(tmp_path, RULESET, "net")
    kept_firewall.remember(tmp_path, RULESET, "net")
    kept_firewall.write(tmp_path, KeptFirewall(OTHER, "net"))
    kept_firewall.remember(tmp_path, RULESET, "net")
    assert KeptFirewall(RULESET, "net") == kept_firewall.read(tmp_path)
    (tmp_path / "firewall.json").unlink()
    kept_firewall.remember(tmp_path, RULESET, "net")
    assert KeptFirewall(RULESET, "net") == kept_firewall.read(tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff", b"[]", b'{"version": 2}', b'{"version": 1}', b"1"])
def test_what_cannot_be_read_is_not_kept(tmp_path: Path, content: bytes | None) -> None:
    """A keeper without rules does nothing; the next call writes them."""
    if content is not None:
        (tmp_path / "firewall.json").write_bytes(content)
    assert kept_firewall.read(tmp_path) is None


@given(key=st.sampled_from(["version", "network", "ruleset", "repairs", "lastRepair"]), value=JSON)
def test_a_damaged_file_stops_no_call(tmp_path_factory: pytest.TempPathFactory, key: str, value: Any) -> None:  # noqa: ANN401 -- any JSON
    """Whatever stands there, it is read or it is not, and it is written again."""
    folder = tmp_path_factory.mktemp("kept")
    kept_firewall.remember(folder, RULESET, "net")
    document = json.loads((folder / "firewall.json").read_text())
    (folder / "firewall.json").write_text(json.dumps(document | {key: value}))
    kept_firewall.read(folder)
    kept_firewall.remember(folder, OTHER, "net")
    found = kept_firewall.read(folder)
    assert found
    assert (OTHER, "net") == (found.ruleset, found.network)
    assert found.repairs >= 0
