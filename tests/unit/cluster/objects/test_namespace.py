"""Namespaces as the API sends them."""

import tracemalloc
from typing import Any

import pytest

from slash80.addressing.openings import ALLOW_EXPOSE
from slash80.cluster.cache import Cache, Listing
from slash80.cluster.objects.namespace import EXPOSING_NAMESPACES, read_exposing, read_namespace
from slash80.cluster.objects.reading import Unreadable
from slash80.policy.model import Namespace


def _read(labels: Any) -> str | None:  # noqa: ANN401 -- any JSON value
    return read_exposing({"metadata": {"name": "team-a", "labels": labels}})


def test_a_namespace_with_the_label_is_kept_by_its_name() -> None:
    """Nothing else of it is, however large its labels and annotations are."""
    assert "team-a" == _read({ALLOW_EXPOSE: "true", "x": "y" * 100_000})


@pytest.mark.parametrize(
    "labels", [None, {}, {ALLOW_EXPOSE: "false"}, {ALLOW_EXPOSE: "True"}, {ALLOW_EXPOSE: ["true"]}, [], "true", 1]
)
def test_every_other_namespace_may_not_expose(labels: object) -> None:
    """Labels that cannot be understood do not count: an object that is refused keeps the right that it had before."""
    assert _read(labels) is None


def test_a_name_that_no_namespace_can_have_is_refused() -> None:
    """The names are handed on in a file of bounded size."""
    with pytest.raises(Unreadable):
        read_exposing({"metadata": {"name": "x" * 64, "labels": {ALLOW_EXPOSE: "true"}}})


def test_the_api_server_selects_by_the_label() -> None:
    """Of 10,000 namespaces an agent receives only those that have it."""
    assert f"{ALLOW_EXPOSE}=true" == EXPOSING_NAMESPACES.labels


def test_of_ten_thousand_large_namespaces_only_names_are_kept() -> None:
    """Each with 30 KB of labels and annotations, as far as the API server sends them: their names take 2 MB."""
    cache = Cache(read_exposing)
    listing = Listing[str]()
    tracemalloc.start()
    try:
        for page in range(40):
            large = {"labels": {ALLOW_EXPOSE: "true", "x": "y" * 10_000}, "annotations": {"z": "z" * 20_000}}
            cache.receive([{"metadata": {"name": f"{page}-{number}", **large}} for number in range(250)], listing)
        cache.replace(listing)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert 10_000 == len(cache.records())
    assert kept < 4 << 20


def test_labels_are_kept_of_namespaces_that_policies_select() -> None:
    """The name is a label as well, which the API server sets."""
    labels = {"kubernetes.io/metadata.name": "team-a", "team": "a"}
    assert Namespace("team-a", labels) == read_namespace({"metadata": {"name": "team-a", "labels": labels}})
    assert Namespace("team-b") == read_namespace({"metadata": {"name": "team-b"}})


@pytest.mark.parametrize(
    "metadata", [{}, {"name": "x" * 64}, {"name": "a", "labels": {"team": 5}}, {"name": "a", "labels": "x"}]
)
def test_a_namespace_that_cannot_be_understood_is_refused(metadata: dict[str, object]) -> None:
    """It keeps the labels that it had; without any it does not match a policy that asks for labels."""
    with pytest.raises(Unreadable):
        read_namespace({"metadata": metadata})
