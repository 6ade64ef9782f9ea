"""A time limit for every test of every tier: what hangs fails with the stacks of all threads, or ends the whole run.

A test that is late is failed by a signal (pytest-timeout). One that cannot be, since it waits for a thread that never
ends while it is left, ends the run when it has taken twice its time, and so does the removal of what it made.
"""

import faulthandler
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

# Seconds for each test with its fixtures, many times what it takes on a busy machine; a tier that is not named here has
# the limit of pyproject.toml. The first test of the cluster tier makes an image of a node, and clusters; the first ones
# of `roots` make small Debians, and some of `netns` call the frozen plugin hundreds of times.
_LIMITS = {"netns": 900, "roots": 900, "runtime": 900, "cluster": 1200, "kernels": 6000}
_STDERR = pytest.StashKey[int]()
_LIMIT = pytest.StashKey[float]()


class _Settings(Protocol):
    timeout: float


def pytest_configure(config: pytest.Config) -> None:
    """Keep the real standard error, which pytest takes away while it runs a test."""
    config.stash[_STDERR] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close it."""
    os.close(config.stash[_STDERR])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Return each test the limit of its tier, unless it has one of its own."""
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        if tier in _LIMITS and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_LIMITS[tier]))


@pytest.hookimpl(wrapper=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: _Settings) -> Iterator[None]:
    """Set the second limit beside the first."""
    item.stash[_LIMIT] = settings.timeout
    faulthandler.dump_traceback_later(2 * settings.timeout, exit=True, file=item.config.stash[_STDERR])
    return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Set it again: pytest has dropped it if the test failed."""
    if limit := item.stash.get(_LIMIT, 0.0):
        faulthandler.dump_traceback_later(limit, exit=True, file=item.config.stash[_STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_timeout_cancel_timer() -> Iterator[None]:
    """Drop it."""
    faulthandler.cancel_dump_traceback_later()
    return (yield)
