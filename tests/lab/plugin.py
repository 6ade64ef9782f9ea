"""Calling the plugin as a runtime does: in this process, as in an agent or not, or by the frozen executable."""

import io
import json
import os
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from lab.namespaces import Namespace
from lab.waiting import PATIENCE

Json = dict[str, Any]
Netns = Namespace | str | Path | None


class PluginError(AssertionError):
    """The plugin answered otherwise than the test demands; the message is what it said."""


@dataclass(frozen=True)
class Outcome:
    """What came of one call."""

    code: int
    stdout: bytes
    seconds: float
    stderr: str = ""

    @property
    def json(self) -> Json:
        """The document on stdout."""
        document: Json = json.loads(self.stdout)
        return document

    @property
    def message(self) -> str:
        """All that the plugin said, for people."""
        return f"rc {self.code}, stdout {self.stdout.decode(errors='replace')!r}, stderr {self.stderr!r}"


@dataclass
class Plugin(ABC):
    """The plugin on one host; `hidden` are programs that it finds unusable."""

    host: Namespace
    hidden: Sequence[str] = field(default=(), kw_only=True)

    def on(self, host: Namespace, _: Path) -> Self:
        """Return the plugin on another host, whose state is kept in that directory."""
        return replace(self, host=host)

    @abstractmethod
    def execute(self, environ: Mapping[str, str], stdin: bytes) -> Outcome:
        """Run the plugin once with exactly this environment."""

    def call(
        self, verb: str, conf: Json | None, *, netns: Netns = None, container: str | None = None, **more: str
    ) -> Outcome:
        """Call any verb. `netns` None leaves the variable unset, "" sets it empty.

        `container` is by default the name of the namespace. `more`: ifname (eth0), path (/opt/cni/bin), args
        (none), and variables by their full name; "-" leaves one out.
        """
        environ = {
            "CNI_COMMAND": verb,
            "CNI_PATH": more.pop("path", "/opt/cni/bin"),
            "CNI_IFNAME": more.pop("ifname", "eth0"),
        }
        if container is None and isinstance(netns, Namespace):
            container = netns.name
        if container is not None:
            environ["CNI_CONTAINERID"] = container
        if netns is not None:
            environ["CNI_NETNS"] = str(netns.path if isinstance(netns, Namespace) else netns)
        if "args" in more:
            environ["CNI_ARGS"] = more.pop("args")
        environ.update(more)
        environ = {key: value for key, value in environ.items() if value != "-"}
        return self.execute(environ, b"" if conf is None else json.dumps(conf).encode())

    def add(self, pod: Netns, conf: Json, **more: str) -> Json:
        """ADD that must succeed; gives the result."""
        outcome = self.call("ADD", conf, netns=pod, **more)
        if outcome.code != 0:
            raise PluginError(f"ADD: {outcome.message}")
        return outcome.json

    def delete(self, pod: Netns, conf: Json, **more: str) -> None:
        """DEL that must succeed and say nothing."""
        self._silent("DEL", conf, netns=pod, **more)

    def check(self, pod: Netns, conf: Json, result: Json, **more: str) -> None:
        """CHECK that must find everything in order."""
        self._silent("CHECK", conf | {"prevResult": result}, netns=pod, **more)

    def gc(self, conf: Json) -> None:
        """GC that must succeed; `conf` holds the list of valid attachments."""
        self._silent("GC", conf)

    def status(self, conf: Json) -> None:
        """STATUS that must say ready."""
        self._silent("STATUS", conf)

    def version(self) -> Json:
        """VERSION, which needs nothing."""
        return self.call("VERSION", {"cniVersion": "1.0.0"}, path="-", ifname="-").json

    def refuses(
        self, verb: str, conf: Json | None, *, netns: Netns = None, container: str | None = None, **more: str
    ) -> Json:
        """Call a verb that must fail with one error document; gives it."""
        outcome = self.call(verb, conf, netns=netns, container=container, **more)
        if outcome.code == 0:
            raise PluginError(f"{verb} was expected to fail: {outcome.message}")
        error = outcome.json
        if not (isinstance(error.get("code"), int) and error.get("msg")):
            raise PluginError(f"{verb}: no CNI error: {outcome.message}")
        return error

    def _silent(self, verb: str, conf: Json, *, netns: Netns = None, container: str | None = None, **more: str) -> None:
        outcome = self.call(verb, conf, netns=netns, container=container, **more)
        if outcome.code != 0 or outcome.stdout:
            raise PluginError(f"{verb}: {outcome.message}")


class InProcess(Plugin):
    """The engine called in this process, in a thread that sits in the host's namespace."""

    def execute(self, environ: Mapping[str, str], stdin: bytes) -> Outcome:
        """Call `slash80.engine.run`."""
        from slash80 import engine  # noqa: PLC0415 - the laboratory works without the plugin

        stdout = io.BytesIO()
        started = time.perf_counter()
        code = self.host.run_hiding(self.hidden, lambda: engine.run(environ, io.BytesIO(stdin), stdout))
        return Outcome(code, stdout.getvalue(), time.perf_counter() - started)


