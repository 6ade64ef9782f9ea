"""`slash80 firewall repair`, which keeps the wall of a node without an agent when something calls it."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import snapshot
from lab.attacker import Attacker
from lab.namespaces import Namespace
from lab.probes import Server, ping
from lab.rig import Rig
from lab.topology import INTERNET6
from netns.conftest import root
from netns.test_closed import assert_closed
from netns.test_keeper import BREAKAGES

UNITS = Path(__file__).parents[2] / "cni"


def repaired(rig: Rig) -> tuple[int, str]:
    """Run the command, and return its exit code and all that it says."""
    words: list[str | Path] = [root() / "opt/cni/bin/slash80", "firewall", "repair", "--state-dir", rig.state_dir]
    done = rig.host.run(
        lambda: subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    )
    return done.returncode, done.stdout


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_the_table_is_put_back_without_a_pod(routed: Rig, attacker: Attacker, breakage: str) -> None:
    """As it was, with the elements of the pods that run; it says what it found, and the next time nothing."""
    pod = routed.attach()
    before = snapshot.ruleset(routed.host)
    BREAKAGES[breakage](routed.host)
    code, said = repaired(routed)

    assert (0, True) == (code, said.startswith("pods were open until the firewall was put back: "))
    assert before == snapshot.ruleset(routed.host)
    with Server(pod.pod):
        assert_closed(attacker, pod)
    assert ping(pod.pod, INTERNET6) == 1
    assert (0, "") == repaired(routed)


SPOILS: dict[str, Callable[[Namespace], object]] = {
    "pods' addresses": lambda host: host.nft("flush set inet slash80 pods6"),
    "the node's addresses": lambda host: host.nft("flush set inet slash80 own6"),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_the_table_says_of_pods_and_node_is_put_right(rig: Rig, spoil: str) -> None:
    """These sets change with every pod, so they are no part of what the rules have to be."""
    rig.attach()
    before = snapshot.ruleset(rig.host)
    SPOILS[spoil](rig.host)

    assert (0, "what the firewall says of pods and of the node was put right\n") == repaired(rig)
    assert before == snapshot.ruleset(rig.host)


def test_before_the_first_pod_nothing_is_made(rig: Rig) -> None:
    """Neither a table nor a state directory."""
    code, said = repaired(rig)

    assert (0, True) == (code, "nothing to put back" in said)
    assert not rig.state_dir.exists()
    assert "slash80" not in rig.host.command("nft", "list", "tables")


def test_a_table_that_cannot_be_put_back_is_a_failure(rig: Rig) -> None:
    """One sentence, and an exit code with which systemd calls the unit failed."""
    rig.attach()
    rig.host.nft("flush ruleset")
    (rig.state_dir / "locks").chmod(0o777)
    code, said = repaired(rig)

    assert (1, 1) == (code, said.count("\n"))
    assert said.startswith("slash80 firewall repair: ")


def test_systemd_understands_the_units(tmp_path: Path) -> None:
    """It names what it does not know, such as a misspelt key, and programs that are missing."""
    if not shutil.which("systemd-analyze"):
        pytest.skip("systemd is not installed")
    names = [path.name for path in UNITS.iterdir() if path.suffix in {".service", ".timer"}]
    for name in names:
        text = (UNITS / name).read_text().replace("/opt/cni/bin/slash80", str(root() / "opt/cni/bin/slash80"))
        (tmp_path / name).write_text(text)
    words: list[str | Path] = ["systemd-analyze", "verify", *(tmp_path / name for name in names)]
    done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    assert ([], 0) == ([line for line in done.stdout.splitlines() if "slash80" in line], done.returncode)
