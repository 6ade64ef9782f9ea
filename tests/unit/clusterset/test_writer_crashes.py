"""A writer that is killed at any write, with watches that are late: the next one ends its work."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiles import examples
from slash80.cluster.objects.endpointslice import Endpoint
from slash80.clusterset.documents import Members
from slash80.clusterset.records import Import, Name
from unit.clusterset.clusters import endpoints, imported
from unit.clusterset.rig import Killed, Rig

_CLUSTERS = ("ap", "eu", "us")
_NAMES = tuple(Name(namespace, name) for namespace in ("shop", "far") for name in ("web", "db"))


def _endpoints(numbers: list[int]) -> tuple[Endpoint, ...]:
    return endpoints(*(f"2001:db8:1::{number:x}" for number in numbers))


_IMPORTS = st.builds(
    imported,
    st.dictionaries(st.sampled_from(_CLUSTERS), st.lists(st.integers(1, 9), max_size=3).map(_endpoints), min_size=1),
    families=st.sampled_from([(6,), (4,), (6, 4), ()]),
    name=st.sampled_from(_NAMES),
    headless=st.booleans(),
)
_WANTED = st.lists(_IMPORTS, max_size=4, unique_by=lambda one: one.name)
_STEPS = st.lists(
    st.tuples(
        _WANTED,
        st.sets(st.sampled_from(_CLUSTERS)),  # who is silent
        st.booleans(),  # whether the watches show what happened
        st.integers(0, 12),  # at which write it is killed, if at any
        st.booleans(),  # before that write, or after it
    ),
    min_size=1,
    max_size=6,
)


def _run(rig: Rig, wanted: list[Import], silent: set[str]) -> None:
    rig.want(*wanted, members=Members("us", silent=frozenset(silent)))
    try:
        rig.writer.write()
    except Killed:
        rig.api.lives = -1
        rig.start()


@pytest.mark.timeout(900)  # eight times as many examples at night
@settings(max_examples=examples(25))
@given(_STEPS, _WANTED)
def test_a_writer_that_was_killed_anywhere_is_followed_by_one_that_ends_its_work(
    steps: list[tuple[list[Import], set[str], bool, int, bool]], wanted: list[Import]
) -> None:
    """In the end there is what a writer that was never killed has written, and not a write more is needed."""
    rig, expected = Rig(), Rig()
    for some, silent, refreshed, lives, before in steps:
        rig.api.lives, rig.api.before = lives or -1, before
        _run(rig, some, silent)
        if refreshed:
            rig.refresh()
    rig.api.lives = -1
    rig.start()
    for one in (rig, expected):
        one.want(*wanted)
        one.settle()
    found = rig.everything
    rig.api.sent.clear()
    rig.start()
    rig.want(*wanted)
    rig.settle()

    assert _without_addresses(expected) == _without_addresses(rig)
    assert found == rig.everything
    assert [] == rig.api.sent
    assert not rig.writer.problems


def _without_addresses(rig: Rig) -> object:
    """Return all objects without which addresses were free, and which family was first."""
    result = {}
    for path, objects in rig.everything.items():
        for key, one in objects.items():
            spec = {name: value for name, value in one.get("spec", {}).items() if name not in _ADDRESSES}
            spec["ipFamilies"] = sorted(one.get("spec", {}).get("ipFamilies", []))
            result[path, key] = one | {"spec": spec}
    return result


_ADDRESSES = {"clusterIP", "clusterIPs", "ips"}
