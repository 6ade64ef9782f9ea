"""Standard streams that misbehave: the frozen plugin says one sentence, ends in time, and leaves nothing behind."""

import json
import os
import resource
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from types import MappingProxyType
from typing import Any

import pytest

from fuzz import oracle
from lab import limits, snapshot, state
from lab.namespaces import Namespace
from lab.plugin import Frozen, Json
from lab.rig import Rig

pytestmark = pytest.mark.parametrize("shape", ["frozen"], indirect=True)
Feeder = Callable[[int], None]


@contextmanager
def pipe(feeder: Feeder) -> Iterator[int]:
    """Yield the reading end of a pipe that a thread feeds; writing after the plugin has gone is fine."""
    reading, writing = os.pipe()

    def feed() -> None:
        try:
            feeder(writing)
        except BrokenPipeError:
            pass
        finally:
            os.close(writing)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield reading
    finally:
        os.close(reading)
        thread.join()


def silent(done: threading.Event, _: int) -> None:
    """Write nothing and do not close, until the plugin has ended; an input that ends has code 6."""
    done.wait()


def trickling(done: threading.Event, writing: int) -> None:
    """Write a byte a second."""
    while not done.wait(1.0):
        os.write(writing, b" ")


def endless(done: threading.Event, writing: int) -> None:
    """Write as fast as it goes, for ever."""
    while not done.is_set():
        os.write(writing, b" " * 65536)


def half(done: threading.Event, writing: int) -> None:
    """Write the beginning of a document, then nothing more."""
    os.write(writing, b'{"cniVersion": "1.0.0", "name"')
    done.wait()


class Caller:
    """Starts the plugin with any streams."""

    def __init__(self, rig: Rig, pod: Namespace) -> None:
        assert isinstance(rig.plugin, Frozen)
        self._rig, self._pod = rig, pod
        self._folder = rig.plugin.root / "opt/cni/bin"

    def run(
        self,
        verb: str = "ADD",
        *,
        words: str = "",
        program: str = "slash80",
        variables: Mapping[str, str] = MappingProxyType({}),
        **streams: Any,  # noqa: ANN401 -- handed on as they are
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it, or the engine; `words` are redirections in the shell's language, `streams` are subprocess's."""
        environ = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": self._pod.name,
            "CNI_NETNS": str(self._pod.path),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
            "PATH": os.environ["PATH"],
            **variables,
        }
        argv = ["/bin/sh", "-c", f'exec "$0" {words}', str(self._folder / program)]
        return self._rig.host.run(lambda: subprocess.run(argv, env=environ, check=False, timeout=300, **streams))

    def conf(self, **changes: object) -> bytes:
        """Return the rig's configuration as it goes to standard input."""
        return json.dumps(self._rig.conf | changes).encode()


@pytest.fixture
def caller(rig: Rig, quick: Callable[[Rig], Rig]) -> Caller:
    """The plugin, with a sandbox, after the node's first pod."""
    quick(rig).cycle()
    return Caller(rig, rig.site.pod())


def fed(caller: Caller, feeder: Callable[[threading.Event, int], None]) -> subprocess.CompletedProcess[bytes]:
    """Run an ADD whose standard input comes from a feeder, which ends with it."""
    done = threading.Event()
    with pipe(partial(feeder, done)) as reading:
        try:
            return caller.run(stdin=reading, capture_output=True)
        finally:
            done.set()


def test_standard_input_is_read_with_a_time_limit(caller: Caller) -> None:
    """Input that never starts, never ends or trickles is given up after ten seconds, or when it is too much."""
    codes = {silent: 5, half: 5, trickling: 5, endless: 6}
    with ThreadPoolExecutor(len(codes)) as pool:  # all at once: they wait most of the time
        ended = dict(zip(codes, pool.map(partial(fed, caller), codes), strict=True))

    assert codes == {feeder: oracle.judge("ADD", one.returncode, one.stdout)["code"] for feeder, one in ended.items()}
    assert [b""] * len(codes) == [one.stderr for one in ended.values()]


@pytest.mark.parametrize(("words", "code"), [("<&-", 5), ("</dev/null", 6), ("0>/dev/null", 5)])
def test_closed_or_empty_standard_input_is_an_error(caller: Caller, words: str, code: int) -> None:
    """Closed, empty or unreadable standard input is one error document."""
    ended = caller.run(words=words, capture_output=True)

    assert oracle.judge("ADD", ended.returncode, ended.stdout)["code"] == code
    assert ended.stderr == b""


@pytest.mark.parametrize("words", [">&-", ">/dev/full", "</dev/null >&-", "</dev/null >/dev/full"])
@pytest.mark.parametrize("verb", ["ADD", "VERSION", "HUGO"])
def test_answer_that_cannot_be_written_is_rolled_back(rig: Rig, caller: Caller, verb: str, words: str) -> None:
    """An ADD whose answer is lost is rolled back, and standard error says why in one sentence."""
    before = snapshot.take(rig.host)

    ended = caller.run(verb, words=words, input=caller.conf(), stderr=subprocess.PIPE)

    assert ended.returncode == 1
    assert_nothing_left(rig, before)
    assert_one_sentence(ended.stderr)


@pytest.mark.parametrize("verb", ["ADD", "HUGO"])
def test_add_whose_reader_is_gone_leaves_nothing(rig: Rig, caller: Caller, verb: str) -> None:
    """If the runtime died while the plugin worked, nothing is left of the attachment."""
    before = snapshot.take(rig.host)
    reading, writing = os.pipe()
    os.close(reading)

    ended = caller.run(verb, input=caller.conf(), stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)

    assert ended.returncode == 1
    assert_nothing_left(rig, before)
    assert_one_sentence(ended.stderr)


def test_standard_error_is_not_needed(rig: Rig, caller: Caller) -> None:
    """An ADD works without standard error, and an error is reported without it."""
    good = caller.run(words="2>&-", input=caller.conf(), stdout=subprocess.PIPE)
    result: Json = oracle.judge("ADD", good.returncode, good.stdout)
    assert "interfaces" in result

    bad = caller.run(words="2>&-", input=caller.conf(mtu=5), stdout=subprocess.PIPE)
    assert oracle.judge("ADD", bad.returncode, bad.stdout)["code"] == 7
    assert caller.run("DEL", words="2>&-", input=caller.conf(), stdout=subprocess.PIPE).returncode == 0
    assert state.attachments(rig.state_dir) == 0


def test_closed_streams_end_the_plugin_with_an_exit_code(rig: Rig, caller: Caller) -> None:
    """With all streams closed nothing is created."""
    before = snapshot.take(rig.host)

    assert caller.run(words="<&- >&- 2>&-").returncode == 1
    assert_nothing_left(rig, before)


@pytest.mark.parametrize(
    ("limit", "value", "codes"),
    [
        (resource.RLIMIT_FSIZE, 0, {5}),
        (resource.RLIMIT_NOFILE, 6, {5, 101, 999}),
        (resource.RLIMIT_DATA, 12 << 20, {999}),
    ],
)
def test_engine_reports_a_resource_limit(rig: Rig, caller: Caller, limit: int, value: int, codes: set[int]) -> None:
    """Whatever it cannot do under the limit is one document, and nothing is left."""
    before = snapshot.take(rig.host)
    ended = caller.run(
        program=".slash80/engine", input=caller.conf(), capture_output=True, preexec_fn=limits.hard(limit, value)
    )
    error = json.loads(ended.stdout)

    assert (1, b"") == (ended.returncode, ended.stderr)
    assert error["code"] in codes, error
    assert_nothing_left(rig, before)


def test_add_works_with_the_least_limits_of_the_launcher(caller: Caller) -> None:
    """All limits apply at once and none may be raised; one that is too low is refused by its name."""
    least = {"NOFILE": 64, "FSIZE": 64 << 20, "AS": 512 << 20, "DATA": 128 << 20, "STACK": 1 << 20, "CPU": 30}

    def limit() -> None:
        for name, value in least.items():
            limits.hard(getattr(resource, f"RLIMIT_{name}"), value)()

    ended = caller.run(input=caller.conf(), capture_output=True, preexec_fn=limit)

    assert "interfaces" in oracle.judge("ADD", ended.returncode, ended.stdout)


@pytest.mark.parametrize("program", ["slash80", ".slash80/engine"])
def test_ignored_and_blocked_signals_change_nothing(rig: Rig, caller: Caller, program: str) -> None:
    """A runtime's signal settings are inherited: an ADD works as usual, including the firewall's nft."""
    rig.host.nft("flush ruleset")
    every = set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}

    def deafen() -> None:
        for number in every:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, every)

    ended = caller.run(program=program, input=caller.conf(), capture_output=True, preexec_fn=deafen)

    assert "interfaces" in oracle.judge("ADD", ended.returncode, ended.stdout)
    assert "chain edge" in rig.host.command("nft", "list", "table", "inet", "slash80")


