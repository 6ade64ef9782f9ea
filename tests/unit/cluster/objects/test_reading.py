"""Reading fields of any JSON document, within bounds."""

from collections.abc import Callable
from typing import Any

import pytest

from slash80.cluster.objects.reading import Unreadable, mapping, mappings, text, texts

READERS: list[Callable[..., Any]] = [mapping, mappings, text, texts]


@pytest.mark.parametrize("read", READERS)
def test_what_is_missing_or_null_is_empty(read: Callable[..., Any]) -> None:
    """Go's JSON leaves empty fields out, and writes null for some of them."""
    assert not read({}, "key")
    assert not read({"key": None}, "key")


@pytest.mark.parametrize(
    ("read", "value", "must"),
    [
        (mapping, ["a"], "an object"),
        (mappings, {"a": 1}, "a list of objects"),
        (mappings, [{}, "a"], "a list of objects"),
        (text, 7, "a string"),
        (texts, "abc", "a list of strings"),
        (texts, ["a", None], "a list of strings"),
    ],
)
def test_another_type_is_refused_with_the_key(read: Callable[..., Any], value: object, must: str) -> None:
    """The sentence has the value, on one line."""
    with pytest.raises(Unreadable, match=f"^key is .*, but must be {must}$"):
        read({"key": value}, "key")


def test_what_fits_is_returned_as_it_is() -> None:
    """Strings, lists and objects within their bounds are read without a change."""
    document = {"a": "x" * 10, "b": ["y"] * 3, "c": {"d": 1}, "e": [{"f": 2}]}
    assert "x" * 10 == text(document, "a", most=10)
    assert ["y"] * 3 == texts(document, "b", most=3)
    assert {"d": 1} == mapping(document, "c")
    assert [{"f": 2}] == mappings(document, "e", most=1)


def test_sizes_are_bounded() -> None:
    """An object of several megabytes must not be kept because one field of it is."""
    with pytest.raises(Unreadable, match="a has 11 characters, of which at most 10 are read"):
        text({"a": "x" * 11}, "a", most=10)
    with pytest.raises(Unreadable, match="a has 4 entries, of which at most 3 are read"):
        texts({"a": ["x"] * 4}, "a", most=3)
    with pytest.raises(Unreadable, match="a has a string of more than 65536 characters"):
        texts({"a": ["x" * 65537]}, "a")
    with pytest.raises(Unreadable, match="at most 1000 are read"):
        mappings({"a": [{}] * 1001}, "a")
