"""Objects as the API sends them."""

from ipaddress import ip_address, ip_network

import pytest

from slash80.cluster.objects.node import NodeSeen, read_node


def test_node_addresses_put_internal_ones_first() -> None:
    """Internal addresses come first, in the cluster's order."""
    addresses = [
        ("Hostname", "a"),
        ("ExternalIP", "192.0.2.9"),
        ("InternalIP", "10.0.0.5"),
        ("InternalIP", "2001:db8::5"),
    ]
    document = {
        "metadata": {
            "name": "a",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "annotations": {"slash80.io/prefix-override": "[]", "slash80.io/prefixes": '["2001:db8:a::/80"]'},
        },
        "spec": {
            "podCIDR": "10.80.1.0/24",
            "podCIDRs": ["10.80.1.0/24", "2001:db8:a:b:1::/80"],
            "taints": [{"key": "slash80.io/not-ready", "effect": "NoSchedule"}],
        },
        "status": {
            "addresses": [{"type": kind, "address": address} for kind, address in addresses],
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }
    assert NodeSeen(
        name="a",
        created="2026-01-01T00:00:00Z",
        pod_cidrs=(ip_network("10.80.1.0/24"), ip_network("2001:db8:a:b:1::/80")),
        addresses=tuple(map(ip_address, ("10.0.0.5", "2001:db8::5", "192.0.2.9"))),
        override="[]",
        published='["2001:db8:a::/80"]',
        announced=(ip_network("2001:db8:a::/80"),),
        taints=("slash80.io/not-ready",),
        conditions={"Ready": ("True", "KubeletReady", "")},
    ) == read_node(document)


@pytest.mark.parametrize("more", [{}, {"spec": {}, "status": {}}, {"spec": {"podCIDRs": None, "taints": None}}])
def test_new_node_has_only_a_name(more: dict[str, object]) -> None:
    """A Node that has just registered has a name and no prefix or address."""
    assert NodeSeen("a", "") == read_node({"metadata": {"name": "a", "annotations": None}} | more)


def test_invalid_address_of_a_node_is_ignored() -> None:
    """The API validates no addresses: an invalid one is left out and does not affect other nodes."""
    addresses = [{"type": "InternalIP", "address": "nonsense"}, {"type": "InternalIP"}, {}]
    status = {"addresses": [*addresses, {"type": "InternalIP", "address": "10.0.0.5"}], "conditions": [{}]}
    spec = {"podCIDRs": ["10.80.1.0/24", "nonsense"], "taints": [{}]}
    found = read_node({"metadata": {"name": "a"}, "spec": spec, "status": status})
    assert ((ip_address("10.0.0.5"),), (ip_network("10.80.1.0/24"),)) == (found.addresses, found.pod_cidrs)


def test_node_with_a_single_pod_cidr_is_read() -> None:
    """The field from before dual stack is read too."""
    found = read_node({"metadata": {"name": "a"}, "spec": {"podCIDR": "10.80.1.0/24"}})
    assert (ip_network("10.80.1.0/24"),) == found.pod_cidrs