@pytest.mark.parametrize("locale", ["", "C", "C.UTF-8", "de_DE@euro"])
def test_names_are_bytes_in_every_locale(caller: Caller, locale: str) -> None:
    """The runtime's locale does not matter: UTF-8 is read as such, and other bytes are code 4."""
    variables = {"LC_ALL": locale, "LANG": locale, "CNI_IFNAME": "eth\u00e9", "CNI_NETNS": "/nowhere/\u00e9"}
    ended = caller.run(variables=variables, input=caller.conf(), capture_output=True)
    assert "/nowhere/\\xe9" in oracle.judge("ADD", ended.returncode, ended.stdout)["msg"]

    ended = caller.run(variables=variables | {"CNI_IFNAME": "eth\udcff"}, input=caller.conf(), capture_output=True)
    assert oracle.judge("ADD", ended.returncode, ended.stdout)["code"] == 4


@pytest.mark.parametrize("value", ["garbage", "linked", "linked:", "linked:HUGO", ":", "\udcff"])
def test_unknown_failpoint_is_ignored_or_reported(rig: Rig, caller: Caller, value: str) -> None:
    """The tests' own variable, misspelt, is ignored or reported in one document, and does not crash the call."""
    ended = caller.run(variables={"SLASH80_FAILPOINT": value}, input=caller.conf(mtu=5), capture_output=True)

    oracle.judge("ADD", ended.returncode, ended.stdout)
    assert ended.stderr == b""
    assert state.attachments(rig.state_dir) == 0


def assert_nothing_left(rig: Rig, before: snapshot.Snapshot) -> None:
    """Demand that kernel and store are as before."""
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


def assert_one_sentence(stderr: bytes) -> None:
    """Demand one line that is not a traceback: the runtime quotes it when standard output is empty."""
    assert b"Traceback" not in stderr
    assert stderr.count(b"\n") == 1
