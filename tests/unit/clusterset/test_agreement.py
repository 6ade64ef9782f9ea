"""What a cluster exports counts in it as it does in all others: else they would merge different things."""

import datetime as dt
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lab import members
from slash80.clusterset import wire
from slash80.clusterset.merge import merge
from slash80.clusterset.records import Export, Name
from slash80.clusterset.refuse import Admission
from unit.clusterset.clusters import WEB, Cluster, entry, service
from unit.clusterset.exports import without_nodes

PREFIXES = ["2001:db8:1::/48", "10.1.0.0/16"]
MEMBERS = [members.member(number, prefixes=PREFIXES, namespaces=["shop"]) for number in range(2)]
ADDRESSES = ["2001:db8:1::a", "2001:db8:2::a", "10.1.0.1", "10.2.0.1", "fd00:ec2::254", "2001:db8:1::b"]
KEYS = st.sampled_from(["team", "slash80.io/affinity", "slash80.io/expose", "app.kubernetes.io/name", "a b"])
PAIRS = st.dictionaries(KEYS, st.sampled_from(["", "local", "a b", "x"]), max_size=2).map(
    lambda one: tuple(sorted(one.items()))
)


@st.composite
def exports(draw: st.DrawFn, number: int) -> dict[Name, Export]:
    """Draw what a cluster exports whose Service, pods and ServiceExport are as they may be."""
    cluster = Cluster(replace(entry(f"c{number}", *PREFIXES), since=MEMBERS[number].since))
    spec = service(
        families=draw(st.sampled_from([(6,), (4,), (6, 4), (4, 6)])),
        headless=draw(st.booleans()),
        traffic_distribution=draw(st.sampled_from(["", "PreferClose", "Unheard"])),
    )
    created = draw(st.sampled_from([0, 1_800_000_000, 4_000_000_000]))
    addresses = draw(st.lists(st.sampled_from(ADDRESSES), max_size=4, unique=True))
    cluster.export(spec, *addresses, created=created, labels=draw(PAIRS), annotations=draw(PAIRS))
    return dict(cluster.exported().exports)


@given(exports(0), exports(1))
def test_an_own_export_counts_as_the_others_take_it(one: dict[Name, Export], other: dict[Name, Export]) -> None:
    """Whatever is exported comes through the others' refusals as it was, so own and other clusters merge the same."""
    taken = {}
    for member, exported in zip(MEMBERS, (one, other), strict=True):
        admission = Admission(member, lambda: {"shop"})
        sent = {name: json.loads(json.dumps(wire.encode(export))) for name, export in exported.items()}
        taken[member.id] = {name: admission.admit(document) for name, document in sent.items()}
        assert {name: without_nodes(export) for name, export in exported.items()} == taken[member.id]
        assert not admission.refused

    here = {"c0": one, "c1": {name: export for name, export in taken["c1"].items() if export}}
    there = {"c0": {name: export for name, export in taken["c0"].items() if export}, "c1": other}
    found, also = merge(here, families=(6, 4)), merge(there, families=(6, 4))
    assert found.conflicts == also.conflicts
    assert [replace(found.imports[name], slices=()) for name in found.imports] == [
        replace(also.imports[name], slices=()) for name in also.imports
    ]


def test_the_day_of_joining_is_the_same_second_on_both_sides() -> None:
    """The exporter and its importers take the same beginning of the day, in UTC."""
    cluster = Cluster(replace(entry("c0", *PREFIXES), since=dt.date(2026, 11, 27)))
    cluster.export(service(), "2001:db8:1::a")
    export = cluster.exported().exports[WEB]

    assert 1_795_737_600 == export.created
    assert without_nodes(export) == Admission(MEMBERS[0], lambda: {"shop"}).admit(wire.encode(export))
