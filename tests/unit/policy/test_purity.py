"""What policies mean is computed from values alone: no file, no packet, no clock."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from slash80 import policy

MODULES = sorted(Path(policy.__file__).parent.glob("*.py"))
STANDARD = {
    "__future__",
    "collections.abc",
    "dataclasses",
    "enum",
    "functools",
    "hashlib",
    "ipaddress",
    "itertools",
    "json",
    "netaddr",
    "typing",
}
BUILTINS = {"open", "print", "input", "exec", "eval", "__import__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_values_and_types(path: Path) -> None:
    """No library that could read a file, a socket or a clock is imported, and no builtin that could is called."""
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    imported = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}

    assert not {one for one in imported - STANDARD if not one.startswith(("slash80.addressing", "slash80.policy"))}
    assert not {node.id for node in nodes if isinstance(node, ast.Name)} & BUILTINS


def test_neither_reading_uses_the_other_ones_modules() -> None:
    """The oracle shares the model with the compiler, and no more: a mistake in one is not one in both."""
    (oracle,) = (path for path in MODULES if path.stem == "evaluate")
    nodes = ast.walk(ast.parse(oracle.read_text(encoding="utf-8")))
    found = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and "policy" in (node.module or "")}

    assert {"slash80.policy.model"} == found


def test_netaddr_is_loaded_by_the_first_block_only() -> None:
    """Processes that answer calls import this room's values, and must not pay 20 ms for arithmetic they never do."""
    program = "import sys, slash80.policy.compile, slash80.policy.evaluate; sys.exit('netaddr' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", program], check=False, env={"PYTHONPATH": ":".join(sys.path)})

    assert 0 == found.returncode
