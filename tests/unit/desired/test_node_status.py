"""What Kubernetes should see of a node."""

from collections.abc import Sequence

import pytest

from slash80.desired.node import Desired
from slash80.desired.node_status import NodeStatus, node_status, ready

V6, OLD, V4 = "2001:db8:a:b:1::/80", "2001:db8:a:b:9::/80", "10.80.1.0/24"


def _status(*, ready: bool = True, draining: Sequence[str] = (), unrouted: Sequence[str] = ()) -> NodeStatus:
    entries = [{"prefix": V6, "state": "active"}, *({"prefix": prefix, "state": "draining"} for prefix in draining)]
    node_file = {"ipv6": entries, "ipv4": [{"prefix": V4, "state": "active"}]}
    return node_status(Desired(node_file, {}, (), (), ()), ready=ready, unrouted=unrouted)


@pytest.mark.parametrize("missing", range(3))
def test_a_node_is_ready_only_with_all_of_its_parts(missing: int) -> None:
    """One part that is not in force is enough to keep pods away."""
    assert ready([True, True, True])
    assert not ready([part != missing for part in range(3)])


def test_all_prefixes_are_published() -> None:
    """Those that drain are among them: their pods still need the way."""
    assert (V6, OLD, V4) == _status(draining=[OLD]).prefixes


def test_a_ready_node_has_its_network() -> None:
    """NetworkUnavailable is cleared for a ready node and never set: the kubelet or the cloud does that."""
    assert ("False", "Slash80Ready") == _status().conditions["NetworkUnavailable"][:2]
    assert "NetworkUnavailable" not in _status(ready=False).conditions


def test_a_draining_prefix_is_named_in_a_condition() -> None:
    """The condition tells the next step, and is False for a node without such prefixes."""
    status, reason, message = _status(draining=[OLD]).conditions["Slash80PrefixDraining"]
    assert ("True", "PodsLeft") == (status, reason)
    assert f"addresses of {OLD}; recreate them" in message
    assert ("False", "NoneLeft") == _status().conditions["Slash80PrefixDraining"][:2]


def test_an_ipv4_prefix_without_a_route_is_named_in_a_condition() -> None:
    """Without an overlay the network has to route it."""
    status, reason, message = _status(unrouted=["10.80.2.0/24"]).conditions["Slash80IPv4Routed"]
    assert ("False", "NoRoute") == (status, reason)
    assert "10.80.2.0/24" in message
    assert ("True", "Routed") == _status().conditions["Slash80IPv4Routed"][:2]


def test_a_condition_names_so_many_prefixes_as_the_api_takes() -> None:
    """A cluster of thousands of nodes without routes has a sentence all the same, with how many others there are."""
    unrouted = [f"10.{number >> 8}.{number & 255}.0/24" for number in range(5000)]
    message = _status(unrouted=unrouted).conditions["Slash80IPv4Routed"][2]
    assert "10.0.63.0/24 and 4936 more" in message
    assert len(message) < 32 << 10
