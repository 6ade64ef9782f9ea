"""Which tests are chosen for a fault."""

from mutants.operators import Mutation
from mutants.reach import Reach, Traced

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
