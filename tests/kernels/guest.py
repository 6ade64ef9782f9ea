"""A plugin of pytest inside the guest: runs the chosen stories, and tells over a serial line how each came out."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from kernels.machine import RESULTS
from kernels.stories import name_of, shapes_of

CHOSEN = "SLASH80_STORIES"
_MODULES = ("veth", "nf_conntrack_netlink", "nft_chain_nat", "nft_ct", "nft_fib_inet", "nft_limit", "nft_masq")


def pytest_sessionstart() -> None:
    """Load what the kernel loads by itself with the first rules: an emulated machine takes longer than nft is given."""
    subprocess.run(["modprobe", "-a", *_MODULES], check=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave what was not chosen out."""
    chosen = os.environ[CHOSEN].split()
    left_out = [item for item in items if not _is_chosen(item, chosen)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_chosen(item: pytest.Item, chosen: list[str]) -> bool:
    story = name_of(item.nodeid)
    callspec = getattr(item, "callspec", None)
    shape = callspec.params.get("shape", "") if callspec else ""
    return story in chosen and shape in {"", *shapes_of(story)}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Print how a test ended: its call if it passed, otherwise the phase that failed or was skipped."""
    if report.when == "call" or report.outcome != "passed":
        _tell(test=report.nodeid, outcome=report.outcome, text=report.longreprtext, seconds=round(report.duration, 1))


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Print what could not be read."""
    if report.failed:
        _tell(test=report.nodeid, outcome=report.outcome, text=report.longreprtext)


def _tell(**what: object) -> None:
    with open(RESULTS, "a", encoding="ascii") as line:  # noqa: PTH123 -- a device, and no file with a path
        line.write(json.dumps(what) + "\n")
