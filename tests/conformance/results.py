"""How each spec ended, read from the report in JUnit's format, and shown as a table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

# Ginkgo's lines about a spec that has ended, of which the next one has the name: the timeline comes after it.
_ENDED = re.compile(r"^• (?:\[(?P<fault>\w+)\] )?\[(?P<seconds>[\d.]+) seconds\]$")
_LISTED = re.compile(r"^\s+\S+:\d+: (.+)$", re.MULTILINE)
_OUTCOMES = ("failed", "not run", "skipped", "passed")  # a table has them in this order


@dataclass(frozen=True, slots=True)
class Result:
    """How a spec ended, after how many seconds, and what was said of it unless it passed."""

    name: str
    outcome: str
    seconds: float = 0.0
    note: str = ""


def listed(text: str) -> list[str]:
    """Return the names that `e2e.test --list-tests` prints."""
    return _LISTED.findall(text)


def ended(lines: Iterable[str]) -> Iterator[str]:
    """Yield a line for each spec that has ended, from the lines of a run as they are printed."""
    last = None
    for line in map(str.rstrip, lines):
        if last and line.startswith("["):
            name, _, _ = line.replace("[It] ", "").rpartition(" [")  # without its labels
            yield f"{(last['fault'] or 'passed').lower()} {float(last['seconds']):6.1f} s  {name}"
        last = _ENDED.match(line)


def read(report: Path, names: Sequence[str]) -> list[Result]:
    """Return the results of the named specs, one for each, and of what failed around them."""
    cases = [*ET.parse(report).iter("testcase")] if report.exists() else []
    found = {result.name: result for result in map(_result, cases)}
    around = [one for name, one in found.items() if name not in names and one.outcome == "failed"]
    return [*around, *(found.get(name, Result(name, "not run")) for name in names)]


def passed(results: Sequence[Result]) -> bool:
    """Report whether specs passed, and all others are skipped on purpose."""
    outcomes = {one.outcome for one in results}
    return "passed" in outcomes and outcomes <= {"passed", "skipped"}


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield the results as a table in Markdown, and their numbers before it."""
    numbers = Counter(one.outcome for one in results)
    yield ", ".join(f"{numbers[outcome]} {outcome}" for outcome in reversed(_OUTCOMES) if numbers[outcome]) + "."
    yield ""
    yield "| spec | result | seconds |"
    yield "|---|---|--:|"
    for one in sorted(results, key=lambda one: (_OUTCOMES.index(one.outcome), one.name)):
        note = f": {one.note}" if one.note else ""
        yield f"| {one.name} | {one.outcome}{note} | {one.seconds:.0f} |"


def _result(case: ET.Element) -> Result:
    # Ginkgo puts the kind of a node before its name.
    name, seconds = case.get("name", "").removeprefix("[It] "), float(case.get("time", "0"))
    for tag in ("failure", "error"):
        if (found := case.find(tag)) is not None:
            return Result(name, "failed", seconds, _first_line(found.text or ""))
    if (found := case.find("skipped")) is None:
        return Result(name, "passed", seconds)
    # With a reason it has skipped itself; without, it was not chosen, or an interrupted run did not come to it.
    _, _, reason = found.get("message", "").partition("skipped - ")
    return Result(name, "not run", seconds, _first_line(reason))


def _first_line(text: str) -> str:
    """Return it so that it has room in a cell."""
    lines = text.removeprefix("[FAILED]").strip().splitlines() or [""]
    return lines[0].replace("|", "\\|")[:300]
