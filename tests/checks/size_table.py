"""Measure the tree against its size limits, print the table, fail on a broken hard limit.

Lines of code are the lines that hold a token of code: no blank line, no comment, no docstring.
"""

import ast
import io
import statistics
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab import programs

ROOT = Path(__file__).resolve().parents[2]
BLANK = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
NESTING = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)
MOCKS = {"Mock", "MagicMock", "patch", "mocker", "monkeypatch"}
BROAD = {"Exception", "BaseException"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass
class Module:
    """One source file with what is counted in it."""

    path: Path
    tree: ast.Module
    lines: int
    code: set[int] = field(default_factory=set)
    comments: set[int] = field(default_factory=set)
    docstrings: set[int] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> "Module":
        """Parse a file and sort its lines."""
        text = path.read_text()
        module = cls(path, ast.parse(text), len(text.splitlines()))
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
                module.docstrings.update(lines_of(node.body[0]))
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                module.comments.add(token.start[0])
            elif token.type not in BLANK:
                module.code.update(range(token.start[0], token.end[0] + 1))
        module.code -= module.docstrings
        module.comments -= module.code
        return module

    def functions(self) -> Iterator[Function]:
        """Return every function and method."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def at(self, node: ast.stmt | ast.ExceptHandler) -> str:
        """Return where a node is, so that an editor finds it."""
        return f"{self.path.relative_to(ROOT)}:{node.lineno}"


@dataclass
class Table:
    """The rows to print and the hard limits that were broken."""

    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def row(self, name: str, measured: str, target: str, hard: str = "") -> None:
        """Add a row; `hard` only says in words what `limit` watches."""
        self.rows.append((name, measured, target, hard))

    def limit(self, where: str, what: str, value: float, most: float) -> None:
        """Note a hard limit that is broken."""
        if value > most:
            self.broken.append(f"{where}: {what} {value:g}, the limit is {most:g}")

    def print(self) -> None:
        """Print all, the broken limits last."""
        widths = [max(map(len, column)) for column in zip(*self.rows, strict=True)]
        for row in self.rows:
            print("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())
        for line in self.broken:
            print(line)


def lines_of(node: ast.stmt) -> range:
    """Return the lines from a statement's first to its last."""
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


def spread(values: list[int]) -> str:
    """Return median, 90th percentile and maximum."""
    ordered = sorted(values) or [0]
    p90 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.9))]
    return f"{statistics.median(ordered):g} / {p90} / {ordered[-1]}"


def percent(part: int, whole: int) -> str:
    """Return a share."""
    return f"{100 * part / whole if whole else 100:.0f} %"


def nesting(node: ast.AST, *, chained: bool = False) -> int:
    """Count how deep statements nest; an `elif` stands beside its `if`, a nested function starts again at zero."""
    deepest = 0
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.ClassDef | Function | ast.Lambda):
            elif_ = isinstance(node, ast.If) and node.orelse == [child] and isinstance(child, ast.If)
            deepest = max(deepest, nesting(child, chained=elif_))
    return deepest + (isinstance(node, NESTING) and not chained)


def parameters(function: Function) -> tuple[int, int]:
    """Count a function's parameters: all, and those that may be given by position; without self and cls."""
    by_position = [argument.arg for argument in function.args.posonlyargs + function.args.args]
    if by_position[:1] in (["self"], ["cls"]):
        del by_position[0]
    return len(by_position) + len(function.args.kwonlyargs), len(by_position)


