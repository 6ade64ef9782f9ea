"""Churn: a short run of what `make soak` does at length, with another seed each time; a failure prints the seed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from lab.night import at_night

TESTS = Path(__file__).resolve().parents[1]


def soak(module: str, *arguments: str, seconds: float) -> None:
    """Run a part of the soak; interrupt it as ctrl-C does when it takes too long, so that it removes what it made."""
    environ = os.environ | {"PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}"}
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            said, _ = process.communicate(timeout=seconds)
        except BaseException:
            os.killpg(process.pid, signal.SIGINT)
            raise
    assert process.returncode == 0, said


def test_churn_under_kills_agrees_with_the_model() -> None:
    """Several processes, killed now and then, do thousands of calls; kernel, store and every answer agree."""
    soak("soak", "--operations", str(at_night(10000, usual=3000)), "--losing", "0.1", seconds=600)


def test_plugin_killed_at_random_instants_leaves_nothing() -> None:
    """The frozen plugin is killed at many random instants, and the calls that follow leave nothing behind."""
    soak("soak.instants", "--runs", str(at_night(150, usual=60)), seconds=600)
