"""Roots with the plugin installed in them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.rig import Rig, configuration
from lab.topology import Site
from roots.root import Root, Rooted
from roots.systems import SYSTEMS, busybox, foreign


@pytest.fixture(scope="session")
def plugin() -> Path:
    """The folder in which the plugin is laid out as it ships."""
    if not (root := os.environ.get("SLASH80_ROOT")):
        pytest.fail("SLASH80_ROOT is not set: the Makefile must install the frozen plugin and say where")
    return Path(root, "opt/cni/bin")


@pytest.fixture(scope="module", params=SYSTEMS)
def node(request: pytest.FixtureRequest, plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """Each kind of root, with the plugin installed as the DaemonSet does it."""
    return installed(SYSTEMS[request.param](tmp_path_factory.mktemp(request.param)), plugin)


@pytest.fixture
def bare_node(plugin: Path, tmp_path: Path) -> Root:
    """A root with busybox, in which a test may change what it likes."""
    return installed(busybox(tmp_path), plugin)


@pytest.fixture(scope="module")
def trapped(plugin: Path, tmp_path_factory: pytest.TempPathFactory) -> Root:
    """A root in which every library ends who loads it."""
    return installed(foreign(tmp_path_factory.mktemp("trapped")), plugin)


@pytest.fixture
def rig(node: Root) -> Iterator[Rig]:
    """Put the root on a site as its node."""
    with Site() as site:
        conf = configuration(site.node, Path("/run/slash80"))
        yield Rig(site, site.node, Rooted(site.node.namespace, root=node), conf)


def installed(root: Root, plugin: Path) -> Root:
    """Install the plugin."""
    done = root.install(plugin)
    assert done.returncode == 0, done.stderr.decode()
    return root
