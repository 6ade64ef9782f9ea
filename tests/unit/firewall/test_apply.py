"""Running nft: what it is given, and what becomes of what it says."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.rulesets import CLOSED
from slash80.errors import FirewallUnusable
from slash80.firewall import apply
from slash80.firewall.elements import of_attachments
from slash80.firewall.ruleset import build
from unit.builders import attachment

RULESET = build(CLOSED)
Install = Callable[[str], Path]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Install:
    """Return a function that installs a shell script as the node's only nft; it runs in the directory that it gives."""
    monkeypatch.setattr(apply, "FOLDERS", (str(tmp_path / "none"), str(tmp_path)))

    def write(script: str) -> Path:
        (tmp_path / "nft").write_text(f"#!/bin/sh\ncd {tmp_path}\n{script}\n")
        (tmp_path / "nft").chmod(0o755)
        return tmp_path

    return write


def test_the_table_is_replaced_in_one_script(install: Install) -> None:
    """A missing table is created, an existing one deleted and created again, in one transaction."""
    folder = install('echo "$@" > arguments; /bin/cat > script')
    apply.replace(RULESET, "fingerprint net")
    script = (folder / "script").read_text()

    assert "-f -\n" == (folder / "arguments").read_text()
    assert script.startswith("table inet slash80\ndelete table inet slash80\ntable inet slash80 {\n")
    assert '\nadd chain inet slash80 about { comment "fingerprint net" ; }\n' in script
    assert RULESET.text in script


def test_elements_are_written_in_the_same_script(install: Install) -> None:
    """A line for each set follows the skeleton, so that nft commits both or neither."""
    folder = install("/bin/cat > script")
    apply.replace(RULESET, "x", of_attachments([attachment(1), attachment(2)]))

    host_ends = sorted(attachment(number).host_ifname for number in (1, 2))
    lines = (folder / "script").read_text().splitlines()
    added = lines[lines.index("}") + 2 :][:2]
    assert ["pods4", "pods6"] == [line.split()[4] for line in added]
    assert all(f'"{name}" . ' in line for line in added for name in host_ends)


def test_a_kernel_without_tables_for_arp_has_the_firewall_all_the_same(install: Install) -> None:
    """It may be built so; pods are as closed then, and only the gateway's address is answered for on every link."""
    folder = install("/bin/cat > script; ! /bin/grep 'table arp' script || exit 1")
    apply.replace(RULESET, "x")
    assert RULESET.text in (folder / "script").read_text()

    apply.remove()
    assert "table inet slash80\ndelete table inet slash80\n" == (folder / "script").read_text()


def test_a_check_changes_nothing(install: Install) -> None:
    """`nft --check` is given the same script."""
    folder = install('echo "$@" > arguments; /bin/cat > script')
    apply.check(RULESET, 5)

    assert "--check -f -\n" == (folder / "arguments").read_text()
    assert RULESET.text in (folder / "script").read_text()


def test_nothing_of_the_environment_reaches_nft(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library to be loaded before all others, for example, was meant for the caller alone."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nowhere")
    folder = install("/bin/cat > script; /usr/bin/env > environment")
    apply.replace(RULESET, "")

    assert "LD_LIBRARY_PATH" not in (folder / "environment").read_text()


def test_a_refusal_is_told_in_nfts_words(install: Install) -> None:
    """The first line is in the message, and the script in the details, ready to be tried again."""
    install("/bin/cat > script; echo 'Error: no such hook' >&2; echo more >&2; exit 1")
    with pytest.raises(FirewallUnusable, match="nft refuses the base firewall: Error: no such hook;") as caught:
        apply.replace(RULESET, "x")

    assert RULESET.text in caught.value.details


def test_a_silent_refusal_is_told_by_its_exit_code(install: Install) -> None:
    """There is always something to look for."""
    install("/bin/cat > script; exit 3")

    with pytest.raises(FirewallUnusable, match="exit code 3"):
        apply.replace(RULESET, "")


def test_nft_has_its_time(install: Install) -> None:
    """A call must end before the runtime gives it up."""
    install("exec /bin/sleep 30")

    with pytest.raises(FirewallUnusable, match=r"did not finish within 0\.05 s"):
        apply.check(RULESET, 0.05)


def test_a_node_without_nft_is_told(install: Install) -> None:
    """The error names the folders that were searched, and what to install."""
    with pytest.raises(FirewallUnusable, match=r"no program 'nft' in .*install the plugin again"):
        apply.replace(RULESET, "")


def test_an_nft_that_cannot_be_run_is_told(install: Install) -> None:
    """A program for another machine is reported with the system's own reason."""
    (install("") / "nft").write_text("\x7fELF?")

    with pytest.raises(FirewallUnusable, match="nft cannot be run: Exec format error"):
        apply.replace(RULESET, "")


def test_the_nft_beside_the_engine_comes_first(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its version is ours on any node; one that cannot be run is reported, and the node's is not used instead."""
    folder = install("echo of the node > who; /bin/cat > script")
    shipped = tmp_path / "engine/nft"
    shipped.parent.mkdir()
    shipped.write_text(f"#!/bin/sh\ncd {folder}; echo shipped > who; /bin/cat > script\n")
    shipped.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(shipped.with_name("engine")))
    apply.replace(RULESET, "")
    assert "shipped\n" == (folder / "who").read_text()

    shipped.chmod(0o644)
    with pytest.raises(FirewallUnusable, match="nft cannot be run: Permission denied"):
        apply.replace(RULESET, "")


def test_a_long_script_of_policies_has_more_time(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nft may take grows with what it has to load, and the error says how long it was waited for."""
    monkeypatch.setattr(apply, "_SECONDS", 0.0)
    install("read line")  # which ends when all was written
    with pytest.raises(FirewallUnusable, match=r"within 0 s"):
        apply.load("", "the table of NetworkPolicies")
    apply.load("\n" * 2_000_000, "the table of NetworkPolicies")
