"""The line of the log that each call leaves."""

import json
import logging
import os
import re
from pathlib import Path
from unittest.mock import patch

import pytest

from slash80.agent.call_counts import UNDELIVERED, CallCounts, Tally
from slash80.agent.serve.call_log import FORMAT, CallLog, Lines

ENVIRON = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0"}
POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def _call(environ: dict[str, str]) -> CallLog:
    return CallLog(environ, logging.getLogger().info, Tally())


def test_a_call_that_succeeds_leaves_a_line_with_what_it_was_and_took(caplog: pytest.LogCaptureFixture) -> None:
    """The line has verb, container, interface, pod, code and milliseconds as keys and values."""
    call = _call(ENVIRON | {"CNI_ARGS": POD})
    call.answered(0, b"{}")
    call.write()

    line = r"ADD container=c1 ifname=eth0 pod=shop/web-0 code=0 ms=\d+\.\d"
    assert re.fullmatch(line, caplog.messages[0])
    assert [logging.INFO] == [record.levelno for record in caplog.records]


def test_a_call_that_fails_leaves_the_code_and_the_message_of_its_error(caplog: pytest.LogCaptureFixture) -> None:
    """The line is a warning, and has the CNI error code rather than the exit code."""
    call = _call(ENVIRON)
    call.answered(1, json.dumps({"code": 100, "msg": 'the pool is "full"'}).encode())
    call.write()

    assert re.fullmatch(r'ADD .* pod=- code=100 ms=\S+ msg="the pool is \\"full\\""', caplog.messages[0])
    assert [logging.WARNING] == [record.levelno for record in caplog.records]


def test_an_answer_that_could_not_be_delivered_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The ADD was rolled back then, which its code alone would not say."""
    call = _call(ENVIRON)
    call.answered(0, b"{}")
    call.write(OSError("broken pipe"))

    assert 'msg="the answer was not delivered: broken pipe"' in caplog.messages[0]


@pytest.mark.parametrize(("failure", "code"), [(None, "100"), (OSError("broken pipe"), UNDELIVERED)])
def test_each_call_is_counted_once_with_the_code_of_its_answer(failure: OSError | None, code: str) -> None:
    """When it has its answer; an answer that was kept back counts as that, whatever it was."""
    counts = CallCounts(1)
    call = CallLog(ENVIRON, logging.getLogger().info, counts.workers[0])
    call.answered(1, json.dumps({"code": 100, "msg": "the pool is full"}).encode())
    assert not any(any(one.codes.values()) for _, _, one in counts.answered())
    call.write(failure)

    counted = [(via, command, one.codes[code], one.cumulative[-1]) for via, command, one in counts.answered()]
    assert [("agent", "ADD", 1, 1)] == [one for one in counted if one[-1]]


def test_a_caller_cannot_forge_or_flood_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Line feeds, spaces and bytes that are not UTF-8 are escaped, and long values are cut."""
    args = {"CNI_ARGS": "K8S_POD_NAME=a\nADD code 0"}
    _call({"CNI_COMMAND": "\udcff" + "x" * 100_000, **args}).write()

    assert "\n" not in caplog.messages[0]
    assert r" pod=/a\nADD\x20code\x200 " in caplog.messages[0]
    assert len(caplog.messages[0]) < 500


@pytest.mark.parametrize("args", ["K8S_POD_NAME=a;;=;x", "K8S_POD_NAME=a=b", "K8S_POD_NAME=\udcff"])
def test_a_malformed_cni_args_names_no_pod(args: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call's own error says what is malformed; one reading of CNI_ARGS decides it for both."""
    _call(ENVIRON | {"CNI_ARGS": args}).write()

    assert " pod=- " in caplog.messages[0]


def test_an_unknown_key_in_cni_args_does_not_hide_the_pod(caplog: pytest.LogCaptureFixture) -> None:
    """The call is refused for that key, and the line says of which pod it was."""
    _call(ENVIRON | {"CNI_ARGS": "Other=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"}).write()

    assert " pod=shop/web-0 " in caplog.messages[0]


def test_lines_of_calls_look_as_those_of_logging(tmp_path: Path) -> None:
    """Both stand in one log, with the time to the millisecond and the level."""
    theirs = logging.LogRecord("calls", logging.INFO, "", 0, "ADD code=0", None, None)
    with (tmp_path / "log").open("wb") as log:
        lines = Lines(log.fileno())
        for moment in (1_700_000_000.25, 1_700_000_000.5, 1_700_000_061.75):
            theirs.created, theirs.msecs = moment, moment % 1 * 1000
            with patch("time.time", return_value=moment):
                lines("ADD code=0")
            written = (tmp_path / "log").read_text().splitlines()
            assert logging.Formatter(FORMAT).format(theirs) == written[-1]

    assert 3 == len(written)


def test_a_line_that_cannot_be_written_is_lost_and_the_call_is_not() -> None:
    """The log may be a pipe whose reader has ended, or on a disk that is full."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with pytest.raises(BrokenPipeError):
            os.write(writer, b"ADD")
        Lines(writer)("ADD code=0")
    finally:
        os.close(writer)
