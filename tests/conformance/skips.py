"""Specs that are not run although they are asked for, and why: `skipped.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conformance.results import Result

LIST = Path(__file__).with_name("skipped.toml")


@dataclass(frozen=True, slots=True)
class Skip:
    """The specs in whose names a pattern is found, and why they are not run."""

    name: str
    reason: str

    def result(self, name: str) -> Result:
        """Return the result of one of them."""
        return Result(name, "skipped", note=self.reason)


def read(path: Path = LIST) -> list[Skip]:
    """Return the list."""
    return [Skip(**one) for one in tomllib.loads(path.read_text())["skipped"]]


def unused(skips: Iterable[Skip], names: Sequence[str]) -> list[str]:
    """Return the patterns that are found in no name: of specs that were renamed, or are gone."""
    return [skip.name for skip in skips if not any(re.search(skip.name, name) for name in names)]


def divided(names: Iterable[str], skips: Sequence[Skip]) -> tuple[list[str], list[Result]]:
    """Return which of the specs are to be run, and the results of the others."""
    run, skipped = [], []
    for name in names:
        reason = next((skip for skip in skips if re.search(skip.name, name)), None)
        if reason:
            skipped.append(reason.result(name))
        else:
            run.append(name)
    return run, skipped
