"""The frozen plugin, killed at random instants of ADD, DEL and GC; any call that follows recovers.

`python -m soak.instants --runs 500`. It begins with its seed; what is left in the end ends it with 1.
"""

import argparse
import os
import secrets
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from random import Random

from lab import snapshot, state
from lab.namespaces import Namespace
from lab.plugin import Frozen, InProcess, Json
from lab.probes import ping
from lab.rig import Rig, changed, configuration
from lab.topology import INTERNET6, Site
from soak.churn import Violation, say

NODES = 2
VERBS = ("ADD", "DEL", "GC")
NEXT = ("DEL", "DEL without netns", "GC", "ADD", "another ADD")


class Instants:
    """One node on which call after call is killed."""

    def __init__(self, rig: Rig, random: Random) -> None:
        self._rig, self._random = rig, random
        assert isinstance(rig.plugin, Frozen)
        self._plugin, self._quick = rig.plugin, replace(rig, plugin=InProcess(rig.host))
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self._took = {"ADD": 0.1, "DEL": 0.1, "GC": 0.1}
        rig.cycle()
        self._before = snapshot.take(rig.host)

    def run(self) -> None:
        """Kill a call, have another one follow, and see that all is as it was before."""
        verb, following = self._random.choice(VERBS), self._random.choice(NEXT)
        pod = self._rig.site.pod()
        if verb != "ADD":
            self._quick.attach(pod)
        instant = self._random.uniform(0.001, 1.1 * self._took[verb])
        conf = self._collecting() if verb == "GC" else self._rig.conf
        killed = replace(self._plugin, kill_after=instant).call(verb, conf, netns=pod)
        if killed.code == 0:
            self._took[verb] = killed.seconds
        else:  # the machine may have become slower, and the last instants must have their turn too
            self._took[verb] = min(3.0, 1.05 * self._took[verb])
        self._follow(self._random.choice((self._rig, self._quick)), following, pod)
        self.outcomes[verb, "killed" if killed.code < 0 else "ended before"] += 1
        left = snapshot.difference(self._before, snapshot.take(self._rig.host))
        rows = state.attachments(self._rig.state_dir), state.held_addresses(self._rig.state_dir)
        inside = pod.has_link("eth0")
        pod.delete()
        if left or rows != (0, 0) or inside:
            words = f"{verb} killed after {1000 * instant:.1f} ms (code {killed.code}), then {following}"
            raise Violation(f"{words}: left {left}, rows and addresses {rows}, link in the pod: {inside}")

    def _collecting(self) -> Json:
        return changed(self._rig.conf, cniVersion="1.1.0", **{"cni.dev/valid-attachments": []})

    def _follow(self, rig: Rig, following: str, pod: Namespace) -> None:
        if following == "DEL without netns":
            rig.plugin.delete("", rig.conf, container=pod.name)
        elif following == "GC":
            rig.plugin.gc(self._collecting())
        elif following == "ADD":
            outcome = rig.plugin.call("ADD", rig.conf, netns=pod)
            if outcome.code and "attached already" not in outcome.json["msg"]:
                raise Violation(f"ADD after a kill: {outcome.message}")
            if not _reaches(pod):
                raise Violation("the pod does not reach the internet")
            rig.plugin.delete(pod, rig.conf)
        elif following == "another ADD":
            other = rig.attach()
            rig.plugin.delete(pod, rig.conf)
            if not _reaches(other.pod):
                raise Violation("another pod does not reach the internet")
            rig.detach(other)
            other.pod.delete()
        else:
            rig.plugin.delete(pod, rig.conf)


def _reaches(pod: Namespace) -> bool:
    """Whether a pod reaches the internet; a neighbour that is asked for only once a second must be given the time."""
    return ping(pod, INTERNET6, count=3, interval=0.6) > 0


def kill(seed: str, runs: int) -> tuple[Counter[tuple[str, str]], str]:
    """Kill so often on a node of its own; give what came of it, and the violation if there was one."""
    with Site() as site, tempfile.TemporaryDirectory(prefix="slash80-soak-", dir="/run") as folder:
        plugin = Frozen(site.node.namespace, root=Path(os.environ["SLASH80_ROOT"]))
        # so many addresses that none is reused while it still rests
        conf = configuration(site.node, Path(folder) / "state", ipv4={"prefixes": ["10.96.0.0/20"]})
        instants = Instants(Rig(site, site.node, plugin, conf), Random(seed))
        for number in range(runs):
            try:
                instants.run()
            except (Violation, AssertionError) as violation:
                return instants.outcomes, f"VIOLATION in run {number} of seed {seed}: {violation}"
    return instants.outcomes, ""


def main() -> int:
    """Kill as often as the arguments say, on two nodes at once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", default="")
    arguments = parser.parse_args()
    seed, started = arguments.seed or secrets.token_hex(4), time.monotonic()
    say(f"seed {seed}, {arguments.runs} kills at random instants")
    seeds = [f"{seed}.{node}" for node in range(NODES)]
    with ProcessPoolExecutor(NODES) as pool:
        outcomes, violations = zip(*pool.map(kill, seeds, [arguments.runs // NODES] * NODES), strict=True)
    total: Counter[tuple[str, str]] = sum(outcomes, Counter())
    table = ", ".join(f"{verb} {outcome} {count}" for (verb, outcome), count in sorted(total.items()))
    say(f"{total.total()} runs in {time.monotonic() - started:.0f} s: {table}")
    for violation in filter(None, violations):
        say(violation)
    return 1 if any(violations) else 0


if __name__ == "__main__":
    sys.exit(main())
