"""Containers of podman with its CNI backend (Debian's 4.3.1): the shipped configuration is all that it needs."""

import ipaddress
from collections.abc import Iterator

import pytest

from runtime import chains
from runtime.internet import FAR, NODE, connect
from runtime.node import PREFIX, Node
from runtime.podman import Podman, podman
from runtime.release import NEWEST

# podman asks nothing of containerd; the node is there with it.
pytestmark = pytest.mark.parametrize("containerd_release", [NEWEST], indirect=True)


@pytest.fixture
def runtime(node: Node) -> Iterator[Podman]:
    """Provide podman without containers."""
    with podman(node) as made:
        yield made


def test_life_of_a_container(node: Node, runtime: Podman) -> None:
    """A container has an address of each family, reaches another one and the Internet, and leaves nothing."""
    runtime.serve("one")
    runtime.serve("other")
    found = {name: runtime.addresses(name) for name in ("one", "other")}
    for address in (*found["other"].values(), *FAR.values()):
        runtime.run("exec", "one", "ping", "-c", "1", "-W", "2", address)
    runtime.run("rm", "--force", "--time", "0", "one", "other")

    for addresses in found.values():
        assert all(ipaddress.ip_address(addresses[f]) in ipaddress.ip_network(PREFIX[f]) for f in (4, 6))
    assert node.remains() == []


def test_wishes(node: Node, runtime: Podman) -> None:
    """An address and a MAC that are asked for are given; a second container does not get the same address."""
    runtime.serve("one", "--ip", "10.80.1.77", "--mac-address", "02:80:00:00:00:07")
    refused = runtime.call("run", "--name", "other", "--ip", "10.80.1.77", "slash80.invalid/busybox:runtime", "true")
    network = runtime.network("one")

    assert (network["IPAddress"], network["MacAddress"]) == ("10.80.1.77", "02:80:00:00:00:07")
    assert "10.80.1.77" in refused.stderr
    assert refused.returncode
    assert node.attachments() == 1


def test_disconnected_and_connected(node: Node, runtime: Podman) -> None:
    """A running container taken off the network leaves nothing, and gets new addresses when it is put back."""
    runtime.serve("one")
    runtime.run("network", "disconnect", "slash80", "one")
    remains = node.remains()
    runtime.run("network", "connect", "slash80", "one")

    assert remains == []
    for address in runtime.addresses("one").values():
        assert connect(node.box, address)


def test_published_port(node: Node, runtime: Podman) -> None:
    """A published port leads the node to the container in both families."""
    node.use(node.conflist())
    runtime.serve("one", "--publish", "8080:8080")
    seen = [connect(node.box, address) for address in NODE.values()]
    runtime.run("rm", "--force", "--time", "0", "one")

    assert seen == list(NODE.values())
    assert chains.leftovers(node.box) == []
    assert node.remains() == []
