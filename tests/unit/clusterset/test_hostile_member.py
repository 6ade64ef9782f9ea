"""What a member in hostile hands gets written into the API of another cluster: 100,000 random records of its."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import pytest

from lab import members
from slash80.addressing.special import special
from slash80.cluster.objects.serviceimport import ServiceImport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset import refuse, volume, wire
from slash80.clusterset.documents import MANAGER, Desired, Found, Members, derived, documents
from slash80.clusterset.known import Known, Reading
from slash80.clusterset.merge import merge
from slash80.clusterset.records import Export, Import, Name
from slash80.clusterset.refuse import Admission
from unit.clusterset.clusters import NOW
from unit.clusterset.exports import export

HERE = frozenset({"shop", "pay", "kube-system"})
PREFIXES = ["2001:db8::/48", "fd00:ec2::/48"]  # the second one has a cloud's metadata service
HOSTILE = members.member(0, namespaces=["shop", "gone"], prefixes=PREFIXES)
HONEST = "honest"
HEADLESS = [False, False, False, True]
RECORDS, ANSWER = 100_000, 10_000
ADDRESSES = [
    *(f"2001:db8::{number:x}" for number in range(1, 1000)),
    *("2001:db8:1::a", "::1", "fe80::1", "ff02::1", "fd00:ec2::254", "10.0.0.1", "169.254.169.254"),
    *("::ffff:10.0.0.1", "64:ff9b::a9fe:a9fe", "fe80::1%eth0", "2001:db8::g", "", None, 7),
]
KEYS = [
    "team",
    "slash80.io/expose",
    "slash80.io/affinity",
    "kubernetes.io/service-name",
    "app.kubernetes.io/managed-by",
]
WORDS = ["", "local", "a b", "x" * 70, "web", "\ud800", "../x", None, 5, ["x"]]


def _pick(random: Random, *usual: Any) -> Any:  # noqa: ANN401 -- JSON
    """Return something usual, and now and then anything else."""
    return random.choice(WORDS) if random.random() < 0.004 else random.choice(usual)


def _port(random: Random) -> list[Any]:
    number = random.randrange(1, 65536) if random.random() < 0.99 else random.choice([0, 65536, -1])
    return [_pick(random, *["http"] * 6, "", "db"), _pick(random, *["TCP"] * 6, "UDP"), number]


def _endpoint(random: Random) -> dict[str, Any]:
    found = {"address": random.choice(ADDRESSES), "nodeName": "worker-1", "targetRef": {"kind": "Pod", "name": "db-0"}}
    more = {"ready": True, "hostname": "db-0", "zone": "a", "hints": ["a"], "conditions": {"ready": True}}
    return found | {key: _pick(random, value) for key, value in more.items() if random.random() < 0.2}


def _slice(random: Random) -> dict[str, Any]:
    ends = [_endpoint(random) for _ in range(101 if random.random() < 0.01 else random.randrange(3))]
    return {"family": _pick(random, 6, 6, 4), "ports": [_port(random)], "endpoints": ends}


def _record(random: Random, slices: list[Any]) -> Any:  # noqa: ANN401 -- JSON
    """Return a record, of which any part may be a lie."""
    found = {
        "namespace": _pick(random, *["shop"] * 8, "pay", "kube-system", "gone"),
        "name": _pick(random, *[f"s{random.randrange(3000)}"] * 8, "db", "db-honest"),
        "created": _pick(random, 0, 1_800_000_000, 253_402_300_799),
        "families": _pick(random, [6], [6, 4], [4]),
        "ports": [_port(random)],
        "slices": random.choices(slices, k=random.randrange(3)),
        "headless": _pick(random, *HEADLESS),
        "selector": {"app": "db"},
        "externalIPs": ["192.0.2.1"],
    }
    for key in ("labels", "annotations"):
        if random.random() < 0.2:
            found[key] = {random.choice(KEYS): _pick(random, "a", "local")}
    return random.choice(WORDS) if random.random() < 0.004 else found


@pytest.fixture(scope="module")
def known() -> Known:
    """Receive all records, in answers of some thousand each, the first of which is a full one."""
    random, found = Random(5), None
    slices, admission = [_slice(random) for _ in range(5000)], Admission(HOSTILE, lambda: HERE)
    for revision in range(RECORDS // ANSWER):
        lines = [{"export": _record(random, slices)} for _ in range(ANSWER)]
        head = {"epoch": "e", "revision": revision, "full": found is None}
        found = Reading(found, head, admission=lambda: admission).take([*lines, {"end": ANSWER}])
    assert found
    return found


@pytest.fixture(scope="module")
def written(known: Known) -> list[tuple[Name, Desired]]:
    """Return all that a cluster would write that also knows a member which tells the truth."""
    merged = merge({"c0": known.exports, HONEST: _honest()}, families=(6, 4))
    return [(name, one) for name in merged.imports for one in _documents(merged.imports[name])]


def _honest() -> dict[Name, Export]:
    names = [Name("shop", "db"), Name("shop", "untouched"), Name("pay", "db")]
    return {name: wire.decode(wire.encode(export(1)) | name._asdict()) for name in names}


def _documents(wanted: Import) -> Iterator[Desired]:
    there = ServiceImport(wanted.name.namespace, wanted.name.name, "u", managed_by=MANAGER)
    service = ServiceSpec(
        wanted.name.namespace, derived(wanted.name), "s", families=(6,), cluster_ips=("fd00::1",), managed_by=MANAGER
    )
    yield from documents(wanted, Found(there, service), Members("us"), now=NOW)


def _bodies(written: list[tuple[Name, Desired]], kind: str) -> list[dict[str, Any]]:
    return [one.body for _, one in written if one.body and one.body["kind"] == kind]


def test_there_is_something_to_see(known: Known, written: list[tuple[Name, Desired]]) -> None:
    """Much of it is believed, and something is refused for each reason but those of a larger volume."""
    reasons = {refuse.UNREADABLE, refuse.NAMESPACE, refuse.ADDRESS, refuse.SPECIAL, refuse.FAMILY, refuse.RESERVED}

    assert len(known.exports) > 500
    assert len(_bodies(written, "EndpointSlice")) > 100
    assert reasons <= known.admission.refused.keys()


def test_nothing_is_written_outside_of_its_namespaces(written: list[tuple[Name, Desired]]) -> None:
    """Nor under another name than the member may choose, and no two Services have an object in common."""
    paths = [one.path for _, one in written]

    assert {"shop", "pay"} == {name.namespace for name, _ in written}
    assert {Name("pay", "db")} == {name for name, _ in written if name.namespace == "pay"}
    assert all(f"/namespaces/{name.namespace}/" in one.path for name, one in written)
    assert len(paths) == len({*paths})


def test_endpoints_are_its_own_pods(written: list[tuple[Name, Desired]]) -> None:
    """Whatever it says, its slices have addresses of its prefixes, and no node or pod is named."""
    for body in _bodies(written, "EndpointSlice"):
        labels, ends = body["metadata"]["labels"], body["endpoints"]
        cluster = labels["multicluster.kubernetes.io/source-cluster"]
        prefixes = [ip_network(one) for one in (["2001:db8:1::/48"] if cluster == HONEST else PREFIXES)]
        addresses = [ip_address(address) for end in ends for address in end["addresses"]]
        assert all(any(one in prefix for prefix in prefixes) and not special(one) for one in addresses)
        assert not any({"nodeName", "targetRef"} & end.keys() for end in ends)
        assert 0 < len(ends) <= 100
        assert labels["endpointslice.kubernetes.io/managed-by"] == MANAGER
        assert labels.get("kubernetes.io/service-name", "derived-").startswith("derived-")


def test_services_are_only_what_the_admission_policy_takes(written: list[tuple[Name, Desired]]) -> None:
    """They select no pod and have no address of their own choice."""
    bodies = _bodies(written, "Service")

    assert bodies
    for body in bodies:
        assert body["metadata"]["name"].startswith("derived-")
        assert {"type", "ports", "ipFamilies", "ipFamilyPolicy"} <= body["spec"].keys()
        assert not {"selector", "externalIPs", "externalName", "clusterIP", "clusterIPs"} & body["spec"].keys()


def test_labels_do_not_speak_to_other_controllers(written: list[tuple[Name, Desired]]) -> None:
    """A reserved key among exported labels or annotations is left out, and who manages the object stays ours."""
    ours = {"app.kubernetes.io/managed-by", "multicluster.kubernetes.io/derived-service"}
    for body in _bodies(written, "ServiceImport"):
        found = body["metadata"]["labels"] | body["metadata"]["annotations"]
        assert not any(refuse.reserved(key) for key in found.keys() - ours)
        assert MANAGER == found["app.kubernetes.io/managed-by"]


def test_what_the_others_export_stands(written: list[tuple[Name, Desired]]) -> None:
    """A Service that only an honest member exports is what it would be without the hostile one."""
    alone = merge({HONEST: _honest()}, families=(6, 4))
    for name in (Name("shop", "untouched"), Name("pay", "db")):
        assert [*_documents(alone.imports[name])] == [one for of, one in written if of == name]


def test_the_volume_is_bounded(written: list[tuple[Name, Desired]]) -> None:
    """There are no more objects than a member may have, and a few of the honest one's."""
    honest = 3

    assert len(_bodies(written, "ServiceImport")) <= volume.MOST[volume.SERVICES] + honest
    assert len(_bodies(written, "EndpointSlice")) <= volume.MOST[volume.SLICES] + honest
