"""What Debian packages each target installs: the table that `make fresh` proves to be enough on a bare machine."""

import json
import re
from pathlib import Path

import pytest

from lab import programs

ROOT = Path(__file__).parents[2]
TABLE: dict[str, list[str]] = json.loads((ROOT / "tests/fresh/packages.json").read_text())


@pytest.mark.parametrize("target", TABLE)
def test_make_target_installs_the_listed_packages(target: str) -> None:
    """A package that is added or removed changes the table, and `make fresh` then has to try it."""
    told = programs.run(["make", "--dry-run", "-C", str(ROOT), target], environ={"PATH": "/usr/bin:/bin", "HOME": "/"})
    lists = re.findall(r"for package in ([^;]*);", told)

    assert TABLE[target] == sorted({name for found in lists for name in found.split()})
