"""Pods as the API sends them."""

import tracemalloc
from ipaddress import ip_address
from typing import Any

import pytest

from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.cluster.cache import Cache, Listing
from slash80.cluster.objects.pod import read_pod
from slash80.cluster.objects.reading import Unreadable
from slash80.cluster.objects.selected import PODS
from slash80.policy.model import Pod


def document(
    name: str = "web-0", *, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **metadata: object
) -> dict[str, Any]:
    """Make a Pod of namespace `ns`; what is not said is as the API has it."""
    named = {"namespace": "ns", "name": name, "uid": f"uid-of-{name}", "creationTimestamp": "2026-01-01T00:00:00Z"}
    running = {"phase": "Running", "podIPs": [{"ip": "10.80.1.5"}, {"ip": "2001:db8:0:1:1::5"}]}
    return {
        "metadata": named | metadata,
        "spec": {"nodeName": "a", "containers": [{"name": "main"}]} | (spec or {}),
        "status": running | (status or {}),
    }


def test_what_policies_need_of_a_pod_is_kept() -> None:
    """Names, labels, the addresses of both families, the node and the age."""
    expected = Pod(
        "ns",
        "web-0",
        "uid-of-web-0",
        {"app": "web"},
        (ip_address("10.80.1.5"), ip_address("2001:db8:0:1:1::5")),
        node="a",
        created="2026-01-01T00:00:00Z",
    )
    assert expected == read_pod(document(labels={"app": "web"}))


def test_a_pod_that_is_being_deleted_still_counts() -> None:
    """Its containers run until their grace period is over, under the policies that select it."""
    assert read_pod(document()) == read_pod(document(deletionTimestamp="2026-01-01T00:01:00Z"))


@pytest.mark.parametrize(
    ("phase", "finished"), [("Succeeded", True), ("Failed", True), ("Running", False), ("", False)]
)
def test_a_pod_that_has_ended_is_marked(phase: str, finished: bool) -> None:  # noqa: FBT001 -- a value of the table
    """Its addresses stay in its status, and may be another pod's already."""
    assert finished is read_pod(document(status={"phase": phase})).finished


def test_a_pod_of_the_hosts_network_is_marked() -> None:
    """Its addresses are the node's, for which no policy of pods may count."""
    assert read_pod(document(spec={"hostNetwork": True})).host_network
    assert not read_pod(document(spec={"hostNetwork": "true"})).host_network


def test_a_mirror_has_the_uid_of_its_file() -> None:
    """A runtime gets that one as K8S_POD_UID of a static pod, and the API gives the mirror another."""
    mirror = {"kubernetes.io/config.mirror": "of-file", "kubernetes.io/config.hash": "of-file"}
    assert "of-file" == read_pod(document(annotations=mirror)).uid


@pytest.mark.parametrize("annotations", [None, {"kubernetes.io/config.hash": "another-pods-uid"}])
def test_a_pod_that_is_no_mirror_has_its_own_uid(annotations: object) -> None:
    """Anyone who creates a pod can write the hash, and must not get another pod's policies by it."""
    assert "uid-of-web-0" == read_pod(document(annotations=annotations)).uid


def test_named_ports_are_those_of_what_keeps_running() -> None:
    """Sidecars are init containers that are started again always; other init containers have ended."""
    port = {"name": "web", "containerPort": 8080}
    spec = {
        "containers": [
            {"ports": [port, {"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"containerPort": 9}]}
        ],
        "initContainers": [
            {"restartPolicy": "Always", "ports": [{"name": "sig", "containerPort": 7, "protocol": "SCTP"}]},
            {"ports": [{"name": "setup", "containerPort": 6}]},
        ],
    }
    assert {("web", TCP): 8080, ("dns", UDP): 53, ("sig", SCTP): 7} == read_pod(document(spec=spec)).ports


def test_of_two_ports_with_one_name_the_first_counts() -> None:
    """As with Services: containers in their order, then sidecars; another protocol's is another port."""
    spec = {
        "containers": [
            {"ports": [{"name": "web", "containerPort": 1}, {"name": "web", "containerPort": 2, "protocol": "UDP"}]},
            {"ports": [{"name": "web", "containerPort": 3}]},
        ],
        "initContainers": [{"restartPolicy": "Always", "ports": [{"name": "web", "containerPort": 4}]}],
    }
    assert {("web", TCP): 1, ("web", UDP): 2} == read_pod(document(spec=spec)).ports


@pytest.mark.parametrize("number", [0, 65536, "80", True, None])
def test_a_port_that_is_no_port_costs_itself_only(number: object) -> None:
    """The other ports of the pod count."""
    spec = {"containers": [{"ports": [{"name": "x", "containerPort": number}, {"name": "web", "containerPort": 80}]}]}
    assert {("web", TCP): 80} == read_pod(document(spec=spec)).ports


@pytest.mark.parametrize(
    ("status", "addresses"),
    [
        ({"podIPs": None, "podIP": "10.80.1.6"}, ["10.80.1.6"]),
        ({"podIPs": []}, []),
        ({"podIPs": [{"ip": "10.80.1.6"}, {"ip": "x"}, {"ip": 5}, 7, {}, {"ip": "fe80::1%eth0"}]}, ["10.80.1.6"]),
        ({"podIPs": [{"ip": "10.80.1.6"}] * 2}, ["10.80.1.6"]),
    ],
)
def test_addresses_are_read_one_by_one(status: dict[str, Any], addresses: list[str]) -> None:
    """What a kubelet writes that is not an address costs that address only; before dual stack there was one field."""
    assert addresses == [str(one) for one in read_pod(document(status=status)).addresses]


@pytest.mark.parametrize(
    "metadata", [{"labels": {"app": 5}}, {"labels": []}, {"namespace": ""}, {"uid": 5}, {"name": "x" * 254}]
)
def test_a_pod_that_cannot_be_told_is_refused(metadata: dict[str, Any]) -> None:
    """Without its labels it is not known which policies select it, so it stays as it was, or closed."""
    with pytest.raises(Unreadable):
        read_pod(document(**metadata))


def test_pods_of_one_workload_share_labels_and_ports() -> None:
    """A cluster of 100,000 pods has some thousand different ones."""
    spec = {"containers": [{"ports": [{"name": "web", "containerPort": 8080}]}]}
    one, other = (read_pod(document(name, labels={"app": "web"}, spec=spec)) for name in ("web-1", "web-2"))
    assert one.labels is other.labels
    assert one.ports is other.ports


def test_ten_thousand_pods_take_ten_megabytes() -> None:
    """As they come from the API, in pages, each with 8 KB that are not kept."""
    cache = Cache(PODS.read)
    listing = Listing[Pod]()
    tracemalloc.start()
    try:
        for page in range(40):
            cache.receive(
                [
                    document(
                        f"web-{page}-{number}",
                        labels={"app": f"web-{page}", "pod-template-hash": "5d4f8c7b9"},
                        annotations={"z": "z" * 8000},
                        status={
                            "podIPs": [
                                {"ip": f"10.{page}.{number // 250}.{number % 250}"},
                                {"ip": f"2001:db8::{page:x}:{number:x}"},
                            ]
                        },
                    )
                    for number in range(250)
                ],
                listing,
            )
        cache.replace(listing)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 10_000 == len(cache.records())
    assert kept < 12 << 20