@dataclass
class Resident(Plugin):
    """The engine in one thread of this process, with what an agent's process keeps between the calls that it answers.

    Those are sockets, the store, caches, the firewall's generation that was verified, and removals that are deferred.
    An agent besides has the way to it, and loads Python in a third of a second. `stack` ends the threads.
    """

    state_dir: Path
    stack: ExitStack = field(repr=False)

    def __post_init__(self) -> None:
        """Start the thread; what is kept is opened by the first call, as an agent's is."""
        from slash80.agent.serve.reaper import Reaper  # noqa: PLC0415 - the laboratory works without the plugin
        from slash80.agent.serve.resources import HostPool  # noqa: PLC0415 - the same

        self._kept = HostPool(self.state_dir, Reaper(lambda: 0))  # never started: `reap` below does its work
        self._thread = self.stack.enter_context(ThreadPoolExecutor(1, initializer=self.host.enter))
        self.stack.callback(lambda: self._thread.submit(self._kept.close).result())

    def on(self, host: Namespace, state_dir: Path) -> Self:
        """Return the plugin on another host, which has an agent of its own."""
        return replace(self, host=host, state_dir=state_dir)

    def execute(self, environ: Mapping[str, str], stdin: bytes) -> Outcome:
        """Have the thread answer the call as an agent does, and after a removal delete what was put aside."""
        from slash80 import engine  # noqa: PLC0415 - the laboratory works without the plugin
        from slash80.host.context import CallContext  # noqa: PLC0415 - the same

        if json.loads(stdin).get("stateDir") != str(self.state_dir):  # a launcher finds no agent there
            return InProcess(self.host).execute(environ, stdin)
        answers: list[tuple[int, bytes]] = []

        def answer() -> None:
            with _descriptor(environ.get("CNI_NETNS", "")) as sandbox:
                context = CallContext(self._kept.opened, sandbox)
                engine.answer(environ, io.BytesIO(stdin), lambda *said: answers.append(said), context=context)

        assert not self.hidden, "an agent has opened all before anything can be hidden from it"
        started = time.perf_counter()
        self._thread.submit(answer).result()
        took = time.perf_counter() - started
        ((code, text),) = answers
        if environ.get("CNI_COMMAND") == "DEL" and code == 0:
            self.host.run(lambda: reap(json.loads(stdin)))
        return Outcome(code, text, took)


@contextmanager
def _descriptor(path: str) -> Iterator[int | None]:
    """Open CNI_NETNS as the launcher does: what is not a namespace is not opened."""
    if not path or not Path(path).exists() or Path(path).stat().st_dev != Path("/proc/self/ns/net").stat().st_dev:
        yield None
        return
    with Path(path).open("rb") as file:
        yield file.fileno()


@dataclass
class Frozen(Plugin):
    """The executable below `root`, as `make install DESTDIR=root` lays it out; killed when it takes long."""

    root: Path
    kill_after: float = field(default=300 * PATIENCE, kw_only=True)

    def execute(self, environ: Mapping[str, str], stdin: bytes) -> Outcome:
        """Run /opt/cni/bin/slash80."""
        variables = {"PATH": os.environ["PATH"], **environ}
        return self.host.run_hiding(self.hidden, lambda: self._spawn(variables, stdin))

    def _spawn(self, variables: Mapping[str, str], stdin: bytes) -> Outcome:
        program = [str(self.root / "opt/cni/bin/slash80")]
        started = time.perf_counter()
        try:
            done = subprocess.run(
                program, env=variables, input=stdin, capture_output=True, check=False, timeout=self.kill_after
            )
        except subprocess.TimeoutExpired:
            return Outcome(-signal.SIGKILL, b"", time.perf_counter() - started)
        took = time.perf_counter() - started
        return Outcome(done.returncode, done.stdout, took, done.stderr.decode(errors="replace"))


@dataclass
class Served(Frozen):
    """The launcher, with an agent at the other end of the configuration's socket.

    A removal leaves the link to the agent's reaper, which takes its time; here another hand does it at once.
    """

    def execute(self, environ: Mapping[str, str], stdin: bytes) -> Outcome:
        """Run the launcher, and after a removal delete what was put aside."""
        outcome = super().execute(environ, stdin)
        if environ.get("CNI_COMMAND") == "DEL" and outcome.code == 0:
            self.host.run(lambda: reap(json.loads(stdin)))
        return outcome


def reap(conf: Json) -> int:
    """Delete deferred links, as a GC of the engine does; return their number."""
    from slash80.host import context, removal  # noqa: PLC0415 - the laboratory works without the plugin
    from slash80.settings.network import RemovalConf, parse  # noqa: PLC0415 - the same

    with context.STANDALONE.opened(parse(RemovalConf, conf)) as here:
        return removal.reap(here)
