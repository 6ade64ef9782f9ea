"""What the exports of all clusters come to: the same for each that computes it, and as KEP-1645 says."""

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.clusterset import merge as merging
from slash80.clusterset.merge import Merger, merge
from slash80.clusterset.records import Conflict, Export, Import, Merged, Name, Slice
from unit.clusterset.exports import BORN, DB, any_export, endpoints, export, port

CLUSTERS = ("ap", "eu", "us")
OTHER = Name("shop", "cache")


def merged(*exported: Export, families: tuple[int, ...] = (6, 4)) -> tuple[Import, tuple[Conflict, ...]]:
    """Return what exports of `shop/db` come to, those of ap, eu and us in this order."""
    found = merge({cluster: {DB: one} for cluster, one in zip(CLUSTERS, exported, strict=False)}, families=families)
    return found.imports[DB], found.conflicts.get(DB, ())


def served(found: Import) -> dict[str, list[str]]:
    """Return by cluster the names of the ports that its slices have."""
    return {one.cluster: [one.name for one in one.slice.ports] for one in found.slices}


EXPORTED = st.dictionaries(
    st.sampled_from(CLUSTERS),
    st.fixed_dictionaries({}, optional={DB: any_export(DB), OTHER: any_export(OTHER)}),
)


@given(EXPORTED, st.randoms(use_true_random=False))
def test_every_cluster_computes_the_same(
    exported: Mapping[str, Mapping[Name, Export]], shuffled: random.Random
) -> None:
    """Whichever cluster's records came first, imports and conflicts are the same, and so they are the second time."""
    clusters = list(exported)
    shuffled.shuffle(clusters)
    again = {cluster: dict(reversed(list(exported[cluster].items()))) for cluster in clusters}

    assert merge(exported, families=(6, 4)) == merge(again, families=(6, 4))


@given(EXPORTED)
def test_families_of_the_importer_change_no_other_thing(exported: Mapping[str, Mapping[Name, Export]]) -> None:
    """Clusters whose own Services have other families agree on everything else, and on every conflict."""
    one, other = merge(exported, families=(6,)), merge(exported, families=(4, 6))

    assert one.conflicts == other.conflicts
    assert [(found.ports, found.properties, found.clusters) for found in one.imports.values()] == [
        (found.ports, found.properties, found.clusters) for found in other.imports.values()
    ]


@given(EXPORTED)
def test_one_name_at_a_time_is_the_same_as_all_at_once(exported: Mapping[str, Mapping[Name, Export]]) -> None:
    """A change of one Service needs no other to be merged again."""
    whole = merge(exported, families=(6, 4))
    parts = [merge(exported, families=(6, 4), names=[name]) for name in (DB, OTHER)]
    joined = Merged(
        {name: one for part in parts for name, one in part.imports.items()},
        {name: one for part in parts for name, one in part.conflicts.items()},
    )

    assert whole == joined


@given(st.lists(st.tuples(EXPORTED, st.sampled_from([(6,), (6, 4)])), min_size=2, max_size=4))
def test_change_after_change_is_the_same_as_all_at_once(
    steps: list[tuple[Mapping[str, Mapping[Name, Export]], tuple[int, ...]]],
) -> None:
    """Members come, go and change what they export, and the importer its families: nothing of before is left over."""
    merger = Merger()
    for exported, families in steps:
        assert merge(exported, families=families) == merger.merge(exported, families=families)
        assert merge(exported, families=families) == merger.merge(dict(exported), families=families)


def test_it_is_known_who_has_changed_an_import() -> None:
    """One that changes all the time is then not taken for the others."""
    first = {"a": {DB: export(1)}, "b": {DB: export(2)}, "c": {}}
    merger = Merger()
    both = merger.merge(first, families=(6,)).imports[DB].changed_by
    one = merger.merge(first | {"b": {DB: export(2, created=BORN + 1)}}, families=(6,)).imports[DB].changed_by

    assert {"a", "b"} == both
    assert {"b"} == one


def test_a_change_of_one_name_leaves_all_others_as_they_are() -> None:
    """What has not changed is not merged again: it is the same object."""
    merger, one = Merger(), replace(export(1), name=OTHER)
    before = merger.merge({"ap": {DB: export(1), OTHER: one}}, families=(6,))
    after = merger.merge({"ap": {DB: export(1, created=BORN + 1, headless=True), OTHER: one}}, families=(6,))

    assert before.imports[OTHER] is after.imports[OTHER]
    assert after.imports[DB].properties.headless


