"""`make fresh`: that each target brings what it needs, seen on a bare Debian that has git and make and nothing more."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path

from fresh.machine import Machine, bare
from lab.programs import ProgramFailed

_TREE = Path(__file__).parents[2]
_PACKAGES = Path(__file__).with_name("packages.json")
# One test of each tier; the first target builds the plugin, the others find it built.
_TRIALS = {
    "demo": "make demo",
    "unit": "make unit ARGS='-k test_docs'",
    "netns": "make netns ARGS='-k test_pod_pings_the_internet'",
    "launcher": "make launcher ARGS='-k test_alone'",
    "runtime": "make runtime ARGS='-k test_pods_reach_each_other'",
    "cluster": "make cluster ARGS='-k test_an_ipv6_only_cluster'",
    "kind": "make kind; build/kind/in kubectl get nodes; make kind-down",
}
_SHORT = ("demo", "unit", "netns")


def main() -> int:
    """Try the targets; the exit code says whether all of them worked."""
    parser = argparse.ArgumentParser(prog="make fresh ARGS=...", description=__doc__)
    parser.add_argument("--short", action="store_true", help=f"only {', '.join(_SHORT)}")
    parser.add_argument("targets", nargs="*", choices=[[], *_TRIALS], metavar="TARGET", help="only these")
    chosen = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    targets = chosen.targets or (_SHORT if chosen.short else tuple(_TRIALS))
    expected: dict[str, list[str]] = json.loads(_PACKAGES.read_text())
    print("making a bare Debian", flush=True)
    with bare(_TREE / "build/fresh", _TREE) as machine:
        complaints = [_try(machine, target, set(expected[target])) for target in targets]
    failed = sum(map(bool, complaints))
    print(f"{len(targets) - failed} passed, {failed} failed")
    return 1 if failed else 0


def _try(machine: Machine, target: str, expected: set[str]) -> str:
    """Try one target, and print how it went; return what is wrong, or nothing."""
    begun, complaint = time.monotonic(), ""
    with machine.root(target) as root:
        before = machine.packages(root)
        try:
            machine.run(root, _TRIALS[target])
        except ProgramFailed as error:
            complaint = str(error)
        added = machine.packages(root) - before
    if more := added - expected:
        complaint += f"\n{target} installs {', '.join(sorted(more))}, which {_PACKAGES} does not list"
    print(f"make {target}: {'FAILED' if complaint else 'ok'}, {time.monotonic() - begun:.0f} s", flush=True)
    print(complaint, end="\n" if complaint else "", flush=True)
    return complaint


if __name__ == "__main__":
    sys.exit(main())
