"""Which tests are chosen for a fault."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from mutants import reach
from mutants.operators import Mutation
from mutants.reach import Reach, Traced, Untraceable
from mutants.sandbox import Ended, Sandbox

PATH = "src/slash80/store/locks.py"


def _fault(first: int, *, in_code: bool = True) -> Mutation:
    """Return a fault of one line."""
    return Mutation(PATH, first, first, "return None", ("before",), ("after",), "f", in_code)


def _reach(**lines: set[int]) -> Reach:
    """Return unit tests that ran these lines of the file, each by its name."""
    return Reach([Traced(f"tests/unit/test_x.py::{name}", 0.1, {PATH: ran}) for name, ran in lines.items()])


def _names(tests: list[Traced]) -> list[str]:
    return [test.name.rpartition("::")[2] for test in tests]


def test_a_test_that_ran_the_line_is_chosen() -> None:
    """A test that ran other lines of the file only is not."""
    assert ["one"] == _names(_reach(one={4, 5}, other={7}).tests_of(_fault(5)))


def test_what_runs_at_the_import_is_tried_by_all_tests_of_the_module() -> None:
    """Its line was run before any test, so the map does not say whose it is."""
    assert ["one", "other"] == _names(_reach(one={4, 5}, other={7}).tests_of(_fault(1, in_code=False)))


def test_a_test_of_another_module_is_never_chosen() -> None:
    """A line number alone says nothing."""
    reach = Reach([Traced("tests/unit/test_x.py::one", 0.1, {"src/slash80/errors.py": {5}})])

    assert [] == reach.tests_of(_fault(5)) == reach.tests_of(_fault(5, in_code=False))


def test_the_file_that_mirrors_the_module_is_always_chosen() -> None:
    """A test that calls a program as another process is not traced."""
    reach = Reach(
        [Traced("tests/unit/store/test_locks.py::one", 0.1, {}), Traced("tests/unit/test_locks.py::two", 0.1, {})]
    )

    assert ["one"] == _names(reach.tests_of(_fault(5)))


def test_the_file_that_mirrors_the_module_comes_first() -> None:
    """Constants of a module are reached by hundreds of tests, and not all of them are run."""
    slow = Traced("tests/unit/store/test_locks.py::mirror", 2.0, {PATH: {5}})
    reach = Reach([*_reach(one={5}).tests, slow])

    assert ["mirror", "one"] == _names(reach.tests_of(_fault(5)))


def test_short_tests_come_first_and_further_cases_of_a_function_last() -> None:
    """Cases that differ find more than cases that are alike."""
    names = {"unit/a.py::f[1]": 2.0, "unit/a.py::f[2]": 1.0, "unit/a.py::g": 3.0}
    reach = Reach([Traced(f"tests/{name}", seconds, {PATH: {5}}) for name, seconds in names.items()])

    assert ["f[2]", "g", "f[1]"] == _names(reach.tests_of(_fault(5)))


@dataclass
class Box:
    """A sandbox whose pytest runs one test in each file, of which those in the `failing` files fail."""

    tree: Path
    out: Path
    names: list[str]
    failing: set[str] = field(default_factory=set)
    runs: list[list[str]] = field(default_factory=list)
    code: int = 0

    def run(self, command: Sequence[str], _: Mapping[str, str], seconds: float) -> Ended:
        """Take the place of a run of pytest that records."""
        assert seconds > 0
        self.runs.append([Path(word).name for word in command if word.startswith("tests/")])
        names = {f"tests/unit/{name}::one": name in self.failing for name in self.runs[-1]}
        tests = {name: {"seconds": 1.0, "lines": {PATH: [5]}} for name, fails in names.items() if not fails}
        failed = [name for name, fails in names.items() if fails]
        (self.out / "record").write_text(json.dumps({"tests": tests, "failed": failed}))
        return Ended(self.code, "what pytest printed")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    """Return a sandbox with two files of unit tests."""
    made = Box(tmp_path, tmp_path, [])
    for name in ("test_a.py", "test_b.py"):
        _change(made, name)
    return made


def _change(box: Box, name: str, text: str = "") -> None:
    """Write a file of the unit tier, new or again."""
    path = box.tree / "tests/unit" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    box.names = sorted({*box.names, f"tests/unit/{name}"})


def _read(box: Box) -> list[str]:
    """Return the names of the tests that are known after the unit tier was traced."""
    return _names(reach.read("unit", cast("Sandbox", box), box.out / "cache").tests)


def test_tests_are_traced_once_for_each_state_of_the_tree(box: Box) -> None:
    """A changed file is traced again; every file is when a helper of the tier changes, or a fixture of its folder."""
    assert ["one", "one"] == _read(box) == _read(box)
    _change(box, "cli/conftest.py")
    _read(box)
    _change(box, "test_b.py", "# changed")
    _read(box)
    _change(box, "builders.py")
    _read(box)

    assert [["test_a.py", "test_b.py"], ["test_b.py"], ["test_a.py", "test_b.py"]] == box.runs


def test_a_test_that_fails_without_a_fault_stops_the_run(box: Box) -> None:
    """It would take every mutant for killed. What was found out of the other files is kept, and its file runs again."""
    box.failing = {"test_b.py"}
    with pytest.raises(Untraceable, match=r"fail without a fault(.|\n)*tests/unit/test_b.py::one"):
        _read(box)
    box.failing = set()
    _read(box)

    assert ["test_b.py"] == box.runs[-1]


def test_a_run_that_pytest_cannot_finish_stops_the_run(box: Box) -> None:
    """The error holds what pytest printed, as of a file that cannot be imported."""
    box.code = 2
    with pytest.raises(Untraceable, match="pytest ended with 2: what pytest printed"):
        _read(box)


def test_a_file_without_a_test_for_the_sandbox_is_no_error(box: Box) -> None:
    """Files of `netns` whose tests all run the frozen plugin leave pytest nothing to run, which is its exit code 5."""
    box.code = 5
    assert ["one", "one"] == _read(box)
