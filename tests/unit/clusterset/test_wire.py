"""Exports as JSON: nothing is lost on the way, and nothing is read that is not an export."""

import json
from typing import Any

import pytest
from hypothesis import given

from slash80.cluster.objects.reading import Unreadable
from slash80.clusterset import wire
from slash80.clusterset.records import Export
from unit.clusterset.exports import DOCUMENT, EXPORTS, without_nodes


@given(EXPORTS)
def test_what_is_written_is_read_as_the_same(export: Export) -> None:
    """JSON brings every export over but for the names of its nodes, and it is written as it came in."""
    document = json.loads(json.dumps(wire.encode(export)))

    assert without_nodes(export) == wire.decode(document)
    assert document == wire.encode(wire.decode(document))


@given(EXPORTS)
def test_no_node_or_pod_is_named(export: Export) -> None:
    """kube-proxy would take an endpoint on another cluster's `worker-1` for one on its own."""
    assert "worker-1" not in json.dumps(wire.encode(export))


def test_what_is_as_usual_takes_no_room() -> None:
    """An endpoint that is ready is its address, and a Service its ports."""
    assert DOCUMENT == wire.encode(wire.decode(DOCUMENT))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"namespace": "../x"}, "namespace is '../x', but must be a DNS label"),
        ({"name": "a" * 64}, "name has 64 characters"),
        ({"name": 1}, "name is 1, but must be a string"),
        ({"name": None}, "name is '', but must be a DNS label"),
        ({"created": -1}, "created is -1"),
        ({"created": 10**30}, "created is 1000"),
        ({"created": True}, "created is true"),
        ({"created": 1.5}, "created is 1.5"),
        ({"families": []}, "families"),
        ({"families": [6, 6]}, "families"),
        ({"families": [5]}, "families has 5"),
        ({"families": [[6]]}, "families has"),
        ({"ports": []}, "only a headless Service"),
        ({"ports": [["", "TCP", 80], ["a", "TCP", 81]]}, "one without a name"),
        ({"ports": [["a", "TCP", 80], ["a", "TCP", 81]]}, "'a' or TCP/81 twice"),
        ({"ports": [["a", "TCP", 80], ["b", "TCP", 80]]}, "'b' or TCP/80 twice"),
        ({"ports": [["a", "ICMP", 80]]}, "ports[0].protocol is 'ICMP', but must be one of SCTP, TCP, UDP"),
        ({"ports": [["a", "TCP", 0]]}, "ports[0].port is 0, but must be a number from 1 to 65535"),
        ({"ports": [["a", "TCP", 80, "a b"]]}, "ports[0].appProtocol"),
        ({"ports": [["A", "TCP", 80]]}, "ports[0].name is 'A'"),
        ({"ports": ["a/TCP/80"]}, "ports[0].entry"),
        ({"ports": [[f"a{n}", "TCP", n] for n in range(1, 102)]}, "ports has 101 entries"),
        ({"headless": 1}, "headless is 1, but must be true or false"),
        ({"sessionAffinity": "Cookie"}, "sessionAffinity is 'Cookie'"),
        ({"sessionAffinity": "ClientIP", "affinitySeconds": 86401}, "affinitySeconds is 86401"),
        ({"internalTrafficPolicy": []}, "internalTrafficPolicy is []"),
        ({"trafficDistribution": "Far"}, "trafficDistribution is 'Far'"),
        ({"labels": {"a": 1}}, "labels has 'a' with 1"),
        ({"labels": {"a": "b c"}}, "which is not a label's value"),
        ({"labels": {"a/b/c": ""}}, "which is not the key"),
        ({"labels": {f"a{n}": "" for n in range(65)}}, "labels has 65 entries"),
        ({"annotations": {"a": "\ud800"}}, "annotations has 'a'"),
        ({"annotations": {"a": "x" * 8000, "b": "x" * 8000}}, "more than 8192 characters"),
        ({"slices": [{}] * 1001}, "slices has 1001 entries"),
        ({"slices": [1]}, "slices is [1], but must be a list of objects"),
        ({"slices": [{"family": 6.0}]}, "slices[0].family has 6.0"),
        ({"slices": [{"family": 6, "ports": [["a", "TCP", 1], ["a", "UDP", 1]]}]}, "slices[0].ports has a name twice"),
    ],
)
def test_what_does_not_fit_is_named(changes: dict[str, Any], words: str) -> None:
    """The sentence says which field has which value."""
    with pytest.raises(Unreadable) as caught:
        wire.decode(DOCUMENT | changes)

    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ({}, "address is ''"),
        ({"address": "2001:db8::1%eth0"}, "address is '2001:db8::1%eth0'"),
        ({"address": "x" * 100}, "address has 100 characters"),
        ({"address": "::1", "ready": "yes"}, "ready is 'yes'"),
        ({"address": "::1", "hostname": "a.b"}, "hostname is 'a.b'"),
        ({"address": "::1", "zone": "a b"}, "zone is 'a b'"),
        ({"address": "::1", "hints": ["a"] * 9}, "hints has 9 entries"),
        ({"address": "::1", "hints": ["-"]}, "hints is"),
    ],
)
def test_an_endpoint_that_does_not_fit_is_named(endpoint: dict[str, Any], words: str) -> None:
    """The sentence says where it is."""
    document = DOCUMENT | {"slices": [{"family": 6, "ports": [], "endpoints": [{"address": "::2"}, endpoint]}]}
    with pytest.raises(Unreadable) as caught:
        wire.decode(document)

    assert str(caught.value).startswith("slices[0].endpoints[1].")
    assert words in str(caught.value)


@pytest.mark.parametrize("document", [None, [], "a", 1, {}])
def test_what_is_not_a_record_is_refused(document: object) -> None:
    """Any JSON value may come in."""
    with pytest.raises(Unreadable):
        wire.decode(document)
