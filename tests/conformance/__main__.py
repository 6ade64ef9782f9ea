"""`make conformance`: Kubernetes' own tests of networking, on a cluster that is made for them and removed."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from conformance import images, page, results, skips
from conformance.results import Result
from conformance.suite import Suite
from kind import __main__ as kind
from kind.cluster import Cluster
from kind.sandbox import Sandbox
from kind.temporary import install, made, sandboxed
from lab.programs import ProgramFailed

_TOOLS = Path(os.environ.get("SLASH80_CONFORMANCE_TOOLS", ""))
_FOLDER = kind.ROOT / "build/conformance"
_FOCUS = r"\[sig-network\].*\[Conformance\]|\[Feature:IPv6DualStack\]|\[sig-network\] Netpol"
_PAGE = kind.ROOT / "docs/conformance.md"
_CONFIG = "dual"


def main() -> int:
    """Run the specs; the exit code says whether all passed."""
    chosen = _arguments()
    suite = Suite(_TOOLS, _FOLDER / "logs")
    try:
        found, about = _run(chosen, suite)
    except ProgramFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted, and all is removed", file=sys.stderr)
        return 130
    section = [about, "", *results.table(found)]
    print(*section, "", f"The log is {suite.log}.", sep="\n")
    if chosen.write:
        _PAGE.write_text(page.with_section(_PAGE.read_text(), page.command(_options(chosen)), section))
    return 0 if results.passed(found) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make conformance ARGS=...", description=__doc__)
    parser.add_argument("--focus", default=_FOCUS, help="only specs whose names match (%(default)s)")
    parser.add_argument("--config", default=_CONFIG, help="the cluster of this name in manifests/kind (%(default)s)")
    parser.add_argument("--at-once", type=int, default=3, metavar="N", help="run so many specs at a time (%(default)s)")
    parser.add_argument("--running", action="store_true", help="use the cluster of `make kind`, and leave it there")
    parser.add_argument("--write", action="store_true", help=f"write the results into {_PAGE.relative_to(kind.ROOT)}")
    return parser.parse_args()


def _options(chosen: argparse.Namespace) -> list[str]:
    """Return which of the options decide what is run."""
    options = [("--focus", chosen.focus, _FOCUS), ("--config", chosen.config, _CONFIG)]
    return [word for name, value, usual in options if value != usual for word in (name, value)]


def _run(chosen: argparse.Namespace, suite: Suite) -> tuple[list[Result], str]:
    """Run the specs on a cluster; return their results, and what they were run on."""
    every, listed = suite.names(), skips.read()
    if unused := skips.unused(listed, every):
        raise ProgramFailed(f"no spec of {_TOOLS / 'e2e.test'} matches {', '.join(unused)} of {skips.LIST}: strike it")
    names, skipped = skips.divided([name for name in every if re.search(chosen.focus, name)], listed)
    if not names:
        raise ProgramFailed(
            f"no spec that can be run matches {chosen.focus}: {_TOOLS / 'e2e.test'} --list-tests lists all"
        )
    image = images.ensure(_TOOLS, kind.CLUSTER_TOOLS, kind.CACHE)
    with _cluster(chosen) as cluster:
        cluster.load(image)
        # Pods on both nodes: what crosses from one to the other is tested too.
        cluster.kubectl("taint", "nodes", "--all", "node-role.kubernetes.io/control-plane-", check=False)
        about = _about(cluster, chosen)
        print(f"running {len(names)} specs; the log is {suite.log}", flush=True)
        begun = time.monotonic()
        for line in suite.run(cluster, chosen.focus, listed, chosen.at_once):
            print(line, flush=True)
        took = f"{(time.monotonic() - begun) / 60:.0f} min with {chosen.at_once} specs at a time"
    return [*results.read(suite.report, names), *skipped], f"{about}. The specs took {took}."


@contextmanager
def _cluster(chosen: argparse.Namespace) -> Iterator[Cluster]:
    """Have a cluster with slash80, as it is made for the tests of `make cluster`."""
    if chosen.running:
        yield Cluster(Sandbox(kind.FOLDER, "kind"), kind.CLUSTER_TOOLS)
        return
    print("making the cluster", flush=True)
    with sandboxed(_FOLDER / "sandbox", "conformance") as sandbox, made(sandbox, chosen.config) as cluster:
        install(cluster)
        yield cluster


def _about(cluster: Cluster, chosen: argparse.Namespace) -> str:
    """Return the versions of what the specs run on."""
    nodes = [one["status"]["nodeInfo"] for one in cluster.items("nodes")]
    node = nodes[0]
    return (
        f"Kubernetes {node['kubeletVersion']}, {node['containerRuntimeVersion'].replace('://', ' ')}, Linux "
        f"{platform.release()}, {len(nodes)} nodes, cluster `{chosen.config}`, {datetime.now(UTC):%Y-%m-%d}"
    )


if __name__ == "__main__":
    sys.exit(main())
