"""Nodes as their kubelets may write them, for hypothesis."""

import json
from typing import Any

from hypothesis import strategies as st


class _Long(str):
    """A string that a failing example shows by its first characters."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{self[:8]!r}..."


_DEEP, _LONG = _Long("[" * 70_000), _Long("x" * 70_000)
_ODD_ADDRESSES = (
    "fe80::1%eth0 8.8.8.8 10.80.1.5 10.80.2.9 192.0.2.1 192.0.2.2 127.0.0.1 0.0.0.0 :: ::1 ff02::1 ::ffff:10.0.0.1 "
    "2001:db8:a:b:1::5 2001:db8:1::1 x 255.255.255.255"
)
_ODD_CIDRS = (
    "10.80.1.0/24 10.80.2.0/24 10.80.0.0/16 192.0.2.2/32 192.0.2.0/24 8.8.8.0/24 0.0.0.0/0 ::/0 127.0.0.0/16 x "
    "224.0.0.0/16 fe80::/64 ff02::/64 2001:db8:a:b:1::/80 2001:db8:a:b::/64 fe80::%eth0/64 10.80.1.7/24 "
    "2001:db8:a:b:2::/80 255.255.255.252/30 ::ffff:0:0/96"
)
_ADDRESSES = st.one_of(
    st.sampled_from([*_ODD_ADDRESSES.split(), "", _Long("1" * 5000)]),
    st.ip_addresses().map(str),
    st.integers(),
    st.none(),
)
_CIDRS = st.one_of(
    st.sampled_from(_ODD_CIDRS.split()),
    st.builds("{}.80.{}.0/{}".format, st.integers(0, 255), st.integers(0, 255), st.integers(0, 32)),
    st.builds("2001:db8:a:b:{:x}::/{}".format, st.integers(0, 0xFFFF), st.integers(0, 128)),
)
_ANNOTATIONS = st.one_of(
    st.lists(_CIDRS, max_size=6).map(json.dumps),
    st.sampled_from([_DEEP, "nonsense", '"2001:db8::/80"', "[5]", "{}", _Long(json.dumps(["10.80.1.0/24"] * 14_000))]),
    st.text(max_size=20),
)


def _node(name: str, created: str, **parts: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON value
    annotations = {"slash80.io/prefixes": parts["published"], "slash80.io/prefix-override": parts["override"]}
    return {
        "metadata": {"name": name, "creationTimestamp": created, "annotations": annotations},
        "spec": {"podCIDRs": parts["cidrs"], "taints": parts["taints"]},
        "status": {
            "addresses": [{"type": "InternalIP", "address": one} for one in parts["addresses"]] * parts["times"],
            "conditions": parts["conditions"],
        },
    }


NODES = st.builds(
    _node,
    st.sampled_from([f"n{number}" for number in range(8)]),
    st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", ""]),
    published=_ANNOTATIONS,
    override=_ANNOTATIONS,
    cidrs=st.lists(_CIDRS, max_size=4),
    taints=st.lists(st.sampled_from([{"key": "a"}, {}, {"key": 5}]), max_size=2),
    addresses=st.lists(_ADDRESSES, max_size=5),
    times=st.sampled_from([1, 1, 1, 100]),
    conditions=st.lists(st.sampled_from([{}, {"type": "Ready", "status": _LONG}, {"type": 5}]), max_size=2),
)
LISTS = st.lists(NODES, max_size=6, unique_by=lambda node: node["metadata"]["name"])
