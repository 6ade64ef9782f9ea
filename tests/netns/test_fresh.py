"""The namespaces in which `make fresh` runs: a user who stops it must not find anything of it left."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

_CONTAINED = Path(__file__).parents[1] / "fresh/contained.sh"
_COMMAND = """
import pathlib, signal, sys
signal.signal(signal.SIGTERM, signal.default_int_handler)
try:
    print("ready", flush=True)
    signal.pause()
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1]).write_text("removed")
    sys.exit(7)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_make_fresh_passes_signals_on_and_waits(tmp_path: Path, number: signal.Signals) -> None:
    """A signal is passed to the command inside, and the wrapper ends after it, with its exit code."""
    trace = tmp_path / "trace"
    command: list[str | Path] = [_CONTAINED, sys.executable, "-c", _COMMAND, trace]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(number)
            code = process.wait(timeout=300)
            assert (7, "removed") == (code, trace.read_text())
        finally:
            process.kill()
