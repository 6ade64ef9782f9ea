"""The line of the log that each call leaves."""

import json
import logging
import re

import pytest

from slash80.agent.serve.call_log import CallLog

ENVIRON = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c1", "CNI_IFNAME": "eth0"}
POD = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"


@pytest.fixture(autouse=True)
def _level(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_a_call_that_succeeds_leaves_a_line_with_what_it_was_and_took(caplog: pytest.LogCaptureFixture) -> None:
    """The line has verb, container, interface, pod, code and milliseconds as keys and values."""
    call = CallLog(ENVIRON | {"CNI_ARGS": POD})
    call.answered(0, b"{}")
    call.write()

    line = r"ADD container=c1 ifname=eth0 pod=shop/web-0 code=0 ms=\d+\.\d"
    assert re.fullmatch(line, caplog.messages[0])
    assert [logging.INFO] == [record.levelno for record in caplog.records]


def test_a_call_that_fails_leaves_the_code_and_the_message_of_its_error(caplog: pytest.LogCaptureFixture) -> None:
    """The line is a warning, and has the CNI error code rather than the exit code."""
    call = CallLog(ENVIRON)
    call.answered(1, json.dumps({"code": 100, "msg": 'the pool is "full"'}).encode())
    call.write()

    assert re.fullmatch(r'ADD .* pod=- code=100 ms=\S+ msg="the pool is \\"full\\""', caplog.messages[0])
    assert [logging.WARNING] == [record.levelno for record in caplog.records]


def test_an_answer_that_could_not_be_delivered_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The ADD was rolled back then, which its code alone would not say."""
    call = CallLog(ENVIRON)
    call.answered(0, b"{}")
    call.write(OSError("broken pipe"))

    assert 'msg="the answer was not delivered: broken pipe"' in caplog.messages[0]


def test_a_caller_cannot_forge_or_flood_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """Line feeds, spaces and bytes that are not UTF-8 are escaped, and long values are cut."""
    args = {"CNI_ARGS": "K8S_POD_NAME=a\nADD code 0"}
    CallLog({"CNI_COMMAND": "\udcff" + "x" * 100_000, **args}).write()

    assert "\n" not in caplog.messages[0]
    assert r" pod=/a\nADD\x20code\x200 " in caplog.messages[0]
    assert len(caplog.messages[0]) < 500


@pytest.mark.parametrize("args", ["K8S_POD_NAME=a;;=;x", "K8S_POD_NAME=a=b", "K8S_POD_NAME=\udcff"])
def test_a_malformed_cni_args_names_no_pod(args: str, caplog: pytest.LogCaptureFixture) -> None:
    """The call's own error says what is malformed; one reading of CNI_ARGS decides it for both."""
    CallLog(ENVIRON | {"CNI_ARGS": args}).write()

    assert " pod=- " in caplog.messages[0]


def test_an_unknown_key_in_cni_args_does_not_hide_the_pod(caplog: pytest.LogCaptureFixture) -> None:
    """The call is refused for that key, and the line says of which pod it was."""
    CallLog(ENVIRON | {"CNI_ARGS": "Other=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0"}).write()

    assert " pod=shop/web-0 " in caplog.messages[0]