def is_typed(function: Function) -> bool:
    """Report whether every parameter and the result have a type."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    named += [extra for extra in (arguments.vararg, arguments.kwarg) if extra]
    return function.returns is not None and all(a.annotation or a.arg in ("self", "cls") for a in named)


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Report whether a handler catches everything."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(kind is None or (isinstance(kind, ast.Name) and kind.id in BROAD) for kind in kinds)


def publics(body: list[ast.stmt]) -> Iterator[ast.ClassDef | Function]:
    """Yield the classes, functions and methods that others see."""
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from publics(node.body)


def measure_functions(table: Table, source: list[Module]) -> None:
    """Measure length, depth, parameters and types of the functions of src."""
    sizes, depths, counts, typed = [], [], [], 0
    for module in source:
        for function in module.functions():
            where = f"{module.at(function)} {function.name}"
            sizes.append(len(module.code.intersection(lines_of(function))))
            depths.append(nesting(function))
            every, by_position = parameters(function)
            counts.append(every)
            typed += is_typed(function)
            table.limit(where, "lines of code", sizes[-1], 50)
            table.limit(where, "nesting", depths[-1], 4)
            table.limit(where, "parameters", every, 6)
            table.limit(where, "parameters by position", by_position, 3)
            table.limit(where, "untyped", not is_typed(function), 0)
    table.row("function lines (median / p90 / max)", spread(sizes), "8 / 25", "50")
    table.row("nesting", spread(depths), "p90 2", "4")
    table.row("parameters", spread(counts), "p90 4", "6, by position 3")
    table.row("typed functions", percent(typed, len(sizes)), "100 %", "100 %")


def measure_modules(table: Table, source: list[Module]) -> None:
    """Measure length, words and broad handlers of the modules of src."""
    for module in source:
        table.limit(f"{module.path.relative_to(ROOT)}:1", "lines", module.lines, 500)
        missing = ast.get_docstring(module.tree) is None
        table.limit(f"{module.path.relative_to(ROOT)}:1", "module docstrings missing", missing, 0)
    table.row("module lines (median / p90 / max)", spread([m.lines for m in source]), "150 / 350", "500")

    seen = [node for module in source for node in publics(module.tree.body)]
    told = sum(ast.get_docstring(node) is not None for node in seen)
    code = sum(len(module.code) for module in source)
    words = sum(len(module.docstrings) for module in source)
    table.row("public with docstring", percent(told, len(seen)), ">= 85 %")
    table.row("docstring lines to code", percent(words, code), "", "35 %")
    table.row("comment lines to code", percent(sum(len(m.comments) for m in source), code), "5-10 %")
    table.limit("src:1", "docstring lines to 100 lines of code", 100 * words / (code or 1), 35)

    handlers = [
        module.at(node)
        for module in source
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler) and is_broad(node)
    ]
    table.row("broad excepts", str(len(handlers)), "1 per entry", "4")
    table.limit(" ".join(handlers), "broad excepts", len(handlers), 4)


def measure_tests(table: Table, source: list[Module], tests: list[Module]) -> None:
    """Measure the tests: their length, their mocks, their sleeps, their words."""
    sizes, told = [], 0
    for module in tests:
        for test in module.functions():
            if test.name.startswith("test_"):
                sizes.append(len(module.code.intersection(lines_of(test))))
                told += ast.get_docstring(test) is not None
                table.limit(f"{module.at(test)} {test.name}", "lines of code", sizes[-1], 60)
    names = [
        (module, node.id if isinstance(node, ast.Name) else node.attr)
        for module in tests
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Name | ast.Attribute)
    ]
    mocks = sum(name in MOCKS for _, name in names)
    sleeps = sum(name == "sleep" and "unit" in module.path.parts for module, name in names)
    ratio = sum(len(m.code) for m in tests) / (sum(len(m.code) for m in source) or 1)
    table.row("tests", str(len(sizes)), "")
    table.row("test lines (median / p90 / max)", spread(sizes), "12 / 25", "60")
    table.row("tests with docstring", percent(told, len(sizes)), "100 %")
    table.row("tests to src (lines of code)", f"{ratio:.2f}", "1.0-1.5")
    table.row("mocks per test", f"{mocks / (len(sizes) or 1):.2f}", "<= 0.1")
    table.row("sleeps in unit tests", str(sleeps), "0")


def measure_root(table: Table) -> None:
    """Count what a visitor sees first: the entries of the root that git knows."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = programs.run(command).splitlines()
    entries = {Path(line).parts[0] for line in listed if (ROOT / line).exists()}
    table.row("root entries", str(len(entries)), "", "16")
    table.limit(f"{' '.join(sorted(entries))}", "root entries", len(entries), 16)


def main() -> int:
    """Print the table; fail if a hard limit is broken."""
    source = [Module.read(path) for path in sorted((ROOT / "src").rglob("*.py"))]
    tests = [Module.read(path) for path in sorted((ROOT / "tests").rglob("*.py"))]
    table = Table()
    table.row("", "measured", "target", "hard limit")
    measure_modules(table, source)
    measure_functions(table, source)
    measure_tests(table, source, tests)
    measure_root(table)
    table.print()
    return bool(table.broken)


if __name__ == "__main__":
    sys.exit(main())
