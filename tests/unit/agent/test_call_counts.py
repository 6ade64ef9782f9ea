"""What the processes of an agent count of their calls."""

import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from slash80 import errors
from slash80.agent.call_counts import BOUNDS, UNDELIVERED, Answered, CallCounts, Tally


def answered(counts: CallCounts, command: str, via: str = "agent") -> Answered:
    """Return what was answered of a command, by one way."""
    (found,) = [one for of_via, of_command, one in counts.answered() if (of_via, of_command) == (via, command)]
    return found


def test_another_process_counts_for_all_to_read() -> None:
    """Each in its own part, so that what it has counted is there when it was killed."""
    counts = CallCounts(2)
    for tally in counts.workers:
        if not (child := os.fork()):
            tally.count("ADD", 0, 0.25)
            tally.count("ADD", 7, 0.5)
            os.kill(os.getpid(), 9)
        os.waitpid(child, 0)

    found = answered(counts, "ADD")
    assert {"0": 2, "7": 2} == {code: count for code, count in found.codes.items() if count}
    assert 1.5 == pytest.approx(found.seconds)


def test_threads_of_a_process_lose_no_call() -> None:
    """A process has more than one at calls when one of these takes long."""
    counts, each = CallCounts(1), 2000

    def call() -> None:
        for _ in range(each):
            counts.workers[0].count("DEL", 0, 0.001)

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(call)

    assert 4 * each == answered(counts, "DEL").codes["0"] == answered(counts, "DEL").cumulative[-1]


def test_a_call_is_counted_below_each_bound_that_it_has_kept() -> None:
    """Also exactly at one; the last number is all calls, those that took longer than any bound included."""
    tally_of = CallCounts(1)
    for seconds in (0.0, BOUNDS[1], BOUNDS[1] + 1e-6, BOUNDS[-1] + 1):
        tally_of.workers[0].count("ADD", 0, seconds)

    found = answered(tally_of, "ADD").cumulative
    assert len(BOUNDS) + 1 == len(found)
    assert (1, 2, 3) == found[:3]
    assert (3, 4) == found[-2:]


def test_what_a_caller_invents_is_no_new_name() -> None:
    """A command that does not exist is one of all others, and an answer that no one took has a word of its own."""
    counts = CallCounts(1)
    for command in ("add", "", "x" * 100_000, "\udcff"):
        counts.workers[0].count(command, 4, 0.001)
    counts.workers[0].count("ADD", 0, 0.001, delivered=False)

    assert 4 == answered(counts, "other").codes["4"]
    assert (0, 1) == tuple(answered(counts, "ADD").codes[code] for code in ("0", UNDELIVERED))
    assert 7 == len([*counts.answered()]) / 2


def test_every_kind_of_error_has_its_number() -> None:
    """A code that no error has is counted as unexpected, and takes no call's answer away."""
    tally = Tally()
    kinds = [one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, errors.CniError)]
    for kind in kinds:
        tally.count("ADD", kind.code, 0.001)
    tally.count("ADD", -1, 0.001)
    counts = CallCounts(0)
    counts.notes = tally

    found = answered(counts, "ADD", "note").codes
    assert {*(str(kind.code) for kind in kinds)} <= {code for code, count in found.items() if count}
    assert 1 + sum(kind.code == errors.CniError.code for kind in kinds) == found[str(errors.CniError.code)]
