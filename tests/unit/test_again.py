"""A tier in which a few tests failed: they are run once more, and named."""

from pathlib import Path

import pytest

import again

# Each fails unless its file is there, which it makes: so it passes the second time, or never.
_ONCE = """
from pathlib import Path

import pytest


@pytest.mark.parametrize("number", range({number}))
def test_once(number: int) -> None:
    mark = Path(__file__).with_name(f"{{number}}")
    there = mark.exists()
    mark.touch()
    assert there and {second}
"""


def _code(folder: Path, *, number: int, second: bool) -> int:
    tests = folder / "test_tier.py"
    tests.write_text(_ONCE.format(number=number, second=second))
    return again.main(["-q", "-c", "/dev/null", "--rootdir", str(folder), str(tests)])


def test_what_passes_by_itself_is_named_and_fails_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Who reads the log sees each of them."""
    assert _code(tmp_path, number=2, second=True) == 0
    assert capfd.readouterr().out.count("PASSED ONLY WHEN RUN AGAIN") == 2


def test_what_fails_again_fails_the_tier(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """A second chance is the last one."""
    assert _code(tmp_path, number=1, second=False) == 1
    assert "FAILED AGAIN" in capfd.readouterr().out


def test_many_failures_are_not_run_again(tmp_path: Path) -> None:
    """Four would pass the second time, but are not chance."""
    assert _code(tmp_path, number=4, second=True) == 1
    assert _code(tmp_path, number=4, second=True) == 0
