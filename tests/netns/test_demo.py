"""`make demo` as a person runs it: it shows everything as it should be, and leaves nothing, also when interrupted."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lab.namespaces import DIRECTORY
from lab.waiting import wait_until

DEMO = Path(__file__).parents[1] / "lab" / "demo.py"


def start() -> "subprocess.Popen[str]":
    """Start the demonstration."""
    if "SLASH80_ROOT" not in os.environ:
        pytest.skip("SLASH80_ROOT is not set")
    return subprocess.Popen([sys.executable, DEMO], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def namespaces(demo: "subprocess.Popen[str]") -> set[str]:
    """Name the namespaces that this demonstration has made; other tests may run meanwhile."""
    return {path.name for path in DIRECTORY.glob(f"s80t-{demo.pid}-*")}


def test_demo_shows_what_it_promises() -> None:
    """It prints both addresses, the refused probes and the times, reports no failure, and leaves no namespace."""
    with start() as demo:
        said, _ = demo.communicate(timeout=60)

    assert demo.returncode == 0
    assert "refused, no answer" in said
    assert "BAD" not in said
    assert "differ in 0 places" in said
    assert not namespaces(demo)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing(stop: signal.Signals) -> None:
    """An interrupt in the middle also removes everything."""
    with start() as demo:
        wait_until(lambda: bool(namespaces(demo)), seconds=30)
        demo.send_signal(stop)
        demo.communicate(timeout=60)

    assert demo.returncode != 0
    assert not namespaces(demo)
