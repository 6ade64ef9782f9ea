"""The bytes of a watch become events, whatever they are and however they are cut."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.cluster.stream import Event, Garbled, events

ADDED = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
EVENT = Event("ADDED", {"metadata": {"name": "a"}})


@given(st.lists(st.integers(0, 3 * len(ADDED)), max_size=9).map(sorted))
def test_events_do_not_depend_on_how_the_bytes_are_cut(cuts: list[int]) -> None:
    """Each line is one event, in however many pieces it arrives."""
    whole = ADDED * 3
    chunks = [whole[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert [EVENT] * 3 == list(events(chunks))


def test_a_line_that_never_ended_is_no_event() -> None:
    """What a connection that broke off has left over is not taken for an event, even if it would be one."""
    assert [EVENT] == list(events([ADDED, ADDED.rstrip()]))


def test_empty_lines_say_nothing() -> None:
    """A proxy may send empty lines to keep a connection open."""
    assert [EVENT] == list(events([b"\n \n", ADDED, b"\r\n"]))


@pytest.mark.parametrize(
    "line",
    [
        b"<html>",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"type":1,"object":{}}',
        b'{"type":"ADDED","object":null}',
        b"[" * 200_000,
    ],
)
def test_a_line_that_is_not_an_event_costs_itself_only(line: bytes) -> None:
    """The event before and the one after it are there, and the line is reported in a short sentence."""
    before, garbled, after = events([ADDED, line + b"\n", ADDED])

    assert EVENT == before == after
    assert isinstance(garbled, Garbled)
    assert len(garbled.reason) < 200


def test_an_event_that_is_too_long_is_dropped_while_it_arrives() -> None:
    """No more than one chunk beyond the bound is kept, and the next event is read."""
    long = json.dumps({"type": "ADDED", "object": {"x": "y" * 5000}}).encode()
    pieces = [long[i : i + 100] for i in range(0, len(long), 100)]

    assert [Garbled("an event is longer than 1000 bytes"), EVENT] == list(events([*pieces, b"\n", ADDED], longest=1000))
    assert [Garbled("an event is longer than 1000 bytes"), EVENT] == list(events([long + b"\n" + ADDED], longest=1000))
