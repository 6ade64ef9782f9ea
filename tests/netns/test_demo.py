"""`make demo` as a person runs it: it shows everything as it should be, and leaves nothing, also when interrupted."""

import os
import re
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
    # as in a terminal: what a shell starts in the background ignores SIGINT, with all that it starts
    command: list[str | Path] = ["env", "--default-signal=INT", sys.executable, DEMO]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def namespaces(demo: "subprocess.Popen[str]") -> set[str]:
    """Name the namespaces that this demonstration has made; other tests may run meanwhile."""
    return {path.name for path in DIRECTORY.glob(f"s80t-{demo.pid}-*")}


@pytest.fixture(scope="module")
def said() -> str:
    """Return what a demonstration prints that nothing interrupts; it leaves no namespace."""
    with start() as demo:
        text, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, text
    assert not namespaces(demo)
    return text


def test_demo_shows_what_it_promises(said: str) -> None:
    """It prints both addresses, the refused probes and the times, and reports no failure."""
    assert "refused, no answer" in said
    assert "BAD" not in said
    assert "differ in 0 places" in said


def test_demo_joins_clusters_by_a_line_in_one_file(said: str) -> None:
    """Two clusters reach each other by their own addresses, a third one with its line in the file and not without."""
    before, listed, struck = re.split("\nOne line more.*|\nThat line is struck.*", said.partition("Act 2")[2])
    outcome = {True: "answered, source seen 2001:db8:0:3:1:", False: "refused, no answer"}
    for part, reached in ((before, False), (listed, True), (struck, False)):
        assert f"ok   pod of ap -> pod of eu: {outcome[reached]}" in part
    assert "ok   pod of us -> pod of eu: answered, source seen 2001:db8:0:2:1:" in before
    assert '- {id: ap, prefixes: ["2001:db8:0:3:1::/80"]}' in listed
    assert "ok   pod of eu -> pod of us: answered" in struck


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_demo_leaves_nothing(stop: signal.Signals) -> None:
    """An interrupt in the middle also removes everything."""
    with start() as demo:
        wait_until(lambda: bool(namespaces(demo)))
        demo.send_signal(stop)
        demo.communicate(timeout=300)

    assert demo.returncode != 0
    assert not namespaces(demo)
