"""A plugin of pytest for the runs of `make mutants`, which the variables below set to work.

With SLASH80_RECORD it writes into that file which lines of the source each test ran. With SLASH80_CHOSEN only the tests
that are listed in that file are run, in its order.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
import pytest

_SHAPES = ("frozen", "served")  # of those the source is not what runs


class Recorder:
    """Traces the lines that each test runs, in all threads of this process, and how long it takes."""

    def __init__(self, target: Path, source: Path) -> None:
        """Begin at once: what is imported now belongs to no test."""
        self._target, self._source = target, source
        self._coverage = coverage.Coverage(data_file=None, config_file=False, source=[str(source)])
        # Tests of other things than the source run none of it.
        self._coverage.set_option("run:disable_warnings", ["no-data-collected"])
        self._coverage.start()
        self._seconds: dict[str, float] = {}
        self._failed: set[str] = set()
        self._skipped: set[str] = set()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Let what is run from here on, fixtures included, be this test's."""
        self._coverage.switch_context(item.nodeid)
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Add up the time, and note what fails; what is skipped, as without the frozen plugin, tells nothing."""
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.skipped:
            self._skipped.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        """Write it all down."""
        self._coverage.stop()
        data = self._coverage.get_data()
        tests: dict[str, Any] = {
            name: {"seconds": round(seconds, 3), "lines": {}}
            for name, seconds in self._seconds.items()
            if name not in self._failed | self._skipped
        }
        for file in sorted(data.measured_files()):
            path = f"src/slash80/{Path(file).relative_to(self._source)}"
            for line, contexts in data.contexts_by_lineno(file).items():
                for name in contexts:
                    if name in tests:
                        tests[name]["lines"].setdefault(path, []).append(line)
        self._target.write_text(json.dumps({"tests": tests, "failed": sorted(self._failed)}))


def pytest_configure(config: pytest.Config) -> None:
    """Record, if that is asked for."""
    if target := os.environ.get("SLASH80_RECORD"):
        config.pluginmanager.register(Recorder(Path(target), Path(config.rootpath) / "src/slash80"))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs another program than this source, and what is not chosen."""
    kept = [item for item in items if _shape(item) not in _SHAPES]
    if chosen := os.environ.get("SLASH80_CHOSEN"):
        kept = _in_order(kept, Path(chosen).read_text().splitlines())
    left = set(kept)
    config.hook.pytest_deselected(items=[item for item in items if item not in left])
    items[:] = kept


def _shape(item: pytest.Item) -> object:
    spec = getattr(item, "callspec", None)
    return spec.params.get("shape") if spec else None


def _in_order(items: list[pytest.Item], names: list[str]) -> list[pytest.Item]:
    """Return the items with these names; where one has changed its parameters with the source, all of its function."""
    order = {name: place for place, name in enumerate(names)}
    there = {item.nodeid for item in items}
    changed = {name.partition("[")[0]: place for name, place in order.items() if name not in there}

    def place(item: pytest.Item) -> int:
        return order.get(item.nodeid, changed.get(item.nodeid.partition("[")[0], -1))

    return sorted((item for item in items if place(item) >= 0), key=place)
