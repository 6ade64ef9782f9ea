"""The launcher's reader of configurations under libFuzzer, for a few seconds; `make fuzz-launcher` takes longer."""

import subprocess
from pathlib import Path


def test_the_reader_stands_any_bytes(tmp_path: Path) -> None:
    """From the seeds on, with the sanitizers watching: nothing is read or written that is not its own."""
    words: list[str | Path] = ["build/launcher-fuzz", tmp_path, "tests/fuzz/launcher"]
    done = subprocess.run([*words, "-max_total_time=8", "-timeout=60"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr
