"""What another member says is believed within the bounds of its entry in the file, and no further."""

from collections.abc import Collection
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab import members
from slash80.addressing.special import special
from slash80.clusterset import refuse, volume, wire
from slash80.clusterset.records import Export
from slash80.clusterset.refuse import Admission, Limits
from unit.clusterset.exports import BORN, DB, DOCUMENT, EXPORTS

HERE = frozenset({"shop", "pay", "kube-system"})
MEMBER = members.member(0, namespaces=["shop", "gone"])  # 2001:db8:0::/48, since 2026-11-27
SINCE = 1_795_737_600  # that day's first second in UTC


def admission(member: Any = MEMBER, limits: Limits | None = None, here: Collection[str] = HERE) -> Admission:  # noqa: ANN401 -- a Member
    """Return an Admission of a member's records."""
    return Admission(member, lambda: here, limits or Limits())


def with_endpoints(*addresses: str, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 -- any JSON value
    """Return a record with endpoints of these addresses in an IPv6 slice."""
    listed = [{"address": address} for address in addresses]
    return DOCUMENT | {"slices": [{"family": 6, "ports": [["pg", "TCP", 15432]], "endpoints": listed}]} | changes


def believed(found: Export | None) -> list[str]:
    """Return the addresses that were believed."""
    assert found
    return [str(endpoint.address) for one in found.slices for endpoint in one.endpoints]


def test_a_record_within_its_bounds_is_believed() -> None:
    """It comes out as it was sent, and nothing is counted."""
    found = admission()

    assert wire.decode(DOCUMENT) == found.admit(DOCUMENT)
    assert not found.refused
    assert not found.examples


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"namespace": "pay"}, refuse.NAMESPACE, "pay/db: member 'c0' may not export from namespace pay"),
        ({"namespace": "kube-system"}, refuse.NAMESPACE, "may not export from namespace kube-system"),
        ({"namespace": "SHOP"}, refuse.UNREADABLE, "namespace is 'SHOP'"),
        ({"name": "db/../x"}, refuse.UNREADABLE, "name is 'db/../x'"),
        ({"ports": [["pg", "TCP", 65536]]}, refuse.UNREADABLE, "shop/db: ports[0].port is 65536"),
        ({"families": [4]}, refuse.FAMILY, "shop/db: member 'c0' has no prefix of its families"),
    ],
)
def test_a_record_that_is_not_its_members_is_refused_whole(changes: dict[str, Any], reason: str, words: str) -> None:
    """Namespaces that it may not export from, names and ports that cannot be, families of which it has no prefix."""
    found = admission(members.member(0, namespaces=["*"]) if changes.get("namespace") == "kube-system" else MEMBER)

    assert found.admit(DOCUMENT | changes) is None
    assert {reason: 1} == found.refused
    assert words in found.examples[0]


def test_a_namespace_that_is_not_here_is_no_lie() -> None:
    """Its Services are none of this cluster's business: they are dropped before they are read, and not counted."""
    found = admission()

    assert found.admit(DOCUMENT | {"namespace": "gone", "ports": "nonsense"}) is None
    assert not found.refused


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("2001:db8:1::1", refuse.ADDRESS),
        ("fd00:ec2::254", refuse.ADDRESS),
        ("::ffff:c000:201", refuse.ADDRESS),
        ("::1", refuse.ADDRESS),
        ("10.0.0.1", refuse.FAMILY),
    ],
)
def test_an_address_that_is_not_its_members_is_left_out(address: str, reason: str) -> None:
    """The other endpoints stand: clusters that read a changed file at different times must not lose whole Services."""
    found = admission()

    assert ["2001:db8::1"] == believed(found.admit(with_endpoints("2001:db8::1", address)))
    assert {reason: 1} == found.refused
    assert f"shop/db: {address}" in found.examples[0]


@pytest.mark.parametrize("address", ["fd00:ec2::254", "fd20:ce::254"])
def test_a_metadata_service_within_a_members_prefixes_is_left_out(address: str) -> None:
    """Pods that call a Service of the clusterset must not be led to what gives out their node's credentials."""
    found = admission(members.member(0, prefixes=["fd00:ec2::/32", "fd20:ce::/32"]))

    assert [] == believed(found.admit(with_endpoints(address)))
    assert {refuse.SPECIAL: 1} == found.refused


def test_an_address_of_this_clusters_services_is_left_out() -> None:
    """Connections to it would end at a Service of this cluster, in whatever namespace, and not at a member's pod."""
    found = Admission(MEMBER, lambda: HERE, services=[ip_network("2001:db8:0:ffff::/112")])

    assert ["2001:db8::1"] == believed(found.admit(with_endpoints("2001:db8::1", "2001:db8:0:ffff::1")))
    assert {refuse.SERVICE: 1} == found.refused
    assert "2001:db8:0:ffff::1 is an address of this cluster's Services" in found.examples[0]


def test_families_without_a_prefix_are_left_out() -> None:
    """A Service of both families is imported in those that its member has prefixes of."""
    found = admission().admit(DOCUMENT | {"families": [4, 6]})

    assert found
    assert (6,) == found.families


@pytest.mark.parametrize(
    ("created", "counts"), [(0, SINCE), (SINCE - 1, SINCE), (SINCE, SINCE), (BORN, BORN), (BORN * 9, BORN * 9)]
)
def test_no_export_is_older_than_its_membership(created: int, counts: int) -> None:
    """The oldest wins each conflict, so nothing is gained by an invented age; one in the future loses by itself."""
    found = admission().admit(DOCUMENT | {"created": created})

    assert found
    assert counts == found.created


def test_names_of_nodes_and_pods_are_not_read() -> None:
    """Whatever a record says of them, the export has none."""
    named = {"address": "2001:db8::1", "node": "worker-1", "nodeName": "worker-1", "targetRef": {"kind": "Pod"}}
    found = admission().admit(with_endpoints() | {"slices": [{"family": 6, "endpoints": [named]}]})

    assert found
    assert "" == found.slices[0].endpoints[0].node


@pytest.mark.parametrize(
    ("key", "is_reserved"),
    [
        ("app", False),
        ("example.com/app", False),
        ("slash80.io/affinity", False),
        ("slash80.io/expose", True),
        ("kubernetes.io/service-name", True),
        ("service.kubernetes.io/topology-mode", True),
        ("multicluster.kubernetes.io/source-cluster", True),
        ("multicluster.x-k8s.io/x", True),
        ("x.k8s.io/x", True),
        ("notk8s.io/x", False),
    ],
)
def test_keys_that_mean_something_to_kubernetes_are_reserved(key: str, *, is_reserved: bool) -> None:
    """An exported label could otherwise put a Service or slice into the hands of another controller."""
    found = admission()
    export = found.admit(DOCUMENT | {"labels": {key: "a", "team": "b"}, "annotations": {key: "c"}})

    assert is_reserved == refuse.reserved(key)
    assert export
    assert is_reserved == (export.properties.labels == (("team", "b"),))
    assert found.refused == ({refuse.RESERVED: 2} if is_reserved else {})


def test_a_slice_has_a_hundred_endpoints_at_most() -> None:
    """That is what kube-proxies are used to; a record with a larger one is refused whole."""
    found = admission()
    addresses = [f"2001:db8::{number:x}" for number in range(1, 102)]

    assert 100 == len(believed(found.admit(with_endpoints(*addresses[:100]))))
    assert found.admit(with_endpoints(*addresses)) is None
    assert {refuse.ENDPOINTS: 1} == found.refused


def test_a_member_has_so_many_services_and_endpoints_and_no_more() -> None:
    """What is beyond is refused; what is exported again or no more makes room."""
    found = admission(limits=Limits(most=volume.MOST | {volume.SERVICES: 2, volume.ENDPOINTS: 3}))
    two = with_endpoints("2001:db8::1", "2001:db8::2")

    assert found.admit(two)
    assert found.admit(two | {"name": "b"}) is None
    assert found.admit(DOCUMENT | {"name": "c"})
    assert found.admit(DOCUMENT | {"name": "d", "slices": []}) is None
    assert {refuse.ENDPOINTS: 1, refuse.SERVICES: 1} == found.refused

    found.gone(DB)
    assert found.admit(two | {"name": "b"})
    assert {refuse.SERVICES: 1} == found.refused


def test_slices_and_their_ports_are_bounded() -> None:
    """Each set of ports comes to a slice of its own here, so a member could have one written for each endpoint."""
    found = admission()
    slices = [
        {"family": 6, "ports": [["pg", "TCP", number + 1]], "endpoints": [{"address": f"2001:db8::{number + 1:x}"}]}
        for number in range(1000)
    ]
    taken = [found.admit(DOCUMENT | {"name": f"a{number}", "slices": slices}) for number in range(6)]
    ports = [[f"p{number}", "TCP", number + 1] for number in range(100)]
    wide = [one | {"ports": ports} for one in slices[:300]]
    more = admission()
    wider = [more.admit(DOCUMENT | {"name": f"a{number}", "slices": wide}) for number in range(2)]

    assert 5 == len([*filter(None, taken)])
    assert 1 == len([*filter(None, wider)])
    assert {refuse.SLICES: 1} == found.refused == more.refused
    assert "exports more than 5000 EndpointSlices to namespaces of this cluster" in found.examples[0]


def test_what_was_refused_and_is_corrected_counts_no_more() -> None:
    """The figures are those of now, and a record that is refused takes the place of the one before."""
    found = admission(limits=Limits(most=volume.MOST | {volume.SERVICES: 1}))
    assert found.admit(DOCUMENT)
    assert found.admit(DOCUMENT | {"created": -1}) is None
    assert {refuse.UNREADABLE: 1} == found.refused
    assert found.admit(DOCUMENT | {"name": "b"})
    found.gone(DB)

    assert not found.refused


def test_a_hundred_thousand_lies_take_no_room() -> None:
    """They are counted, and some are shown, the first of each kind before others of the same."""
    found = admission()
    for number in range(3000):
        found.admit({"namespace": "pay", "name": f"a{number}"})
        found.admit(number)
    found.admit(with_endpoints(*["::1"] * 100))

    assert {refuse.ADDRESS: 100, refuse.NAMESPACE: 3000, refuse.UNREADABLE: 3000} == found.refused
    assert 8 == len(found.examples)
    assert 3 == len({message.split(":")[0] for message in found.examples[:3]})


def lies() -> st.SearchStrategy[Any]:
    """Return records as a hostile member would write them: right ones, with anything in any place of them."""
    words = st.sampled_from(
        ["shop", "kube-system", "pay", "", "a" * 300, "\ud800", "../..", "2001:db8::1", "::1", "ff02::1"]
    )
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | words | st.text(max_size=5)
    anything = st.recursive(
        scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3)
    )
    keys = ["namespace", "name", "created", "families", "ports", "slices", "labels", "annotations", "headless"]
    addresses = st.sampled_from(
        [
            "2001:db8::1",
            "2001:db8:1::1",
            "::1",
            "fe80::1",
            "10.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::1",
            "x",
            "fe80::1%a",
        ]
    )
    endpoint = st.fixed_dictionaries({"address": addresses | anything}, optional={"nodeName": words, "ready": anything})
    slices = st.fixed_dictionaries(
        {"family": st.sampled_from([4, 6, 5, "6"]), "endpoints": st.lists(endpoint, max_size=4) | anything},
        optional={"ports": st.just([["pg", "TCP", 1]]) | anything},
    )
    changes = st.dictionaries(st.sampled_from(keys), anything, max_size=2)
    changed = st.builds(lambda slice_, change: DOCUMENT | {"slices": [slice_]} | change, slices, changes)
    return changed | EXPORTS.map(wire.encode) | anything


@given(st.lists(lies(), max_size=12))
def test_no_lie_gets_further_than_its_members_bounds(records: list[Any]) -> None:
    """Whatever comes in is refused without an error, or is the member's own, and the rest of its records stand."""
    found = admission()
    for record in records:
        export = found.admit(record)
        assert export is None or export.name.namespace == "shop"
        if export:
            assert export.created >= SINCE
            assert (6,) == export.families
            addresses = [ip_address(address) for address in believed(export)]
            assert all(one in ip_network("2001:db8::/48") and not special(one) for one in addresses)
            assert not any(endpoint.node for one in export.slices for endpoint in one.endpoints)
            assert not any(refuse.reserved(key) for key, _ in export.properties.labels + export.properties.annotations)

    assert all(isinstance(message, str) and len(message) < 1000 for message in found.examples)
    assert found.admit(DOCUMENT)
