"""The command line: what it prints, and its exit codes."""

import json
import signal
import threading
from pathlib import Path

import pytest

from slash80 import __version__
from slash80.addressing.attachment import State
from slash80.cli import commands
from slash80.host.context import boottime, store_in
from unit.builders import attachment


def test_attachments_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every field has its documented name, and what is not known is empty."""
    store = store_in(tmp_path / "s", timeout=5)
    store.keep(attachment(since=boottime()))
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
        "pod": {"namespace": "default", "name": "pod1", "uid": "uid1"},
    } == first


def test_attachments_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table with a row for each."""
    store_in(tmp_path, timeout=5).keep(attachment())

    assert 0 == commands.main(["attachments", "--state-dir", str(tmp_path)])
    head, row = capsys.readouterr().out.splitlines()
    assert ["POD", "IFNAME", "IPV4", "IPV6"] == head.split()[:4]
    assert ["default/pod1", "eth0", "10.80.1.1", "2001:db8:0:1:1::1", "ready"] == row.split()[:5]


def test_looking_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where nothing was ever attached the list is empty, and stays the only thing."""
    assert 0 == commands.main(["attachments", "-o", "json", "--state-dir", str(tmp_path / "nowhere")])
    assert ("[]\n", []) == (capsys.readouterr().out, list(tmp_path.iterdir()))


def test_a_store_that_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence, with exit code 1."""
    (tmp_path / "state.db").mkdir()

    assert 1 == commands.main(["attachments", "--state-dir", str(tmp_path)])
    assert "slash80 attachments: " in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """For people and for programs."""
    assert [0, 0] == [commands.main(words) for words in (["version"], ["version", "-o", "json"])]
    text, document = capsys.readouterr().out.splitlines()
    assert f"slash80 {__version__}, CNI 0.1.0 to 1.1.0" == text
    assert __version__ == json.loads(document)["version"]


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_pause_ends_well_when_it_is_stopped(ending: signal.Signals) -> None:
    """A signal that came before it began to wait counts too."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        signal.pthread_kill(threading.get_ident(), ending)
        assert 0 == commands.main(["pause"])
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("words", [[], ["hugo"], ["attachments", "-o", "xml"], ["attachments", "x"]])
def test_wrong_use_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With the usage."""
    with pytest.raises(SystemExit) as ended:
        commands.main(words)

    assert (2, True) == (ended.value.code, "usage: slash80" in capsys.readouterr().err)


@pytest.mark.parametrize(
    "words", [["agent"], ["agent", "--cni-only", "--state-dir", "r"], ["agent", "--node=a", "--health=9180"]]
)
def test_an_agent_that_cannot_be_is_exit_code_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With a sentence."""
    assert 2 == commands.main(words)
    assert capsys.readouterr().err.startswith("slash80 agent: ")
