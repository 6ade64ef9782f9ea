"""What a member is told of this cluster's exports: all of them, or what has changed since it last asked."""

import json
import random
import threading
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from slash80.clusterset.feed import LINE, TOGETHER, Answer, Feed
from slash80.clusterset.records import Export, Name, Properties
from unit.clocks import ManualClock, SteppedClock


def _name(number: int) -> Name:
    return Name("shop", f"service-{number}")


def _export(number: int, created: int = 0) -> Export:
    return Export(_name(number), created, (6,), ())


def _exports(*versions: int) -> dict[Name, Export]:
    """Export a Service for each number: its number is its place, and its version when it was made."""
    return {_name(number): _export(number, created) for number, created in enumerate(versions)}


def _encode(export: Export) -> object:
    return [*export.name, export.created]


def _feed(clock: SteppedClock | ManualClock | None = None, gone: int = 10) -> Feed:
    return Feed("e", clock or SteppedClock(), encode=_encode, gone=gone)


def _lines(answer: Answer | None) -> list[Any]:
    assert answer
    found: list[Any] = json.loads(b"[%s]" % b",".join(zlib.decompress(answer.body, wbits=31).splitlines()))
    return found


def _apply(answer: Answer | None, mirror: dict[Name, int]) -> str:
    """Do what a member does with an answer; return from where it goes on."""
    head, *lines, end = _lines(answer)
    assert {"end": len(lines)} == end
    if head["full"]:
        mirror.clear()
    for line in lines:
        if "gone" in line:
            mirror.pop(Name(*line["gone"]), None)  # it may have come and gone in between
        else:
            namespace, name, created = line["export"]
            mirror[Name(namespace, name)] = created
    return f"{head['epoch']}:{head['revision']}"


def _seen(exports: Mapping[Name, Export]) -> dict[Name, int]:
    return {name: export.created for name, export in exports.items()}


def test_nothing_published_is_not_nothing_exported() -> None:
    """Before the first publication there is no answer; after one of nothing, the answer is full and empty."""
    feed = _feed()
    assert feed.answer("", 20) is None

    feed.publish({})
    assert [{"epoch": "e", "revision": 0, "full": True}, {"end": 0}] == _lines(feed.answer("", 20))


def test_who_asked_before_a_withdrawal_gets_what_changed_since() -> None:
    """While nothing is published there is no answer; then a member gets what changed, and what is gone."""
    feed, mirror = _feed(), dict[Name, int]()
    feed.publish(_exports(1, 1))
    since = _apply(feed.answer("", 20), mirror)
    feed.withdraw()
    assert feed.answer(since, 20) is None
    assert feed.answer("", 20) is None

    feed.publish(_exports(2))
    answer = feed.answer(since, 20)
    assert answer
    assert not answer.full
    _apply(answer, mirror)
    assert _seen(_exports(2)) == mirror


@pytest.mark.parametrize("since", ["", "e", "e:", "f:1", "e:2", "e:-1", "e:x", "e:²", f"e:{'1' * 5000}", ":1"])
def test_whatever_is_not_a_revision_of_this_epoch_gets_everything(since: str) -> None:
    """An unknown epoch is another process's, and a revision that is still to come cannot have been seen."""
    feed = _feed()
    feed.publish(_exports(1, 1))
    mirror: dict[Name, int] = {}

    assert "e:1" == _apply(feed.answer(since, 20), mirror)
    assert _seen(_exports(1, 1)) == mirror


def test_change_and_removal_come_alone() -> None:
    """A member that keeps up gets the exports that have changed and the names of those that are gone."""
    feed = _feed()
    feed.publish(_exports(1, 1, 1))
    feed.publish(_exports(1, 2))

    head, *lines, _ = _lines(feed.answer("e:1", 20))
    assert {"epoch": "e", "revision": 2, "full": False} == head
    assert [{"export": ["shop", "service-1", 2]}, {"gone": ["shop", "service-2"]}] == lines


