"""Requests between launcher and agent: what is written is read, and what is none is refused with a sentence."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80 import ipc

TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=0x2FF, exclude_characters="="), min_size=1, max_size=20)
VARIABLES = st.dictionaries(TEXT.map(lambda name: f"CNI_{name}"), TEXT | st.just("a=b") | st.just(""), max_size=8)


@given(VARIABLES, st.binary(max_size=50))
def test_what_is_written_is_read(variables: dict[str, str], stdin: bytes) -> None:
    """Variables of any bytes but zero, and standard input of any bytes at all."""
    assert (variables, stdin) == ipc.read(ipc.write(variables, stdin))


def test_only_cni_variables_are_written() -> None:
    """The rest of a runtime's environment is nobody's business."""
    assert ({"CNI_PATH": "x"}, b"") == ipc.read(ipc.write({"CNI_PATH": "x", "HOME": "/"}, b""))


def test_the_first_of_two_equal_variables_counts() -> None:
    """As it does for getenv."""
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
def test_what_is_no_request_is_refused(request_bytes: bytes, words: str) -> None:
    """With what is wrong with it."""
    with pytest.raises(ValueError, match=words):
        ipc.read(request_bytes)


@given(st.binary(max_size=100))
def test_nothing_else_is_ever_raised(data: bytes) -> None:
    """Whatever comes in."""
    for request in (data, b"slash80/1\0" + data):
        with suppress(ValueError):
            ipc.read(request)
