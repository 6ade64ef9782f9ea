"""The faults that a source file can be given."""

import ast

import pytest

from mutants.operators import mutations


def _made(text: str) -> dict[str, list[str]]:
    """Return the changed line of each fault, by operator."""
    found: dict[str, list[str]] = {}
    for one in mutations("m.py", text):
        found.setdefault(one.operator, []).append(one.after[0].strip())
    return found


def _code(line: str) -> dict[str, list[str]]:
    """Return the faults of one line in a function."""
    return _made(f"def f():\n    {line}\n")


@pytest.mark.parametrize(
    ("line", "operator", "after"),
    [
        ("return found", "return None", "return None"),
        ("if ready: go()", "condition turned", "if not (ready): go()"),
        ("while left or more: go()", "condition turned", "while not (left or more): go()"),
        ("return [a for a in b if a.up]", "condition turned", "return [a for a in b if not (a.up)]"),
        ("raise TryAgain(host)", "raise dropped", "pass"),
        ("number = ask(x)", "assignment dropped", "number = None"),
        ("self.number = ask(x)", "assignment dropped", "pass"),
        ("self.number += ask(x)", "assignment dropped", "pass"),
        ("yield found", "yield dropped", "pass"),
        ("guard(end)", "call dropped", "pass"),
        ("del rows[key]", "del dropped", "pass"),
        ("while x: break", "break turned", "while x: continue"),
        ("while x: continue", "continue turned", "while x: break"),
        ("return a is None", "comparison turned", "return a is not None"),
        ("return a not in b", "comparison turned", "return a in b"),
        ("return a < b", "comparison turned", "return a <= b"),
        ("return path / name", "arithmetic changed", "return (path * name)"),
        ("return a + b", "arithmetic changed", "return (a - b)"),
        ("return UP | LOWER", "arithmetic changed", "return (UP & LOWER)"),
        ("return a and b", "and or exchanged", "return (a or b)"),
        ("return not a", "not dropped", "return (a)"),
        ("wait(timeout=limit)", "argument dropped", "wait()"),
        ("socket(AF_INET6, flags)", "argument dropped", "socket(AF_INET6)"),
        ("with lock.held(name): go()", "guard dropped", 'with __import__("contextlib").nullcontext(): go()'),
        ("return 0o077", "constant changed", "return 64"),
        ("return True", "constant changed", "return False"),
        ("return 'ipv6'", "constant changed", "return 'ipv6~'"),
    ],
)
def test_each_operator_makes_its_fault_of_a_line(line: str, operator: str, after: str) -> None:
    """Every kind of statement and expression is turned into the fault that its operator stands for."""
    assert after in _code(line)[operator]


@pytest.mark.parametrize(
    "line",
    [
        "'''Return the host end.'''",
        "return None",
        "number: int",
        "other = None",
        "from slash80 import node",
        "return f'{a + 1}'",
        "return 'a sentence for people'",
        "return found(one)",
    ],
)
def test_what_no_test_should_notice_is_left_alone(line: str) -> None:
    """Docstrings, annotations, imports, sentences and f-strings are never changed."""
    assert {} == {name: made for name, made in _code(line).items() if name != "return None"}


def test_statements_that_run_at_the_import_are_not_dropped() -> None:
    """A module that cannot be imported fails every test, so dropping its assignments would say nothing."""
    assert {"constant changed": ["LIMIT = 6"]} == _made("LIMIT = 5\n")


def test_a_decorator_and_a_default_type_are_left_alone() -> None:
    """Only the body and the default values of a function are changed."""
    text = "@fixture(scope='module')\ndef f(a: Literal['x'], b: int = 3) -> Literal['y']:\n    go(a)\n"

    assert {"constant changed", "call dropped"} == set(_made(text))
    assert 1 == len(_made(text)["constant changed"])


def test_a_fault_replaces_exactly_the_lines_of_its_node() -> None:
    """What stands before and behind a node that spans several lines stays, and so do all other lines."""
    text = "def f():\n    first()\n    return (\n        a,\n        b,\n    )  # why\n"
    (fault,) = [one for one in mutations("m.py", text) if one.operator == "return None"]

    assert "def f():\n    first()\n    return None  # why\n" == fault.apply(text)
    assert "-    return (\n-        a,\n-        b,\n-    )  # why\n+    return None  # why" == fault.diff()


def test_columns_count_characters_and_not_bytes() -> None:
    """A line with letters outside of ASCII is cut at the right place, since Python's columns count bytes of UTF-8."""
    assert ["return ask('ö') <= limit"] == _code("return ask('ö') < limit")["comparison turned"]


def test_every_fault_is_a_program() -> None:
    """The changed text of a file can always be parsed, and differs from the text before."""
    text = "\n".join(_everything())

    for fault in mutations("m.py", text):
        assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(fault.apply(text))), fault.diff()


def _everything() -> list[str]:
    """Return a file with a bit of most things."""
    return [
        "def f(a, *rest, size=4, **more):",
        "    with lock(a, timeout=3) as got, suppress(OSError):",
        "        while a < size <= 5 and not got:",
        "            yield from (x if x else y for x in rest if x or y)",
        "            raise Problem('netns', code=a % 3) from None",
        "    table[a | 1] -= {**more, 'key': -1.5}['key']",
        "    return [a is None, b not in a][0] if 'x' in a else (a << 2)",
    ]


def test_a_seed_chooses_the_same_faults_wherever_their_lines_have_moved() -> None:
    """The rank of a fault depends on the seed and on what it is, not on its line number."""
    before, after = (mutations("m.py", f"{head}def f():\n    return a < 3\n") for head in ("", "import os\n\n"))

    assert [one.rank(1) for one in before] == [one.rank(1) for one in after]
    assert [one.rank(1) for one in before] != [one.rank(2) for one in before]


def test_the_function_around_a_fault_is_told() -> None:
    """It has the names of all classes and functions that it stands in."""
    (fault,) = mutations("m.py", "class Store:\n    def close(self):\n        self.shut()\n")

    assert ("Store.close", True) == (fault.function, fault.in_code)
