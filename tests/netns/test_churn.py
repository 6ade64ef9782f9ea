"""Churn: a short run of what `make soak` does at length, with another seed each time; a failure prints the seed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

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
    """Several processes, killed now and then, do 10,000 calls; kernel, store and every answer agree."""
    soak("soak", "--operations", "10000", "--losing", "0.1", seconds=600)


def test_plugin_killed_at_random_instants_leaves_nothing() -> None:
    """The frozen plugin is killed 150 times at random instants, and the following calls leave nothing behind."""
    soak("soak.instants", "--runs", "150", seconds=600)
