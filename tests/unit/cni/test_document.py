"""JSON as it comes from a runtime."""

import io

import pytest

from slash80.cni import document
from slash80.errors import Undecodable

BAD = {
    "empty": b"",
    "truncated": b'{"name": ',
    "two documents": b"{}{}",
    "array": b"[]",
    "string": b'"x"',
    "number": b"5",
    "NaN": b'{"mtu": NaN}',
    "infinity": b'{"mtu": -Infinity}',
    "a number beyond all numbers": b'{"mtu": 1e999}',
    "a number of many digits": b'{"mtu": ' + b"9" * 5000 + b"}",
    "deep arrays": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "no UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "x"}'.encode("utf-16"),
    "too large": b'{"a": "' + b"x" * document.INPUT_BYTES + b'"}',
    "comment": b"{} // x",
}


@pytest.mark.parametrize("raw", BAD.values(), ids=BAD.keys())
def test_anything_but_a_json_object_is_code_6(raw: bytes) -> None:
    """Anything but one bounded JSON object is code 6, in one sentence."""
    with pytest.raises(Undecodable, match=r"^standard input ") as caught:
        document.read(io.BytesIO(raw))

    assert len(caught.value.msg) < 200


def test_document_may_have_four_mebibytes() -> None:
    """A document of exactly the limit is accepted."""
    raw = b'{"a": 1}'.ljust(document.INPUT_BYTES)

    assert {"a": 1} == document.read(io.BytesIO(raw))


def test_null_document_is_an_empty_object() -> None:
    """Null is read as an empty object, as in Go; the missing name is reported later."""
    assert {} == document.decode(b"null")


def test_last_of_a_repeated_key_is_used() -> None:
    """The last value of a repeated key is used, as in Go."""
    assert {"name": "b"} == document.decode(b'{"name": "a", "name": "b"}')


@pytest.mark.parametrize(
    ("raw", "value"),
    [({"name": 1}, 1), ({"NAME": 1}, 1), ({"NAME": 1, "name": 2}, 2), ({"Name": 1, "NAME": 2}, 2), ({}, None)],
)
def test_keys_of_a_document_match_in_any_case(raw: document.Document, value: object) -> None:
    """An exact key is preferred, else the last one that differs in case only."""
    assert value == document.get(raw, "name")


def test_section_is_an_object_or_absent() -> None:
    """Null and a missing key are an empty object."""
    raw = {"Args": {"cni": None}}

    assert ({"cni": None}, {}, {}) == (
        document.section(raw, "args"),
        document.section(raw, "none"),
        document.section(raw["Args"], "cni"),
    )


@pytest.mark.parametrize("value", [[], "x", 5, True])
def test_section_that_is_not_an_object_is_code_6(value: object) -> None:
    """The message names the key of the section."""
    with pytest.raises(Undecodable, match="'args'"):
        document.section({"args": value}, "args")


@pytest.mark.parametrize("value", [{"a": 1}, "x", [5], [{}, None]])
def test_list_of_objects_must_hold_objects(value: object) -> None:
    """The message names the key of the previous result that is not a list of objects."""
    with pytest.raises(Undecodable, match="'ips'"):
        document.objects({"ips": value}, "ips")
