"""Churn a node: `python -m soak --operations 10000`. It begins with its seed; a violation ends it with 1."""

import argparse
import os
import secrets
import signal
import sys
import time
from pathlib import Path

from soak.churn import Churn, Tally, Violation, rate, say
from soak.rounds import adopt_orphans
from soak.world import World


def main() -> int:
    """Churn as the arguments say."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.umask(0o077)
    adopt_orphans()
    seed = arguments.seed or secrets.token_hex(4)
    root = Path(arguments.root) if arguments.root else None
    say(f"seed {seed}, {arguments.operations} operations, frozen plugin {root or 'not used'}")
    started = time.monotonic()
    with World(root) as world:
        churn = Churn(world, seed, frozen=arguments.frozen, kill_every=arguments.kill_every, losing=arguments.losing)
        try:
            _repeat(churn, arguments.operations, arguments.round, arguments.progress)
        except Violation as violation:
            notes = "\n".join(getattr(violation, "__notes__", ()))
            say(f"VIOLATION in round {churn.tally.rounds - 1} of seed {seed}: {violation}\n{notes}")
            return 1
        except KeyboardInterrupt:
            return 130
        finally:
            _table(churn.tally, started)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--seed", default="")
    parser.add_argument(
        "--root", default=os.environ.get("SLASH80_ROOT", ""), help="where the frozen plugin is installed"
    )
    parser.add_argument("--round", type=int, default=1000, help="operations between two audits")
    parser.add_argument("--frozen", type=float, default=0.01, help="share of calls by the frozen plugin")
    parser.add_argument("--kill-every", type=float, default=0.25, help="seconds between two kills at random instants")
    parser.add_argument("--losing", type=float, default=0.02, help="share of rounds in which the store is lost")
    parser.add_argument("--progress", type=float, default=10, help="seconds between two lines of progress")
    return parser.parse_args()


def _repeat(churn: Churn, operations: int, size: int, progress: float) -> None:
    churn.begin()
    started = told = time.monotonic()
    while churn.tally.operations < operations:
        churn.round(size)
        if time.monotonic() - told >= progress:
            told = time.monotonic()
            _line(churn.tally, operations, rate(churn.tally.operations, started))
    churn.end()


def _line(tally: Tally, operations: int, speed: float) -> None:
    verbs = dict.fromkeys(("ADD", "DEL", "CHECK", "GC"), 0)
    good = dict(verbs)
    for (verb, outcome), count in tally.outcomes.items():
        if (name := verb.partition(" ")[0]) in verbs:
            verbs[name] += count
            good[name] += count if outcome == "ok" else 0
    share = ", ".join(f"{verb} {good[verb]}/{count}" for verb, count in verbs.items())
    say(f"{tally.operations}/{operations} {speed:.0f}/s, {tally.kills} kills, {tally.rounds} rounds; {share}")


def _table(tally: Tally, started: float) -> None:
    seconds = time.monotonic() - started
    say(
        f"\n{tally.operations} operations in {tally.rounds} rounds, {seconds:.0f} s, {tally.operations / seconds:.0f}/s"
    )
    say(f"{tally.kills} workers killed, {tally.deaths} calls cut short, {tally.cleared} half-made attachments cleared")
    say(f"store lost or damaged in {tally.lost} rounds, {tally.pings} pings answered")
    for (verb, outcome), count in sorted(tally.outcomes.items()):
        say(f"  {verb:14} {outcome:10} {count:8}")


if __name__ == "__main__":
    sys.exit(main())
