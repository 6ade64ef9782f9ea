"""Other programs: a failure is reported with their own output, and no call hides it."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import programs
from lab.programs import ProgramFailed

ROOT = Path(__file__).parents[3]
COMPLAINS = "import os, sys; print('one'); print('two', file=sys.stderr); sys.stdout.flush(); "


def test_program_that_succeeds_returns_its_output() -> None:
    """It gets the caller's input and environment, and only its standard output is returned."""
    script = "import os, sys; print(sys.stdin.read() + os.environ['WORD']); print('chatter', file=sys.stderr)"

    assert "read set\n" == programs.run([sys.executable, "-c", script], stdin="read ", environ={"WORD": "set"})


@pytest.mark.parametrize(
    ("end", "how"), [("sys.exit(3)", "exit code 3"), ("os.kill(os.getpid(), 9)", "ended by SIGKILL")]
)
def test_failed_program_is_reported_with_its_output(end: str, how: str) -> None:
    """The message has the command, how it ended, and what it wrote to both streams."""
    with pytest.raises(ProgramFailed) as caught:
        programs.run([sys.executable, "-c", COMPLAINS + end])

    command, _, said = str(caught.value).partition(f"': {how}: ")
    assert command.startswith(f"{sys.executable} -c 'import os")
    assert "one\ntwo" == said


def test_silent_failure_of_a_program_says_so() -> None:
    """The message says that the program wrote nothing."""
    with pytest.raises(ProgramFailed, match=r"^false: exit code 1: it said nothing$"):
        programs.run(["false"])


def test_long_program_output_is_cut_at_the_front() -> None:
    """A build's last words say why it failed, and thousands of lines before them do not hide it."""
    script = "import sys; [print('line', n) for n in range(10000)]; sys.exit('the reason')"
    with pytest.raises(ProgramFailed) as caught:
        programs.run([sys.executable, "-c", script])

    assert str(caught.value).endswith("line 9999\nthe reason")
    assert len(str(caught.value)) < 10_000


def test_program_that_times_out_is_killed_and_reported() -> None:
    """The message has what the program wrote until then."""
    with pytest.raises(ProgramFailed, match=r"did not end within 5 s: one\ntwo$"):
        programs.run(["/bin/sh", "-c", "echo one; echo two >&2; exec sleep 600"], seconds=5)


def test_missing_program_is_named(tmp_path: Path) -> None:
    """The message has the path that is missing."""
    with pytest.raises(ProgramFailed, match=f"{tmp_path}/nothing --help: cannot be run: No such file or directory"):
        programs.run([tmp_path / "nothing", "--help"])


def _calls(path: Path) -> Iterator[tuple[int, set[str], bool]]:
    """Yield each call in a source file: its line, the names of its keywords, and whether it says check=True."""
    for found in ast.walk(ast.parse(path.read_text())):
        if isinstance(found, ast.Call):
            checked = any(k.arg == "check" and getattr(k.value, "value", False) is True for k in found.keywords)
            yield found.lineno, {k.arg for k in found.keywords if k.arg}, checked


def test_no_call_hides_the_output_of_a_failed_program() -> None:
    """No call that raises CalledProcessError captures or discards standard error, which that exception omits."""
    sources = (path for folder in ("src", "tests", "bench", "cni") for path in (ROOT / folder).rglob("*.py"))
    silent = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources
        for line, keywords, checked in _calls(path)
        if checked and keywords & {"capture_output", "stderr"}
    ]

    assert [] == silent
