"""`python -m kind`: a cluster to play with, in a sandbox of its own; `make kind` and `make kind-down` call this."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from kind import nodeimage, ourimage
from kind.cluster import Cluster, settle
from kind.sandbox import Sandbox
from lab.programs import ProgramFailed

ROOT = Path(__file__).parents[2]
TOOLS, CLUSTER_TOOLS = (Path(os.environ.get(name, "")) for name in ("SLASH80_TOOLS", "SLASH80_CLUSTER_TOOLS"))
CACHE = Path(os.environ.get("SLASH80_CACHE", ""))
FOLDER = ROOT / "build/kind"

_HOW = """The cluster is up. What has to reach it runs in its sandbox:
  build/kind/in kubectl get nodes
  build/kind/in kubectl get pods -A -o wide
  make kind-down"""


def main() -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m kind", description=__doc__)
    parser.add_argument("command", choices=["image", "up", "down", "run"])
    parser.add_argument("--config", type=Path, default=ROOT / "manifests/kind/cluster-dual.yaml")
    parser.add_argument("words", nargs=argparse.REMAINDER, help="for run: what is run where kubectl and podman are")
    chosen = parser.parse_args()
    sandbox = Sandbox(FOLDER, "kind")
    cluster = Cluster(sandbox, CLUSTER_TOOLS)
    try:
        if chosen.command == "run":
            os.execvp("sh", cluster.entering(chosen.words))
        if chosen.command == "down":
            sandbox.down()
            return 0
        ours = ourimage.ensure(CACHE)
        if chosen.command == "image":
            print(f"{ourimage.NAME} is {ours}")
            return 0
        image = nodeimage.ensure(TOOLS, CLUSTER_TOOLS, CACHE)
        print("making the cluster", flush=True)
        sandbox.up()
        nodeimage.load(image, sandbox.entering([]))
        cluster.create(chosen.config)
        _write_entry(cluster)
        cluster.load(ours)
        cluster.kubectl("apply", "-k", ROOT / "manifests/overlays/default")
        settle(cluster)
        print(_HOW)
    except ProgramFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _write_entry(cluster: Cluster) -> None:
    """Leave a program that runs a command where kubectl and podman are."""
    path = FOLDER / "in"
    words = shlex.join(cluster.entering([]))
    path.write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    path.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main())
