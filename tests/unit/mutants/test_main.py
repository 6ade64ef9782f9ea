"""The choice of faults, and what is said of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from mutants import __main__ as tool
from mutants.__main__ import Trial, Verdict
from mutants.operators import mutations
from mutants.reach import Reach, Traced
from mutants.sandbox import Sandbox

ROOT = Path(__file__).parents[3]
PATH, BEFORE, AFTER = "src/slash80/m.py", "def f():\n    return 3\n", "def f():\n    return None\n"
(FAULT,) = (one for one in mutations(PATH, BEFORE) if one.operator == "return None")


def test_each_listed_equivalent_is_a_fault_of_this_tree() -> None:
    """An entry whose line has changed since is out of date, and would let another fault through one day."""
    listed = tool.equivalents()
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
        """Try the fault of a file with a unit test for each of these times, and one in namespaces."""
        (self.tree / PATH).parent.mkdir(parents=True)
        (self.tree / PATH).write_text(BEFORE)
        unit = [Traced(f"tests/unit/test_x.py::unit{took:g}", took, {PATH: {2}}) for took in seconds]
        reach = Reach([*unit, Traced("tests/netns/test_y.py::netns", 1.0, {PATH: {2}})])
        return Trial(reach, budget, self.notice).judge(cast("Sandbox", self), FAULT)


def test_the_tiers_run_until_one_notices_the_fault(tmp_path: Path) -> None:
    """What the unit tests notice is not tried in namespaces; the text is the faulty one only meanwhile."""
    box = Box(tmp_path, "unit")
    verdict = box.judge(1)

    assert [("unit1", AFTER)] == box.runs
    assert "unit failed" == verdict.killed_by
    assert BEFORE == (tmp_path / PATH).read_text()


def test_a_fault_that_no_tier_notices_survives(tmp_path: Path) -> None:
    """The sentence has its place, the changed lines and the tests that passed."""
    box = Box(tmp_path, "no tier")
    said = box.judge(1).sentence()

    assert ["unit1", "netns"] == [names for names, _ in box.runs]
    assert all(part in said for part in (f"SURVIVED  {PATH}:2", "+    return None", "2 of 2 tests", "test_y.py::netns"))


def test_the_tests_of_a_tier_that_would_take_too_long_are_left_out(tmp_path: Path) -> None:
    """The shortest come first; one is run in any case."""
    box = Box(tmp_path, "no tier")
    box.judge(5, 2, 4, budget=6)

    assert ["unit2,unit4", "netns"] == [names for names, _ in box.runs]
