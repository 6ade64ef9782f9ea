"""`make mutants`: put random small faults into the source, one at a time, and see whether a test fails for each.

Those that no test noticed are printed, with the tests that ran; the source of this tree is not touched.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from queue import SimpleQueue

from mutants import reach
from mutants.operators import Mutation, mutations
from mutants.reach import Reach, Traced, Untraceable
from mutants.sandbox import OUT, Sandbox, Unusable

_TREE = Path(__file__).parents[2]
_EQUIVALENT = Path(__file__).with_name("equivalent.toml")
_SHOWN = 8  # names of tests
_LIMIT = 300  # seconds for pytest itself on a busy machine: what hangs is ended sooner, by the time limit of each test


@dataclass
class Verdict:
    """What came of one mutant: what killed it, or "" with the tests that ran, of those that reach it."""

    mutation: Mutation
    killed_by: str = ""
    ran: list[Traced] = field(default_factory=list)
    reaching: int = 0

    def sentence(self) -> str:
        """Return the verdict in one line, or in several for one that survived."""
        place = f"{self.mutation.path}:{self.mutation.first}: {self.mutation.operator}"
        if self.killed_by:
            return f"killed    {place}: {self.killed_by}"
        names = [f"    {test.name}" for test in self.ran[:_SHOWN]]
        more = [f"    and {len(self.ran) - _SHOWN} more"] if len(self.ran) > _SHOWN else []
        reason = equivalents().get((self.mutation.path, self.mutation.after[0].strip()), "")
        argued = [f"  changes nothing: {reason}"] if reason else []
        ran = (
            f"  {len(self.ran)} of {self.reaching} tests ran that reach it" if self.reaching else "  no test reaches it"
        )
        return "\n".join([f"SURVIVED  {place}", self.mutation.diff(), *argued, ran, *names, *more])


@dataclass(frozen=True)
class Trial:
    """How a mutant is tried: with at most `budget` seconds of a tier's tests, by what says which of them failed."""

    reach: Reach
    budget: float
    notice: Callable[[Sandbox, Sequence[Traced]], str]

    def judge(self, sandbox: Sandbox, verdict: Verdict) -> None:
        """Run the tests that may notice a fault."""
        tests = self.reach.tests_of(verdict.mutation)
        verdict.reaching += len(tests)
        if not tests:
            return
        file, chosen = sandbox.tree / verdict.mutation.path, self._within_budget(tests)
        text = file.read_text()
        file.write_text(verdict.mutation.apply(text))
        try:
            verdict.ran += chosen
            verdict.killed_by = self.notice(sandbox, chosen)
        finally:
            file.write_text(text)

    def _within_budget(self, tests: Sequence[Traced]) -> list[Traced]:
        chosen, seconds = [tests[0]], tests[0].seconds
        for test in tests[1:]:
            if seconds + test.seconds <= self.budget:
                chosen.append(test)
                seconds += test.seconds
        return chosen


def _noticed(sandbox: Sandbox, tests: Sequence[Traced]) -> str:
    """Run tests, and return which one noticed the fault, or nothing.

    A test that fails only once has noticed that the machine is busy.
    """
    left = list(tests)
    while left:
        said = _first_failure(sandbox, left)
        test = next((one for one in left if f"{said} ".startswith(f"{one.name} ")), None)
        if test is None or _first_failure(sandbox, [test]):
            return said
        left = left[left.index(test) + 1 :]
    return ""


def _first_failure(sandbox: Sandbox, tests: Sequence[Traced]) -> str:
    """Run tests up to the first that fails, and return its name with what pytest says of it, or nothing."""
    (sandbox.out / "chosen").write_text("\n".join(test.name for test in tests))
    command = reach.pytest_command(sorted({test.name.partition("::")[0] for test in tests}))
    limit = _LIMIT + 20 * sum(test.seconds for test in tests)
    ended = sandbox.run([*command, "-x"], {"SLASH80_CHOSEN": str(OUT / "chosen")}, limit)
    if ended.code is None:
        return f"time-out after {limit:.0f} s"
    if ended.code == 0:
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (.*)", ended.text, re.MULTILINE)
    return failed[1] if failed else f"pytest ended with {ended.code}: {ended.text.strip()[-300:]}"


