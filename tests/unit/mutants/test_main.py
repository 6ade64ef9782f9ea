"""The choice of faults, and what is said of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from mutants import __main__ as tool
from mutants.__main__ import Trial, Verdict
from mutants.operators import mutations
from mutants.reach import Reach, Traced, Untraceable
from mutants.sandbox import Ended, Sandbox, Unusable

ROOT = Path(__file__).parents[3]
PATH, BEFORE, AFTER = "src/slash80/m.py", "def f():\n    return 3\n", "def f():\n    return None\n"
(FAULT,) = (one for one in mutations(PATH, BEFORE) if one.operator == "return None")


def test_each_listed_equivalent_is_a_fault_of_this_tree() -> None:
    """An entry whose line has changed since is out of date, and would excuse another fault one day."""
    listed = tool.equivalents().keys()
    found = {
        (path, one.after[0].strip())
        for path in {path for path, _ in listed}
        for one in mutations(path, (ROOT / path).read_text())
    }

    assert listed <= found


def test_each_chosen_fault_is_in_another_line() -> None:
    """Of a line with many faults one is tried, so that long lines do not make up the score."""
    found = mutations("m.py", "def f():\n    return a < 3 and b\n    go(a, 5)\n")
    chosen = tool.choose(found, seed=1, count=60)

    assert {2, 3} == {one.first for one in chosen}
    assert 2 == len(chosen)


def test_a_place_may_name_a_line() -> None:
    """So the mutants of one line are tried again after its tests were changed."""
    path = "tests/mutants/operators.py"
    line = 1 + (ROOT / path).read_text().splitlines().index("            yield from _constant(node)")

    assert {line} == {one.first for one in tool.candidates([f"{path}:{line}"])}


@dataclass
class Box:
    """A sandbox in which the tests named in `alert` notice a fault; it records what ran on what text."""

    tree: Path
    alert: str
    runs: list[tuple[str, str]] = field(default_factory=list)

    def notice(self, _: object, tests: Sequence[Traced]) -> str:
        """Take the place of a run of pytest."""
        names = ",".join(test.name.rpartition("::")[2] for test in tests)
        self.runs.append((names, (self.tree / PATH).read_text()))
        return f"{self.alert} failed" if self.alert in names else ""

    def judge(self, *seconds: float, budget: float = 60) -> Verdict:
        """Try the fault of a file with a test for each of these times."""
        (self.tree / PATH).parent.mkdir(parents=True)
        (self.tree / PATH).write_text(BEFORE)
        reach = Reach([Traced(f"tests/unit/test_x.py::takes{took:g}", took, {PATH: {2}}) for took in seconds])
        verdict = Verdict(FAULT)
        Trial(reach, budget, self.notice).judge(cast("Sandbox", self), verdict)
        return verdict


def test_a_fault_is_there_only_while_the_tests_run(tmp_path: Path) -> None:
    """The next mutant of the same copy begins with the file as it was, and the verdict has what noticed this one."""
    box = Box(tmp_path, "takes1")
    verdict = box.judge(1)

    assert [("takes1", AFTER)] == box.runs
    assert "takes1 failed" == verdict.killed_by
    assert BEFORE == (tmp_path / PATH).read_text()


def test_a_fault_that_no_test_notices_survives(tmp_path: Path) -> None:
    """The sentence has its place, the changed lines and the tests that passed."""
    said = Box(tmp_path, "no test").judge(1).sentence()

    assert all(part in said for part in (f"SURVIVED  {PATH}:2", "+    return None", "1 of 1 tests", "::takes1"))


def test_a_fault_that_is_argued_to_change_nothing_is_counted_and_printed_with_the_reason() -> None:
    """A list that took such faults out of the choice would raise the score unseen."""
    (path, line), reason = next(iter(tool.equivalents().items()))
    fault = next(one for one in tool.candidates([path]) if one.after[0].strip() == line)

    assert f"changes nothing: {reason}" in Verdict(fault).sentence()


def test_a_fault_that_no_test_reaches_is_told_so(tmp_path: Path) -> None:
    """Nothing is run for it."""
    box = Box(tmp_path, "no test")

    assert "no test reaches it" in box.judge().sentence()
    assert [] == box.runs


def test_tests_that_would_take_too_long_are_left_out(tmp_path: Path) -> None:
    """The shortest come first; one is run in any case."""
    box = Box(tmp_path, "no test")
    box.judge(5, 2, 4, budget=6)

    assert ["takes2,takes4"] == [names for names, _ in box.runs]


@pytest.mark.parametrize("error", [Untraceable("nothing to tell"), Unusable("nothing to tell")])
def test_a_run_that_cannot_tell_anything_ends_with_a_sentence(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No score is printed where tests fail without a fault or cannot be run, and the exit code is that of no score."""

    def unable(*_: object) -> None:
        raise error

    monkeypatch.setattr(tool, "_judge", unable)
    monkeypatch.setattr("sys.argv", ["make mutants", "tests/mutants/reach.py"])

    assert 2 == tool.main()
    said = capsys.readouterr()
    assert ("", "make mutants: nothing to tell\n") == (said.out, said.err)


@dataclass
class Busy:
    """A sandbox in which tests fail: each in its first so many runs."""

    out: Path
    failures: dict[str, int]
    runs: list[list[str]] = field(default_factory=list)

    def run(self, command: Sequence[str], _: Mapping[str, str], seconds: float) -> Ended:
        """Run the chosen tests up to the first that fails."""
        assert "-x" in command
        assert seconds > 0
        self.runs.append((self.out / "chosen").read_text().splitlines())
        for name in self.runs[-1]:
            if self.failures.get(name, 0):
                self.failures[name] -= 1
                return Ended(1, f"FAILED {name} - assert 1 == 2\n1 failed")
        return Ended(0, "passed")


TESTS = [Traced(f"tests/netns/test_x.py::{name}", 1.0, {}) for name in ("one", "one[and more]", "two")]
ONE, MORE, TWO = (test.name for test in TESTS)


def test_a_test_that_fails_again_has_noticed_the_fault(tmp_path: Path) -> None:
    """It is run twice, the second time alone, and its name and the reason are what is said of the mutant."""
    box = Busy(tmp_path, {MORE: 2})

    assert f"{MORE} - assert 1 == 2" == tool._noticed(cast("Sandbox", box), TESTS)
    assert [[ONE, MORE, TWO], [MORE]] == box.runs


def test_a_test_that_fails_once_has_noticed_nothing(tmp_path: Path) -> None:
    """On a busy machine a test may fail without a fault; those after it are tried, and another one may notice it."""
    box = Busy(tmp_path, {ONE: 1, TWO: 2})

    assert f"{TWO} - assert 1 == 2" == tool._noticed(cast("Sandbox", box), TESTS)
    assert "" == tool._noticed(cast("Sandbox", Busy(tmp_path, {TWO: 1})), TESTS)