def test_removal_that_is_no_longer_remembered_means_everything() -> None:
    """A member from before the removal that was forgotten gets all exports, and one from after it the changes."""
    feed = _feed(gone=2)
    feed.publish(_exports(1, 1, 1, 1))
    for count in (3, 2, 1):
        feed.publish(_exports(*[1] * count))

    assert [True, False] == [answer.full for since in ("e:1", "e:2") if (answer := feed.answer(since, 0))]


def test_export_that_comes_back_is_not_gone() -> None:
    """Of a Service that was removed and exported again the member sees the export only."""
    feed = _feed()
    for exports in (_exports(1, 1), _exports(1), _exports(1, 3)):
        feed.publish(exports)

    assert [{"export": ["shop", "service-1", 3]}] == _lines(feed.answer("e:1", 20))[1:-1]


def test_what_is_not_sent_is_not_a_change() -> None:
    """Records that differ in what members do not get leave the revision as it is."""
    feed = _feed()
    feed.publish(_exports(1))
    feed.publish({_name(0): Export(_name(0), 1, (6,), (), Properties(headless=True))})

    answer = feed.answer("e:1", 0)
    assert answer
    assert "e:1" == answer.since


def test_export_that_is_too_large_is_left_out() -> None:
    """A member would refuse a whole answer with such a line, so it sees the Service as gone."""
    feed = Feed("e", SteppedClock(), encode=lambda export: "x" * (LINE if export.created else 1))
    feed.publish(_exports(0, 1))

    assert [{"export": "x"}, {"gone": ["shop", "service-1"]}] == _lines(feed.answer("", 0))[1:-1]


def test_unchanged_feed_answers_after_the_wait() -> None:
    """Without a change the answer comes when the wait is over, which is 20 seconds at most, and is empty."""
    clock = SteppedClock()
    feed = _feed(clock)
    feed.publish(_exports(1))

    assert 2 == len(_lines(feed.answer("e:1", 7)))
    assert 7 == clock.time
    feed.answer("e:1", 1e9)
    assert 27 == clock.time


def test_first_change_comes_at_once_and_those_of_half_a_second_together() -> None:
    """One change waits for nothing, and of many in a row a member gets two answers a second."""
    clock = SteppedClock()
    feed = _feed(clock)
    feed.publish(_exports(0))
    clock.time = 100
    for moment in range(1, 9):
        clock.at(100 + moment / 10, lambda moment=moment: feed.publish(_exports(moment)))  # type: ignore[misc]

    since, moments = "e:1", []
    for _ in range(3):
        answer = feed.answer(since, 20)
        assert answer
        since = answer.since
        moments.append(clock.time)
    assert [100.1, 100.1 + TOGETHER, 100.1 + 2 * TOGETHER] == pytest.approx(moments)
    assert "e:9" == since


def test_waiting_answer_ends_when_its_connection_is_gone() -> None:
    """A connection that was broken off holds its thread no longer than until the bell rings."""
    feed, gone = _feed(ManualClock()), threading.Event()
    feed.publish(_exports(1))
    thread = threading.Thread(target=feed.answer, args=("e:1", 20, gone.is_set))
    thread.start()

    gone.set()
    feed.ring()
    thread.join()


def test_deltas_come_to_the_same_as_everything() -> None:
    """After 100,000 random changes, members that ask seldom and often have what the last publication had."""
    feed, chance = _feed(gone=100), random.Random(1)
    exports: dict[Name, Export] = {}
    mirrors: list[dict[Name, int]] = [{} for _ in range(3)]
    since, full = ["", "", ""], 0
    for turn in range(200):
        for change in range(500):
            number = chance.randrange(600)
            if chance.random() < 0.3:
                exports.pop(_name(number), None)
            else:
                exports[_name(number)] = _export(number, turn * 500 + change)
        feed.publish(exports)
        for number, mirror in enumerate(mirrors):
            if turn == 199 or chance.random() < (1, 0.5, 0.05)[number]:
                answer = feed.answer(since[number], 0)
                assert answer
                full += answer.full
                since[number] = _apply(answer, mirror)
                assert _seen(exports) == mirror
    assert 3 < full < 200
