"""Sandboxes and clusters for the time of a block: what is in them is removed, whatever happens."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kind import __main__ as kind
from kind import nodeimage, ourimage
from kind.cluster import Cluster, settle
from kind.sandbox import Sandbox

MANIFESTS = kind.ROOT / "manifests"
OVERLAY = MANIFESTS / "overlays/default"  # what a user of a real cluster applies


@contextmanager
def sandboxed(folder: Path, name: str) -> Iterator[Sandbox]:
    """Make a place where podman and kind may work, with the node image; SIGTERM ends it like ctrl-C."""
    found = Sandbox(folder, name)
    image = nodeimage.ensure(kind.TOOLS, kind.CLUSTER_TOOLS, kind.CACHE)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found.up()
        nodeimage.load(image, found.entering([]))
        yield found
    finally:
        found.down()


@contextmanager
def made(sandbox: Sandbox, config: str, name: str = "lab") -> Iterator[Cluster]:
    """Make a cluster without a network for its pods, but with our image loaded; delete it afterwards."""
    found = Cluster(sandbox, kind.CLUSTER_TOOLS, name)
    try:
        found.create(MANIFESTS / "kind" / f"cluster-{config}.yaml")
        found.load(ourimage.ensure(kind.CACHE))
        yield found
    finally:
        found.delete()


def install(cluster: Cluster, overlay: Path = OVERLAY) -> float:
    """Apply an overlay as a user would; return the seconds until every node was ready."""
    begun = time.monotonic()
    cluster.kubectl("apply", "-k", overlay)
    settle(cluster)
    return time.monotonic() - begun
