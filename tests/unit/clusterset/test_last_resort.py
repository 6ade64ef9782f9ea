"""Where connections go when a member is silent or an export asks for its own cluster first, by kube-proxy's rule."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.cluster.objects.endpointslice import SOURCE, Endpoint
from slash80.cluster.objects.managed import digest
from slash80.cluster.objects.serviceimport import ServiceImport
from slash80.cluster.objects.servicespec import ServiceSpec
from slash80.clusterset.documents import MANAGER, Found, Members, demoted, derived, documents
from slash80.clusterset.merge import merge
from slash80.clusterset.records import Export, Slice
from unit.clusterset.exports import DB, endpoints, export
from unit.clusterset.kube_proxy import EndpointDocument, reached

HERE, CLUSTERS = "eu", ("ap", "eu", "us")
LOCAL_FIRST = (("slash80.io/affinity", "local"),)
FOUND = Found(
    ServiceImport("shop", "db", "import-uid", managed_by=MANAGER),
    ServiceSpec("shop", derived(DB), "s", families=(6,), cluster_ips=("fd00:10:96::1",), managed_by=MANAGER),
)
READY, BOOTING = (True, True, False), (False, False, False)
ENDING, ENDED = (False, True, True), (False, False, True)
States = Mapping[str, Collection[tuple[bool, bool, bool]]]  # ready, serving and terminating of each cluster's endpoints
STATES = st.dictionaries(
    st.sampled_from(CLUSTERS), st.lists(st.sampled_from([READY, BOOTING, ENDING, ENDED]), max_size=3)
)


def address(cluster: str, number: int) -> str:
    """Return the address of a cluster's endpoint."""
    return str(endpoints(CLUSTERS.index(cluster) + 1, count=number + 1).endpoints[number].address)


def written(
    states: States, silent: Collection[str] = (), changes: Mapping[str, Any] | None = None
) -> list[EndpointDocument]:
    """Return the endpoints of the slices that are written for exports of endpoints in these states."""
    exported = {cluster: {DB: export_in(cluster, flags, **(changes or {}))} for cluster, flags in states.items()}
    found = merge(exported, families=(6,)).imports.get(DB)
    bodies = documents(found, FOUND, Members(HERE, frozenset(silent)), now="2026-11-28T12:00:00Z") if found else []
    return [end for one in bodies if one.body and one.body["kind"] == "EndpointSlice" for end in one.body["endpoints"]]


def export_in(cluster: str, flags: Collection[tuple[bool, bool, bool]], **changes: Any) -> Export:  # noqa: ANN401 -- what a test gives
    """Return a cluster's export of endpoints in these states."""
    whole = endpoints(CLUSTERS.index(cluster) + 1, count=max(len(flags), 1))
    ends = tuple(
        replace(one, ready=ready, serving=serving, terminating=terminating)
        for one, (ready, serving, terminating) in zip(whole.endpoints, flags, strict=False)
    )
    one = export(CLUSTERS.index(cluster) + 1, **changes)
    return replace(one, slices=(replace(whole, endpoints=ends),) if ends else ())


def usable(states: States, clusters: Collection[str], *wanted: tuple[bool, bool, bool]) -> set[str]:
    """Return the addresses of endpoints that some clusters have in one of these states."""
    return {
        address(cluster, number)
        for cluster in clusters
        for number, flags in enumerate(states.get(cluster, ()))
        if flags in wanted
    }


@given(STATES, st.sets(st.sampled_from(["ap", "us"])), st.booleans())
def test_a_last_resort_is_used_when_nothing_else_is_ready_and_only_then(
    states: States,
    silent: set[str],
    asked: bool,  # noqa: FBT001 -- drawn
) -> None:
    """Ready endpoints of the clusters that count first get all, else everything that serves, of every cluster."""
    last = silent | ({"ap", "us"} if asked and HERE in states else set())
    first = set(CLUSTERS) - last
    found = reached(written(states, silent, {"annotations": LOCAL_FIRST} if asked else {}))

    best = usable(states, first, READY)
    assert (best or usable(states, first, ENDING) | usable(states, last, READY, ENDING)) == found


@given(STATES, st.sets(st.sampled_from(["ap", "us"])))
def test_silence_takes_no_service_away(states: States, silent: set[str]) -> None:
    """Whatever serves somewhere is reached as long as nothing better is known."""
    serving = usable(states, CLUSTERS, READY, ENDING)

    assert bool(serving) == bool(reached(written(states, silent)))


def test_a_silent_member_that_answers_again_gets_its_share_at_once() -> None:
    """All of its endpoints are as it says that they are."""
    states = {"eu": [READY], "us": [READY]}

    assert usable(states, ["eu"], READY) == reached(written(states, {"us"}))
    assert usable(states, CLUSTERS, READY) == reached(written(states))


def test_only_one_that_exports_keeps_its_own_first() -> None:
    """Where this cluster has no export of its own the others' are spread evenly, whatever the annotation says."""
    states = {"ap": [READY], "us": [READY, ENDING]}

    assert usable(states, CLUSTERS, READY) == reached(written(states, changes={"annotations": LOCAL_FIRST}))


def test_hints_of_zones_still_count_beside_a_silent_member() -> None:
    """kube-proxy drops all hints when one ready endpoint has none; those of a last resort are not asked for theirs."""
    hinted = [replace(one, zone_hints=(zone,)) for one, zone in zip(endpoints(2, count=2).endpoints, "ab", strict=True)]
    exported = {
        "eu": {DB: replace(export(2), slices=(Slice(6, endpoints(2).ports, tuple(hinted)),))},
        "us": {DB: export(3)},
    }
    found = merge(exported, families=(6,)).imports[DB]

    for silent, expected in (
        ({"us"}, {address("eu", 0)}),
        (set(), {address("eu", 0), address("eu", 1), address("us", 0)}),
    ):
        bodies = [one.body for one in documents(found, FOUND, Members(HERE, frozenset(silent)), now="")]
        ends = [end for one in bodies if one and one["kind"] == "EndpointSlice" for end in one["endpoints"]]
        assert expected == reached(ends, zone="a")


@pytest.mark.parametrize("node", ["worker-1", ""])
def test_local_traffic_stays_on_nodes_of_this_cluster(node: str) -> None:
    """With internalTrafficPolicy Local nothing reaches another cluster, though a node there has our node's name."""
    named = {
        cluster: {
            DB: replace(one, slices=(replace(one.slices[0], endpoints=(on_worker(one.slices[0].endpoints[0]),)),))
        }
        for cluster, one in (("eu", export(2)), ("us", export(3)))
    }
    bodies = [one.body for one in documents(merge(named, families=(6,)).imports[DB], FOUND, Members(HERE), now="")]
    ends = [end for one in bodies if one and one["kind"] == "EndpointSlice" for end in one["endpoints"]]

    assert ({address("eu", 0)} if node else set()) == reached(ends, node=node or "worker-9", policy="Local")


def on_worker(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint of a pod on worker-1."""
    return replace(endpoint, node="worker-1")


@given(STATES, st.sets(st.sampled_from(["ap", "us"])))
def test_a_slice_becomes_a_last_resort_as_it_is(states: States, silent: set[str]) -> None:
    """Where what it was made from is not known any more, the same comes of it as where that is known."""
    found = merge(
        {cluster: {DB: export_in(cluster, flags)} for cluster, flags in states.items()}, families=(6,)
    ).imports.get(DB)
    if found is None:
        return
    ready, last = (
        [one.body for one in documents(found, FOUND, Members(HERE, frozenset(who)), now="") if one.body]
        for who in ((), silent)
    )
    made = [
        demoted({**one, "metadata": {**one["metadata"], "labels": {**one["metadata"]["labels"], "theirs": "x"}}}, "uid")
        if one["kind"] == "EndpointSlice" and one["metadata"]["labels"][SOURCE] in silent
        else one
        for one in ready
    ]

    assert [*map(digest, last)] == [*map(digest, made)]
