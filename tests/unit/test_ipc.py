"""Requests between launcher and agent: they read back as written, and anything else is refused with a sentence."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80 import ipc

TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_characters="="), min_size=1, max_size=20)
VARIABLES = st.dictionaries(TEXT.map(lambda name: f"CNI_{name}"), TEXT | st.just("a=b") | st.just(""), max_size=8)


@given(VARIABLES, st.binary(max_size=50))
def test_request_is_read_back_as_written(variables: dict[str, str], stdin: bytes) -> None:
    """Variables with any bytes but zero, and standard input with any bytes, survive the hand-over."""
    assert (variables, stdin) == ipc.read(ipc.write(variables, stdin))


def test_request_holds_only_cni_variables() -> None:
    """The rest of a runtime's environment is not sent."""
    assert ({"CNI_PATH": "x"}, b"") == ipc.read(ipc.write({"CNI_PATH": "x", "HOME": "/"}, b""))


def test_first_of_two_equal_variables_counts() -> None:
    """As for getenv, the first of two variables with one name is used."""
    assert {"CNI_A": "1"} == ipc.read(b"slash80/1\0CNI_A=1\0CNI_A=2\0\0")[0]


@pytest.mark.parametrize(
    ("request_bytes", "words"),
    [
        (b"", "begins with"),
        (b"slash80/2\0\0", "begins with b'slash80/2'"),
        (b"slash80/1", "does not end"),
        (b"slash80/1\0CNI_A=1\0", "does not end"),
        (b"slash80/1\0" + b"CNI_A=1\0" * 9000 + b"\0", "does not end within 65536"),
        (b"slash80/1\0PATH=x\0\0", "where a CNI_ variable should be"),
        (b"slash80/1\0CNI_A\0\0", "where a CNI_ variable should be"),
    ],
)
def test_malformed_request_is_refused(request_bytes: bytes, words: str) -> None:
    """The error says what is wrong with the request."""
    with pytest.raises(ValueError, match=words):
        ipc.read(request_bytes)


@given(st.binary(max_size=100))
def test_any_bytes_are_a_request_or_an_error(data: bytes) -> None:
    """No other exception is raised for any input."""
    for request in (data, b"slash80/1\0" + data):
        with suppress(ValueError):
            ipc.read(request)
