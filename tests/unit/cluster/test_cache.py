"""Records, indexes and changes, by documents of which some are hostile."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.cluster.cache import NAMELESS, Cache, Change, Listing, TooMany, key_of, version_of
from slash80.cluster.objects.reading import Unreadable
from unit.cluster.fakes import INDEXES, Pod, pod, read_pod

A, B = Pod("a", "ns", "10.0.0.1"), Pod("b", "ns", "10.0.0.2")


def made(*documents: Any, most: int = 100) -> Cache[Pod]:  # noqa: ANN401 -- anything that a server may send
    """Return a cache with these objects."""
    cache = Cache(read_pod, INDEXES, most=most)
    listed(cache, *documents)
    return cache


def listed(cache: Cache[Pod], *documents: Any) -> list[Change[Pod]]:  # noqa: ANN401 -- the same
    """Have a list replace what is there."""
    listing = Listing[Pod]()
    cache.receive(documents, listing)
    return cache.replace(listing)


def test_a_list_replaces_what_was_there_and_says_what_that_changes() -> None:
    """Objects that went are deleted, new ones added, others updated; of what is the same nothing is said."""
    cache = made(pod("a", "10.0.0.1"), pod("gone"), pod("same"))
    changes = listed(cache, pod("a", "10.0.0.9"), pod("b", "10.0.0.2"), pod("same"))

    moved = Pod("a", "ns", "10.0.0.9")
    assert [
        Change("ns/gone", Pod("gone", "ns", ""), None),
        Change("ns/a", A, moved),
        Change("ns/b", None, B),
    ] == changes
    assert [moved, B, Pod("same", "ns", "")] == cache.records()


def test_a_part_of_a_list_changes_nothing() -> None:
    """Records change only when `replace` is called with the whole list."""
    cache = made(pod("a", "10.0.0.1"))
    cache.receive([pod("b")], Listing())

    assert [A] == cache.records()


def test_what_has_not_changed_is_kept_once() -> None:
    """A list that is read again does not take the room of all records twice."""
    cache = made(pod("a", "10.0.0.1"))
    before = cache.get("ns/a")
    listing = Listing[Pod]()
    cache.receive([pod("a", "10.0.0.1")], listing)

    assert before is listing.records["ns/a"]


def test_events_change_one_object_each() -> None:
    """An object is added, updated and deleted; an event that changes nothing kept does not count as a change."""
    cache = made()
    moved = Pod("a", "ns", "10.0.0.9")

    assert Change("ns/a", None, A) == cache.apply(pod("a", "10.0.0.1"), deleted=False)
    assert cache.apply(pod("a", "10.0.0.1", labels={"x": "y"}), deleted=False) is None
    assert Change("ns/a", A, moved) == cache.apply(pod("a", "10.0.0.9"), deleted=False)
    assert Change("ns/a", moved, None) == cache.apply(pod("a", "10.0.0.9"), deleted=True)
    assert cache.apply(pod("a", "10.0.0.9"), deleted=True) is None
    assert [] == cache.records()


def test_an_object_that_is_not_kept_any_more_is_deleted() -> None:
    """The reader says "nothing" for a Pod that has ended, by event and by list."""
    cache = made(pod("a", "10.0.0.1"), pod("b", "10.0.0.2"))

    assert Change("ns/a", A, None) == cache.apply(pod("a", phase="Succeeded"), deleted=False)
    assert [Change("ns/b", B, None)] == listed(cache, pod("b", phase="Succeeded"))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["list", "event", "delete"]),
            st.sampled_from("abcd"),
            st.sampled_from(["", "10.0.0.1", "10.0.0.2", 7]),
            st.sampled_from(["ns", "other"]),
        ),
        max_size=30,
    )
)
def test_indexes_say_what_a_look_at_all_records_would_say(steps: list[tuple[str, str, Any, str]]) -> None:
    """They agree with the records after any sequence of lists, events and objects that cannot be read."""
    cache = made()
    for kind, name, address, namespace in steps:
        document = pod(name, address, namespace=namespace)
        if kind == "list":
            listed(cache, document, pod("e", "10.0.0.1"))
        else:
            cache.apply(document, deleted=kind == "delete")

    records = cache.records()
    for value in ("", "10.0.0.1", "10.0.0.2"):
        assert [one for one in records if value and one.address == value] == cache.indexed("address", value)
    for value in ("ns", "other"):
        assert [one for one in records if one.namespace == value] == cache.indexed("namespace", value)


def test_an_object_that_cannot_be_read_costs_itself_only() -> None:
    """It stays as it was last understood and is named, while the others go on; once it can be read all is well."""
    cache = made(pod("a", "10.0.0.1"))
    changes = listed(cache, pod("a", 7), pod("b", "10.0.0.2"))

    assert [Change("ns/b", None, B)] == changes
    assert [A, B] == cache.records()
    assert {"ns/a": "podIP is 7, but must be a string"} == cache.unreadable

    assert cache.apply(pod("b", 8), deleted=False) is None
    assert [B] == cache.indexed("address", "10.0.0.2")
    assert {"ns/a", "ns/b"} == set(cache.unreadable)
    cache.apply(pod("a", "10.0.0.3"), deleted=False)
    cache.apply(pod("b"), deleted=True)
    assert {} == cache.unreadable


@pytest.mark.parametrize("hostile", [None, 7, [], {}, {"metadata": 7}, {"metadata": {"name": ["a"]}}, pod("a" * 254)])
def test_an_object_without_a_usable_name_is_counted(hostile: object) -> None:
    """It is not known which object it is, so the cache may miss a change until the next list."""
    cache = made(hostile, pod("b", "10.0.0.2"))

    assert [B] == cache.records()
    assert [NAMELESS] == list(cache.unreadable)
    assert cache.incomplete
    listed(cache, pod("b", "10.0.0.2"))
    assert not cache.incomplete


def test_a_mistake_in_a_reader_or_an_index_costs_one_object() -> None:
    """The record is held against each index before any of them is changed."""
    cache: Cache[Pod] = Cache(read_pod, {"first": lambda one: [one.address[0]], "name": lambda one: [one.name]})
    listed(cache, pod("a", "10.0.0.1"), pod("b"))

    assert [A] == cache.records()
    assert {"ns/b": "IndexError: 'string index out of range'"} == cache.unreadable
    assert [] == cache.indexed("name", "b")


def test_a_hundred_unreadable_objects_are_named_at_most() -> None:
    """A flood of them takes no memory, and still none of them loses its record."""
    names = [f"n{number}" for number in range(300)]
    cache = made(*(pod(name, "10.0.0.1") for name in names), most=300)
    listed(cache, *(pod(name, 7) for name in names))

    assert (100, 300) == (len(cache.unreadable), len(cache.records()))


def test_more_objects_than_are_kept_are_refused() -> None:
    """A list that is too long changes nothing; one more object by an event is named and left out."""
    cache = made(pod("a", "10.0.0.1"), pod("b", "10.0.0.2"), most=2)
    with pytest.raises(TooMany, match="more than 2"):
        cache.receive([pod("a"), pod("b"), pod("c")], Listing())
    assert cache.apply(pod("c"), deleted=False) is None

    assert [A, B] == cache.records()
    assert {"ns/c": "it is one more than the 2 that are kept"} == cache.unreadable
    assert cache.apply(pod("a", "10.0.0.3"), deleted=False)


def test_keys_and_versions_are_read_with_care() -> None:
    """A key is what `kubectl` shows; a version that is not a string is ignored."""
    assert "ns/a" == key_of(pod("a"))
    assert "a" == key_of({"metadata": {"name": "a"}})
    with pytest.raises(Unreadable, match=r"metadata\.name is missing"):
        key_of({"metadata": {"name": ""}})
    assert "7" == version_of({"metadata": {"resourceVersion": "7"}})
    assert "" == version_of({"metadata": {"resourceVersion": 7}}) == version_of({"metadata": []})
