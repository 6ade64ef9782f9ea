"""What should be so is computed from values alone: no file, no packet, no clock."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slash80 import desired
from slash80.desired.node import desired as compute
from unit.desired import test_node

MODULES = sorted(Path(desired.__file__).parent.glob("*.py"))
STANDARD = {"__future__", "bisect", "collections.abc", "dataclasses", "enum", "ipaddress", "itertools", "typing"}
ROOMS = ("slash80.addressing", "slash80.cluster.objects", "slash80.desired", "slash80.settings", "slash80.wiring.plan")
BUILTINS = {"open", "print", "input", "exec", "eval", "compile", "__import__"}
OUTSIDE = ("open", "os.", "socket.", "subprocess.", "sqlite3.", "shutil.", "ctypes.", "urllib.")


def _imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules that are imported anywhere in a module, also inside of functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level
            yield node.module or ""


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_values_and_types(path: Path) -> None:
    """No library that could read a file, a socket or a clock is imported, and no builtin that could is called."""
    tree = ast.parse(path.read_text())

    assert not [one for one in _imports(tree) if one not in STANDARD and not one.startswith(ROOMS)]
    assert not [node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id in BUILTINS]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_takes_only_models_from_the_settings(path: Path) -> None:
    """The functions of the settings read files, except those of `values`, which judge a single value."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slash80.settings"):
            assert all(alias.name == "values" or alias.name[0].isupper() for alias in node.names)


def test_computing_what_should_be_asks_the_system_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's audit events report each file, socket or program that is opened in any way, and none occurs."""
    events: list[str] = []
    listening = [False]

    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if listening[0] and event.startswith(OUTSIDE):
            events.append(event)

    sys.addaudithook(listen)  # it cannot be removed again, so it is switched off
    observed = test_node._observed()
    listening[0] = True
    try:
        found = compute(observed)
    finally:
        listening[0] = False

    assert found
    assert [] == events
    listening[0] = True
    Path("/dev/null").read_bytes()
    listening[0] = False
    assert ["open"] == events
