"""Run a tier, and what failed in it once more by itself: python -m again PYTEST-ARGUMENTS.

On a busy machine one of 1400 tests may fail by chance. That must not hide: each is named at the end, with both of its
runs in the log, and is a fault to be found. More than three are not chance.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

_MOST = 3


def main(arguments: Sequence[str]) -> int:
    """Return pytest's exit code, or 0 where the few tests that failed have passed by themselves."""
    with tempfile.TemporaryDirectory() as folder:
        code = _run(folder, *arguments)
        failed = _failed(Path(folder))
        if code != 1 or not 0 < len(failed) <= _MOST:
            return code
        print(f"=== run again by itself: {', '.join(failed)}", flush=True)
        code = _run(folder, "--last-failed", "-p", "no:randomly", *arguments)
    for name in failed:
        print(f"=== {'FAILED AGAIN' if code else 'PASSED ONLY WHEN RUN AGAIN, find out why'}: {name}")
    return code


def _run(folder: str, *arguments: str) -> int:
    kept = ["-o", "addopts=-ra", "-o", f"cache_dir={folder}"]  # with its memory of what failed
    return subprocess.run([sys.executable, "-m", "pytest", *kept, *arguments], check=False).returncode


def _failed(folder: Path) -> list[str]:
    found = folder / "v/cache/lastfailed"
    return sorted(json.loads(found.read_text())) if found.exists() else []


if __name__ == "__main__":
    signal.signal(signal.SIGINT, lambda *_: None)  # pytest gets it as well, and removes what its tests made
    sys.exit(main(sys.argv[1:]))