@given(EXPORTED)
def test_what_is_served_was_exported_by_its_cluster(exported: Mapping[str, Mapping[Name, Export]]) -> None:
    """No slice has a port that its cluster's Service does not expose as the import does, and none of another family."""
    for name, found in merge(exported, families=(6, 4)).imports.items():
        assert sorted(found.clusters) == [cluster for cluster in CLUSTERS if name in exported.get(cluster, {})]
        assert len({one.name for one in found.ports}) == len(found.ports)
        assert len({(one.protocol, one.port) for one in found.ports}) == len(found.ports)
        for one in found.slices:
            own = {(port.name, port.protocol, port.port) for port in exported[one.cluster][name].ports}
            both = own & {(port.name, port.protocol, port.port) for port in found.ports}
            assert {(port.name, port.protocol) for port in one.slice.ports} <= {key[:2] for key in both}
            assert one.slice.family in found.families


def test_one_export_is_imported_as_it_is() -> None:
    """A Service that one cluster exports is imported with all that it is, and contradicts nothing."""
    one = export(1, port("pg"), port("stats", 9187), session_affinity="ClientIP", labels=(("team", "a"),))
    found, conflicts = merged(one)

    assert Import(DB, (6,), one.ports, one.properties, ("ap",), found.slices) == found
    assert list(one.slices) == [part.slice for part in found.slices]
    assert () == conflicts


def test_all_clusters_that_export_serve_it() -> None:
    """Exports that agree are one Service with everyone's endpoints."""
    found, conflicts = merged(export(1), export(2), export(3))

    assert CLUSTERS == found.clusters
    assert {cluster: ["pg"] for cluster in CLUSTERS} == served(found)
    assert () == conflicts


def test_the_oldest_export_wins_then_the_smaller_id() -> None:
    """Precedence is by creationTimestamp, from oldest to newest; of two of one second the id decides."""
    younger, older = export(1, created=BORN + 1), export(2, created=BORN, session_affinity="ClientIP")

    assert "ClientIP" == merged(younger, older)[0].properties.session_affinity
    assert "None" == merged(replace(younger, created=BORN), older)[0].properties.session_affinity


def test_what_ends_leaves_no_trace() -> None:
    """When the oldest export is gone the import is that of the others, and the last one takes it away."""
    winner, loser = export(1, headless=True), export(2, created=BORN + 1)

    assert merged(winner, loser)[0].properties.headless
    assert not merged(loser)[0].properties.headless
    assert () == merged(loser)[1]
    assert Merged() == merge({"ap": {}, "eu": {}}, families=(6,))


@pytest.mark.parametrize(
    ("oldest", "other", "reason", "words"),
    [
        ({}, {"headless": True}, "TypeConflict", 'Conflicting type. Using "ClusterSetIP" from oldest service export'),
        ({"headless": True}, {}, "TypeConflict", 'Using "Headless" from oldest service export in "ap".'),
        (
            {"session_affinity": "ClientIP"},
            {},
            "SessionAffinityConflict",
            'Conflicting session affinity. Using "ClientIP" from oldest service export in "ap".',
        ),
        (
            {"session_affinity": "ClientIP", "affinity_seconds": 60},
            {"session_affinity": "ClientIP", "affinity_seconds": 90},
            "SessionAffinityConfigConflict",
            'Using "60 seconds" from',
        ),
        ({}, {"internal_traffic_policy": "Local"}, "InternalTrafficPolicyConflict", 'Using "Cluster" from'),
        ({}, {"traffic_distribution": "PreferClose"}, "TrafficDistributionConflict", 'Using "none" from'),
        ({"labels": (("a", "b"),)}, {"labels": (("a", "c"),)}, "LabelsConflict", 'Using "a=b" from'),
        ({}, {"annotations": (("a", "c"),)}, "AnnotationsConflict", 'Using "" from'),
    ],
)
def test_a_property_that_differs_is_the_oldest_exports(
    oldest: dict[str, Any], other: dict[str, Any], reason: str, words: str
) -> None:
    """Each property of the KEP has its reason, the sentence names the winner, and how many disagree."""
    found, (conflict,) = merged(export(1, **oldest), export(2, created=BORN + 1, **other), export(3, **oldest))

    assert reason == conflict.reason
    assert words in conflict.message
    assert conflict.message.endswith("1/3 clusters disagree.")
    assert export(1, **oldest).properties == found.properties


def test_a_timeout_of_another_affinity_is_not_a_conflict_of_its_own() -> None:
    """Who has no affinity has no timeout either: that one contradicts is said once."""
    _, conflicts = merged(export(1, session_affinity="ClientIP", affinity_seconds=60), export(2, created=BORN + 1))

    assert ["SessionAffinityConflict"] == [one.reason for one in conflicts]


def test_what_a_headless_service_does_not_have_is_not_compared() -> None:
    """Session affinity is ignored when type is Headless, and traffic policies are those of an address."""
    other = export(2, created=BORN + 1, headless=True, session_affinity="ClientIP", internal_traffic_policy="Local")

    assert () == merged(export(1, headless=True), other)[1]
    assert ["TypeConflict"] == [one.reason for one in merged(export(1), other)[1]]


def test_several_conflicts_are_all_said() -> None:
    """Each has its sentence; their reasons are joined where they are written."""
    _, conflicts = merged(export(1), export(2, port("pg", 1), created=BORN + 1, labels=(("a", "b"),)))

    assert ["PortConflict", "LabelsConflict"] == [one.reason for one in conflicts]


def test_the_union_of_the_ports_is_exposed() -> None:
    """A port that one cluster only has is exposed, and served by that one only; that they differ is a conflict."""
    found, (conflict,) = merged(export(1), export(2, port("pg"), port("stats", 9187), created=BORN + 1))

    assert (port("pg"), port("stats", 9187)) == found.ports
    assert {"ap": ["pg"], "eu": ["pg", "stats"]} == served(found)
    assert "PortConflict" == conflict.reason
    assert "Using the union pg TCP/5432, stats TCP/9187" in conflict.message


@pytest.mark.parametrize("loser", [port("pg", 5433), port("sql", 5432)])
def test_a_port_that_lost_is_not_served(loser: Any) -> None:  # noqa: ANN401 -- a Port
    """Of two with one name, or with one protocol and number, only the older is exposed and served."""
    found, (conflict,) = merged(export(1), export(2, loser, port("stats", 9187), created=BORN + 1))

    assert (port("pg"), port("stats", 9187)) == found.ports
    assert {"ap": ["pg"], "eu": ["stats"]} == served(found)
    assert "PortConflict" == conflict.reason


def test_a_cluster_that_lost_all_its_ports_serves_nothing() -> None:
    """Its endpoints stay out, and it still counts as one that exports."""
    found, _ = merged(export(1), export(2, port("pg", 5433), created=BORN + 1))

    assert {"ap": ["pg"]} == served(found)
    assert ("ap", "eu") == found.clusters


def test_a_port_of_another_application_protocol_is_served() -> None:
    """It is the same port with another hint: the oldest export's hint is used, and the difference is a conflict."""
    found, conflicts = merged(
        export(1, port(app_protocol="http")), export(2, port(app_protocol="kubernetes.io/h2c"), created=BORN + 1)
    )

    assert (port(app_protocol="http"),) == found.ports
    assert {"ap": ["pg"], "eu": ["pg"]} == served(found)
    assert ["PortConflict"] == [one.reason for one in conflicts]


def test_the_order_of_ports_is_not_a_conflict() -> None:
    """The same ports in another order are the same."""
    assert () == merged(export(1, port("a", 1), port("b", 2)), export(2, port("b", 2), port("a", 1)))[1]


def test_a_headless_service_without_ports_keeps_its_slices() -> None:
    """Its endpoints have names, whatever ports there are."""
    without = replace(export(1, headless=True), ports=(), slices=(replace(endpoints(1), ports=()),))

    assert without.slices == tuple(one.slice for one in merged(without)[0].slices)


def with_families(one: Export, *families: int) -> Export:
    """Return an export of these families, with a slice of each."""
    return replace(one, families=families, slices=tuple(Slice(family, (), ()) for family in families))


@pytest.mark.parametrize(
    ("exported", "own", "headless", "imported"),
    [
        ([(6,)], (4, 6), False, (6,)),
        ([(6, 4)], (4, 6), False, (4, 6)),
        ([(4, 6)], (6,), False, (6,)),
        ([(6,), (4,)], (6, 4), False, (6, 4)),
        ([(6,)], (4,), False, ()),
        ([(6,)], (4,), True, (6,)),
        ([(6, 4)], (), True, (6, 4)),
    ],
)
def test_families_are_those_that_somebody_exports_and_this_clusters_services_have(
    exported: list[tuple[int, ...]], own: tuple[int, ...], imported: tuple[int, ...], *, headless: bool
) -> None:
    """They are in this cluster's order, which does not change with the winner; a headless Service needs no address."""
    found, _ = merged(
        *(with_families(export(number, headless=headless), *one) for number, one in enumerate(exported)), families=own
    )

    assert imported == found.families


def test_a_family_that_reaches_only_some_is_a_conflict() -> None:
    """By IPv4 only a part of the backends would be reached, which has to be said of it."""
    _, (conflict,) = merged(with_families(export(1), 6, 4), with_families(export(2), 6), with_families(export(3), 6))

    assert "IPFamilyConflict" == conflict.reason
    assert "IPv4 does not reach the endpoints in eu, us. 2/3 clusters disagree." in conflict.message
    assert () == merged(with_families(export(1), 6, 4), with_families(export(2), 4, 6))[1]


def test_slices_are_in_the_order_of_the_clusters_ids() -> None:
    """Not in that of their ages, which says nothing of where they are written."""
    found, _ = merged(export(1, created=BORN + 2), export(2), export(3, created=BORN + 1))

    assert list(CLUSTERS) == [one.cluster for one in found.slices]


def test_every_reason_of_the_api_for_a_conflict_is_known() -> None:
    """They are those of v1beta1 of the API, all nine."""
    reasons = {value for key, value in vars(merging).items() if key.isupper() and str(value).endswith("Conflict")}

    assert 9 == len(reasons)
