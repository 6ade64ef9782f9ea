"""The time limit of tests: one that hangs ends, and shows where it hung."""

import subprocess
import sys
from pathlib import Path

import pytest

HANGING = """
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

@pytest.fixture
def clumsy():
    yield
    {leaving}

def stuck(never):
    never.wait()

@pytest.mark.timeout({seconds})
def test_hangs(clumsy):
    {body}

def test_is_the_next():
    pass
"""
WAITS = "stuck(threading.Event())"
JOINS = """with ThreadPoolExecutor() as pool:
        pool.submit(stuck, threading.Event()).result()"""


def _run(folder: Path, body: str, *, leaving: str = "pass", seconds: int = 1) -> subprocess.CompletedProcess[str]:
    """Run two tests, of which the first hangs, under the limits of this project."""
    path = folder / "test_hanging.py"
    path.write_text(HANGING.format(body=body, leaving=leaving, seconds=seconds))
    words = [sys.executable, "-m", "pytest", "-p", "no:randomly", "-p", "conftest", "-c", "/dev/null", str(path)]
    return subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)


def test_hanging_test_fails_with_its_stack(tmp_path: Path) -> None:
    """It fails after its time, the output shows the line where it hung, and the next test runs."""
    ended = _run(tmp_path, WAITS, seconds=3)

    assert "never.wait()" in ended.stdout
    assert "1 failed, 1 passed" in ended.stdout


@pytest.mark.parametrize(("body", "leaving"), [(JOINS, "pass"), (WAITS, WAITS)], ids=["test", "fixture"])
def test_uninterruptible_test_ends_the_run(tmp_path: Path, body: str, leaving: str) -> None:
    """A test or a fixture that cannot be interrupted ends the whole run, which shows the stacks of all threads."""
    ended = _run(tmp_path, body, leaving=leaving)

    assert ended.returncode
    assert "Timeout (" in ended.stderr
    assert "in stuck" in ended.stderr
