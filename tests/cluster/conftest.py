"""Clusters for the tests: made by kind with the manifests and the image that ship, and removed whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cluster.clusterset import Site, brought_up
from cluster.outside import Outside
from cluster.pods import Pods
from cluster.traces import traces
from kind import __main__ as kind
from kind.cluster import Cluster
from kind.sandbox import Sandbox
from kind.temporary import install, made, sandboxed

_BEFORE: dict[str, dict[str, set[str]]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a developer use the cluster that runs already."""
    parser.addoption("--running", action="store_true", help="test on the cluster of `make kind`, and leave it there")


@pytest.fixture(scope="session")
def sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Provide a place where podman and kind may work, with the node image."""
    if request.config.getoption("--running"):
        yield Sandbox(kind.FOLDER, "kind")
        return
    with sandboxed(kind.ROOT / "build/cluster", "test") as found:
        yield found


@pytest.fixture(scope="session", params=["dual", "dual-v6"])
def cluster(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Cluster]:
    """Provide a dual-stack cluster with slash80: IPv4 first with kube-proxy on iptables, IPv6 first on nftables."""
    if request.config.getoption("--running"):
        if request.param != "dual":
            pytest.skip("the running cluster is another")
        yield Cluster(sandbox, kind.CLUSTER_TOOLS)
        return
    with made(sandbox, request.param) as found:
        _BEFORE[request.param] = traces(found)
        seconds = install(found)
        _say(request, f"{request.param}: every node was ready {seconds:.1f} s after kubectl apply")
        yield found


@pytest.fixture(scope="session")
def before(cluster: Cluster, primary: int) -> dict[str, set[str]]:
    """Return what was on the cluster's nodes before slash80 came."""
    found = _BEFORE.get("dual" if primary == 4 else "dual-v6")
    return found if found is not None else pytest.skip("no snapshot was taken before this cluster was created")


@pytest.fixture(scope="session")
def primary(cluster: Cluster) -> int:
    """Return the version of the family that the cluster has first."""
    return 6 if ":" in cluster.get("service", "kubernetes")["spec"]["clusterIP"] else 4


@pytest.fixture(scope="session")
def pods(cluster: Cluster) -> Iterator[Pods]:
    """Have a web server on every node."""
    found = Pods(cluster)
    found.start()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def outside(cluster: Cluster) -> Iterator[Outside]:
    """Provide a host outside of the cluster, which routes every node's prefixes to it."""
    with Outside(cluster) as found:
        yield found


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Site]:
    """Provide three clusters with the program of a clusterset, none of which is in a file."""
    if request.config.getoption("--running"):
        pytest.skip("one cluster is running, and this needs three of its own")
    with brought_up(sandbox) as found:
        _say(request, "three clusters: created within {:.0f} s, all ready after {:.0f} s".format(*found.seconds))
        yield found


def _say(request: pytest.FixtureRequest, words: str) -> None:
    captured: Any = request.config.pluginmanager.get_plugin("capturemanager")
    with captured.global_and_fixture_disabled():
        print(f"\n{words}")
