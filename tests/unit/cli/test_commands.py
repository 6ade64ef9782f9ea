"""The command line: what it prints, and its exit codes."""

import json
import signal
import threading
from pathlib import Path

import pytest

from slash80 import __version__
from slash80.addressing.attachment import State
from slash80.addressing.openings import Openings
from slash80.addressing.ports import PortRange
from slash80.cli import commands
from slash80.host.context import boottime, store_in
from unit.builders import OPENINGS, attachment


def test_attachments_as_json_have_the_documented_fields(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every field has its documented name, and unknown values are empty."""
    store = store_in(tmp_path / "s", timeout=5)
    store.keep(attachment(since=boottime(), openings=OPENINGS))
    store.keep(attachment(2, state=State.PENDING, since=boottime() - 1))
    store.mark_terminating(attachment().host_ifname)

    assert 0 == commands.main(["attachments", "-o", "json", "--state-dir", str(tmp_path / "s")])
    second, first = json.loads(capsys.readouterr().out)
    assert ["dying", "pending"] == [first["state"], second["state"]]
    assert first.pop("since") > 0
    first.pop("state")
    assert {
        "network": "net",
        "containerID": "container1",
        "ifname": "eth0",
        "netns": "/run/netns/pod",
        "hostIfname": attachment().host_ifname,
        "mac": "02:00:5e:00:53:01",
        "ipv4": "10.80.1.1",
        "ipv6": "2001:db8:0:1:1::1",
        "expose": {"ports": ["udp/8000-8100"], "allowed": True},
        "pod": {"namespace": "default", "name": "pod1", "uid": "uid1"},
        "portMappings": [
            {"hostIP": "0.0.0.0", "hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostIP": "2001:db8::1", "hostPort": 9, "containerPort": 9, "protocol": "sctp"},
        ],
    } == first


def test_attachments_are_printed_as_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each attachment is a row of the table."""
    store_in(tmp_path, timeout=5).keep(attachment())

    assert 0 == commands.main(["attachments", "--state-dir", str(tmp_path)])
    head, row = capsys.readouterr().out.splitlines()
    assert ["POD", "IFNAME", "IPV4", "IPV6"] == head.split()[:4]
    assert ["default/pod1", "eth0", "10.80.1.1", "2001:db8:0:1:1::1", "ready"] == row.split()[:5]


@pytest.mark.parametrize(
    ("allowed", "shown"), [(True, "tcp/443,udp/8000-8100"), (False, "tcp/443,udp/8000-8100 (closed)")]
)
def test_attachments_show_what_a_pod_asks_to_have_open(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], shown: str, *, allowed: bool
) -> None:
    """And whether it may: without the right it runs all the same."""
    ports = PortRange("tcp", 443, 443), PortRange("udp", 8000, 8100)
    store_in(tmp_path, timeout=5).keep(attachment(openings=Openings(expose=ports, expose_allowed=allowed)))

    assert 0 == commands.main(["attachments", "--state-dir", str(tmp_path)])
    assert 0 == commands.main(["attachments", "-o", "json", "--state-dir", str(tmp_path)])
    head, row, *document = capsys.readouterr().out.splitlines()
    assert "EXPOSE" == head.split()[-1]
    assert row.rstrip().endswith(f" {shown}")
    assert {"ports": ["tcp/443", "udp/8000-8100"], "allowed": allowed} == json.loads("".join(document))[0]["expose"]


def test_listing_attachments_creates_no_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a store the list is empty, and no file is created."""
    assert 0 == commands.main(["attachments", "-o", "json", "--state-dir", str(tmp_path / "nowhere")])
    assert ("[]\n", []) == (capsys.readouterr().out, list(tmp_path.iterdir()))


def test_unreadable_store_is_one_sentence_and_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A store that cannot be read ends the command with one sentence and exit code 1."""
    (tmp_path / "state.db").mkdir()

    assert 1 == commands.main(["attachments", "--state-dir", str(tmp_path)])
    assert "slash80 attachments: " in capsys.readouterr().err


def test_version_is_printed_for_people_and_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`slash80 version` prints the version as text and as a document."""
    assert [0, 0] == [commands.main(words) for words in (["version"], ["version", "-o", "json"])]
    text, document = capsys.readouterr().out.splitlines()
    assert f"slash80 {__version__}, CNI 0.1.0 to 1.1.0" == text
    assert __version__ == json.loads(document)["version"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_pause_ends_with_exit_code_0_on_a_signal(ending: signal.Signals) -> None:
    """A signal ends the pause with exit code 0, also one that came before the wait began."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        signal.pthread_kill(threading.get_ident(), ending)
        assert 0 == commands.main(["pause"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("words", [[], ["hugo"], ["attachments", "-o", "xml"], ["attachments", "x"]])
def test_wrong_usage_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Unknown commands and options print the usage and end with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        commands.main(words)

    assert (2, True) == (ended.value.code, "usage: slash80" in capsys.readouterr().err)


@pytest.mark.parametrize(
    "words", [["agent"], ["agent", "--cni-only", "--state-dir", "r"], ["agent", "--node=a", "--health=9180"]]
)
def test_invalid_agent_options_are_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Options with which an agent cannot run end with one sentence and exit code 2."""
    assert 2 == commands.main(words)
    assert capsys.readouterr().err.startswith("slash80 agent: ")


def test_a_call_without_a_command_says_that_one_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """The last line names what is missing by one word, and not by a list of all commands; the exit code is 2."""
    with pytest.raises(SystemExit, match="2"):
        commands.main([])
    assert "slash80: error: the following arguments are required: COMMAND" == capsys.readouterr().err.splitlines()[-1]