@cache
def equivalents() -> dict[tuple[str, str], str]:
    """Return why a fault changes nothing, by file and changed line; it is tried and counted like any other."""
    listed = tomllib.loads(_EQUIVALENT.read_text())["equivalent"]
    return {(one["file"], one["line"]): one["reason"] for one in listed}


def candidates(places: Sequence[str]) -> list[Mutation]:
    """Return every fault below these paths of the tree, or in those lines of files that are named as FILE:LINE."""
    found = []
    for place in places:
        name, _, line = place.partition(":")
        path = _TREE / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            made = mutations(str(file.relative_to(_TREE)), file.read_text())
            found += [one for one in made if not line or one.first <= int(line) <= one.last]
    return found


def choose(found: Sequence[Mutation], seed: int, count: int) -> list[Mutation]:
    """Return so many faults of different lines, chosen by the seed."""
    lines: dict[tuple[str, int], Mutation] = {}
    for one in sorted(found, key=lambda one: one.rank(seed)):
        lines.setdefault((one.path, one.first), one)
    return list(lines.values())[:count]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants ARGS=...", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="which faults are chosen (1)")
    parser.add_argument("--count", type=int, default=60, help="how many (60), each in another line")
    parser.add_argument(
        "--jobs", type=int, default=max(1, (os.cpu_count() or 1) // 2), help="how many at the same time"
    )
    parser.add_argument("--budget", type=float, default=60, help="seconds of tests a mutant and tier (60)")
    parser.add_argument("--tiers", nargs="+", choices=reach.TIERS, default=reach.TIERS, help="which tests are tried")
    parser.add_argument("--at-least", type=float, default=0, help="exit code 1 if the score is below so many percent")
    parser.add_argument("places", nargs="*", default=["src/slash80"], metavar="PATH[:LINE]", help="where (src/slash80)")
    return parser.parse_args()


def main() -> int:
    """Try the mutants tier by tier, in the next one those that survived, and print the score."""
    chosen = _arguments()
    found = candidates(chosen.places)
    verdicts = [Verdict(fault) for fault in choose(found, chosen.seed, chosen.count)]
    try:
        _judge(verdicts, chosen)
    except (Untraceable, Unusable) as error:
        print(f"make mutants: {error}", file=sys.stderr)
        return 2
    killed = sum(bool(verdict.killed_by) for verdict in verdicts)
    print(*(verdict.sentence() for verdict in verdicts if not verdict.killed_by), sep="\n")
    score = 100 * killed / len(verdicts) if verdicts else 100.0
    print(f"{killed} of {len(verdicts)} mutants killed: {score:.0f} % (seed {chosen.seed}, of {len(found)} faults)")
    return 1 if score < chosen.at_least else 0


def _judge(verdicts: Sequence[Verdict], chosen: argparse.Namespace) -> None:
    work = _TREE / "build/mutants"
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        boxes = [Sandbox(_TREE, Path(folder, str(number))) for number in range(chosen.jobs)]
        for tier in chosen.tiers:
            known = reach.read(tier, boxes[0], Path(os.environ["SLASH80_CACHE"]) / "mutants")
            _try(Trial(known, chosen.budget, _noticed), boxes, [one for one in verdicts if not one.killed_by])


def _try(trial: Trial, boxes: Sequence[Sandbox], verdicts: Sequence[Verdict]) -> None:
    """Judge the mutants, as many at the same time as there are sandboxes, and print those that were killed."""
    free: SimpleQueue[Sandbox] = SimpleQueue()
    for box in boxes:
        free.put(box)

    def judge(verdict: Verdict) -> None:
        box = free.get()
        try:
            trial.judge(box, verdict)
        finally:
            free.put(box)
        if verdict.killed_by:
            print(verdict.sentence(), flush=True)

    with ThreadPoolExecutor(len(boxes)) as pool:
        list(pool.map(judge, verdicts))


if __name__ == "__main__":
    sys.exit(main())
