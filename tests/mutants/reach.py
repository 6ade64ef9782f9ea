"""Which tests reach which lines, found out once for each state of the source and of a tier's tests.

The tests of a file are traced again when it, its tier's helpers or the source has changed.
"""

import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from mutants.operators import Mutation
from mutants.sandbox import OUT, Sandbox

TIERS = ("unit", "netns")
# Every test of every tier may read these.
_COMMON = ("src/", "tests/lab/", "tests/conftest.py", "tests/profiles.py", "tests/mutants/session.py", "pyproject.toml")
# Crowds, churn and random input, which take minutes where lines are traced, and the laboratory's own tests.
_LEFT_OUT = {f"tests/netns/test_{name}.py" for name in ("bad_input", "churn", "fuzz", "laboratory", "storm")}
_LIMIT = 3600.0
_COMPLETE = {0, 1, 5}  # pytest's exit codes: all passed, some failed, none was left to run


class Untraceable(RuntimeError):
    """These tests say nothing about a fault: they fail without one, or could not be run. The message says which."""


@dataclass(frozen=True)
class Traced:
    """One test: its ID, how long it took while it was traced, and the lines of each file that it ran."""

    name: str
    seconds: float
    lines: dict[str, set[int]]

    @property
    def function(self) -> str:
        """Its ID without its parameters."""
        return self.name.partition("[")[0]


@dataclass
class Reach:
    """All tests, which pass without a fault."""

    tests: list[Traced] = field(default_factory=list)

    def tests_of(self, mutation: Mutation) -> list[Traced]:
        """Return the tests that may notice a fault, best first: short ones, and of each function one before the next.

        Those are the tests that run one of its lines; for what is run when the module is imported those that run
        anything else of it. Tests that call a program are not traced, so the file that mirrors the module joins in,
        and comes first.
        """
        lines = set(range(mutation.first, mutation.last + 1)) if mutation.in_code else None
        mirror = _mirror(mutation.path)
        found = [test for test in self.tests if test.name.startswith(mirror) or _reached(test, mutation.path, lines)]
        counts: dict[str, int] = defaultdict(int)
        ranked = []
        for test in sorted(found, key=lambda test: test.seconds):
            ranked.append((not test.name.startswith(mirror), counts[test.function], test.seconds, test.name, test))
            counts[test.function] += 1
        return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:-1])]


def _reached(test: Traced, path: str, lines: set[int] | None) -> bool:
    """Report whether a test ran one of these lines of a file, or any of it."""
    ran = test.lines.get(path, set())
    return bool(ran if lines is None else ran & lines)


def _mirror(path: str) -> str:
    """Return the file of unit tests that mirrors a module, with what stands behind it in a test's ID."""
    module = Path(path).relative_to("src/slash80")
    name = module.stem.strip("_")
    return f"tests/unit/{module.parent / f'test_{name}.py'}::"


def read(tier: str, sandbox: Sandbox, cache: Path) -> Reach:
    """Return what is known of a tier's tests, after it was found out what is not; raise Untraceable if one fails."""
    reach, keys = Reach(), _keys(sandbox, tier)
    missing = sorted(name for name, key in keys.items() if not (cache / f"{key}.json").exists())
    if missing:
        print(f"tracing {len(missing)} files of tests/{tier}", flush=True)
        _trace(sandbox, missing, {name: cache / f"{keys[name]}.json" for name in missing})
    for key in keys.values():
        known = json.loads((cache / f"{key}.json").read_text())
        for name, test in known["tests"].items():
            lines = {path: set(ran) for path, ran in test["lines"].items()}
            reach.tests.append(Traced(name, test["seconds"], lines))
    return reach


def _keys(sandbox: Sandbox, tier: str) -> dict[str, str]:
    """Return a name for the state of each file of tests, which names all that its tests depend on.

    It is that of the copy: the tree may be worked on since.
    """
    source, names = sandbox.tree, sandbox.names
    own = [name for name in names if name.startswith(f"tests/{tier}/")]
    tests = [name for name in own if Path(name).match("test_*.py") and name not in _LEFT_OUT]
    fixtures = [name for name in own if Path(name).name == "conftest.py"]
    helpers = [name for name in own if name not in {*tests, *fixtures}]
    common = _hashed(source, [*(name for name in names if name.startswith(_COMMON)), *helpers])
    keys = {}
    for name in tests:
        near = [one for one in fixtures if Path(one).parent in Path(name).parents]
        keys[name] = hashlib.sha256(f"{common}{_hashed(source, [*near, name])}".encode()).hexdigest()[:24]
    return keys


def _hashed(source: Path, names: Iterable[str]) -> str:
    found = hashlib.sha256(sys.version.encode())
    for name in names:
        found.update(f"{name}\0".encode() + (source / name).read_bytes() + b"\0")
    return found.hexdigest()


def _trace(sandbox: Sandbox, names: list[str], targets: dict[str, Path]) -> None:
    """Run files of tests, and write what each test reached; of a file in which one fails nothing, so it runs again."""
    record = sandbox.out / "record"
    record.unlink(missing_ok=True)
    ended = sandbox.run(pytest_command(names), {"SLASH80_RECORD": str(OUT / "record")}, _LIMIT)
    if ended.code not in _COMPLETE or not record.exists():
        raise Untraceable(f"the tests cannot be traced, pytest ended with {ended.code}: {ended.text.strip()[-2000:]}")
    found = json.loads(record.read_text())
    for name, target in targets.items():
        if not any(test.startswith(f"{name}::") for test in found["failed"]):
            ours = {test: entry for test, entry in found["tests"].items() if test.startswith(f"{name}::")}
            _write(target, json.dumps({"tests": ours}))
    if found["failed"]:
        raise Untraceable(unfaulted(found["failed"]))


def unfaulted(failed: list[str]) -> str:
    """Return the sentence about tests that fail without a fault."""
    listed = "".join(f"\n    {name}" for name in failed)
    return (
        "tests that fail without a fault would take every mutant for killed; have them pass in the sandbox, "
        f"where the network is empty and all but /run is read-only:{listed}"
    )


def _write(target: Path, text: str) -> None:
    """Write a file that other runs may read at the same time."""
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_suffix(f".{os.getpid()}")
    new.write_text(text)
    new.replace(target)


def pytest_command(arguments: Iterable[str]) -> list[str]:
    """Return the command line that runs these files of one tier in the sandbox, plugin calls in every shape."""
    chosen = list(arguments)
    options = ["-p", "mutants.session", "-p", "no:randomly", "-q", "-rfE", "--tb=no"]
    if chosen[0].startswith("tests/netns/"):
        options.append("--every-shape")  # the plugin decides which of them are left
    return [sys.executable, "-m", "pytest", *options, *chosen]
