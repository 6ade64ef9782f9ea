"""The fuzz target, for a short while; `make fuzz` runs it for longer."""

import os
import subprocess
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
SECONDS = 20


@pytest.fixture
def python() -> str:
    """The interpreter that has atheris."""
    found = os.environ.get("SLASH80_FUZZ", "")
    if not (found and (Path(found).parents[1] / "complete").exists()):
        pytest.skip("atheris is not installed: it has no wheel for this Python and machine, or make was not used")
    return found


def test_short_fuzz_run_finds_nothing(python: str, tmp_path: Path) -> None:
    """All seeds, among them earlier findings, and some thousand cases near them satisfy the oracle."""
    done = subprocess.run(
        [python, str(TESTS / "fuzz" / "target.py"), str(tmp_path), f"-max_total_time={SECONDS}", "-seed=1"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{TESTS.parent / 'src'}:{TESTS}"},
        capture_output=True,
        check=False,
        timeout=SECONDS + 600,
    )

    assert done.returncode == 0, _told(done.stderr)
    assert list(tmp_path.glob("crash-*")) == []
    assert b"Done " in done.stderr, _told(done.stderr)


def _told(stderr: bytes) -> str:
    """Return what libFuzzer said at the end, where the violation is."""
    return stderr.decode(errors="replace")[-4000:]
