"""Whether a person agrees with what was shown."""

from __future__ import annotations

import argparse
import sys


def withheld(chosen: argparse.Namespace, question: str) -> int:
    """Return 0 where it may be done: `--yes`, or a person says so; else the exit code. Nothing goes to the output."""
    if chosen.yes:
        return 0
    if chosen.output == "json" or not sys.stdin.isatty():
        print(f"{question} Give --yes: it is asked on a terminal only, and not with -o json", file=sys.stderr)
        return 2
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in {"y", "yes"}:
        return 0
    print("nothing was changed", file=sys.stderr)
    return 1
