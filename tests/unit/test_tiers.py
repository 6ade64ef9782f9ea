"""Tiers side by side: all run, nothing is mixed up, failures are named, and a signal ends all of it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.waiting import wait_until

# It stands in for make. A tier is what its name says; the two of a rendezvous end only if both run at once.
MAKE = """#!/bin/sh
cd "${0%/*}"
echo "$1 begins"
case $1 in
    good) ;;
    bad) exit 3 ;;
    giving) echo something > rendezvous ;;
    taking) cat < rendezvous ;;
    waiting) trap 'echo cleaned; exit 1' INT; sleep 60 & touch waits; wait; kill $! ;;
esac
echo "$1 ends"
"""


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    """Return the command line to which the lanes are added."""
    make = tmp_path / "make"
    make.write_text(MAKE)
    make.chmod(0o755)
    os.mkfifo(tmp_path / "rendezvous")
    return [sys.executable, "-m", "tiers", f"--make={make}", f"--logs={tmp_path}"]


def run(command: list[str], *words: str) -> tuple[int, list[str]]:
    """Run it to its end, and return exit code and printed lines."""
    done = subprocess.run([*command, *words], stdout=subprocess.PIPE, text=True, check=False, timeout=60)
    return done.returncode, done.stdout.splitlines()


def ended(lines: list[str]) -> dict[str, str]:
    """Return how each tier ended, as the last lines say."""
    told = [line.split() for line in lines if line.startswith("make ")]
    return {words[1]: words[-1] for words in told}


def test_lanes_of_tiers_run_side_by_side(command: list[str]) -> None:
    """Two tiers that wait for each other both pass, and the lines of the second lane follow those of the first."""
    code, lines = run(command, "taking,good", "giving")

    assert 0 == code
    first = ["taking begins", "something", "taking ends", "good begins", "good ends"]
    assert [*first, "giving begins", "giving ends"] == lines[1:8]
    assert {"taking": "passed", "good": "passed", "giving": "passed"} == ended(lines)


@pytest.mark.parametrize(("lanes", "failed"), [(["bad,good", "taking"], "bad"), (["good", "bad"], "bad")])
def test_failed_tier_is_named_and_the_others_run(command: list[str], lanes: list[str], failed: str) -> None:
    """With --keep-going every tier of every lane runs, and the exit code says that one failed."""
    lanes = [*lanes, "giving"] if "taking" in lanes else lanes
    code, lines = run(command, "--keep-going", *lanes)

    assert 1 == code
    assert [failed] == [tier for tier, how in ended(lines).items() if how == "FAILED"]
    assert set(",".join(lanes).split(",")) == set(ended(lines))
    assert "run" not in ended(lines).values()


def test_first_failed_tier_stops_the_others(command: list[str], tmp_path: Path) -> None:
    """Without --keep-going no tier of the lane follows, and the one beside it is interrupted and cleans up."""
    make = tmp_path / "make"
    make.write_text(MAKE.replace("bad) exit", "bad) while [ ! -e waits ]; do :; done; exit"))
    code, lines = run(command, "bad,good", "waiting")

    assert 1 == code
    assert {"bad": "FAILED", "good": "run", "waiting": "stopped"} == ended(lines)
    assert "cleaned" in lines


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_interrupts_all_tiers(command: list[str], tmp_path: Path, number: signal.Signals) -> None:
    """Each tier is interrupted once and waited for, no other starts, and the exit code names the signal."""
    with subprocess.Popen([*command, "good", "waiting,good"], stdout=subprocess.PIPE, text=True) as process:
        wait_until((tmp_path / "waits").exists)
        process.send_signal(number)
        said, _ = process.communicate(timeout=60)

    assert 128 + number == process.returncode
    assert 1 == said.count("cleaned")
    assert "waiting ends" not in said
