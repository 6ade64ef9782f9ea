"""A node with three pods on the usual site, and the policies' table to put there."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lab.node_agent import NodeAgent, node_agent
from lab.plugin import Frozen
from lab.policies import Wall
from lab.probes import Server
from lab.rig import Attachment, Rig
from lab.topology import Site
from netns.conftest import root


class Pods(NamedTuple):
    """Three pods of one node."""

    a: Attachment
    b: Attachment
    c: Attachment


@pytest.fixture
def wall(routed: Rig) -> Iterator[Wall]:
    """Provide the table of a node whose pods everybody on the site may reach as far as the base table goes."""
    wall = Wall(routed.having(firewall={"trusted": ["2001:db8::/32", "198.51.100.0/24"]}))
    try:
        yield wall
    finally:
        wall.table.close()


@pytest.fixture
def pods(wall: Wall) -> Pods:
    """Attach three pods."""
    return Pods(*(wall.rig.attach() for _ in range(3)))


@pytest.fixture
def served(pods: Pods) -> Iterator[Pods]:
    """Have each of the pods answer on port 7."""
    servers = [Server(one.pod) for one in pods]
    try:
        yield pods
    finally:
        for server in servers:
            server.close()


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[tuple[Rig, NodeAgent]]:
    """Provide a node of Kubernetes with its agent, and an API server."""
    with Site(route_ipv4_pods=True) as site, node_agent(site.node, root(), tmp_path / "k8s") as agent:
        yield Rig(site, site.node, Frozen(site.node.namespace, root=root()), agent.conf()), agent
