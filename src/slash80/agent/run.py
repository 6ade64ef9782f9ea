"""`slash80 agent`: everything put together, from the first lock to the last answer."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

import slash80.verbs.add
import slash80.verbs.check
import slash80.verbs.delete
import slash80.verbs.gc
import slash80.verbs.status  # noqa: F401 -- all verbs, so that not the first call has to load them
from slash80 import __version__, engine, failpoints
from slash80.addressing.attachment import Attachment
from slash80.agent.call_counts import CallCounts, Tally
from slash80.agent.files import LOCK
from slash80.agent.firewall_keeper import FirewallKeeper
from slash80.agent.serve import heap
from slash80.agent.serve.call_log import FORMAT, CallLog, Lines
from slash80.agent.serve.reaper import Reaper
from slash80.agent.serve.rehearsal import rehearse
from slash80.agent.serve.resources import HostPool
from slash80.agent.serve.server import Reply, Server
from slash80.agent.serve.spool import Spool
from slash80.agent.shared import Shared
from slash80.errors import CniError, TryAgain
from slash80.host import kept_firewall, removal
from slash80.host.context import CallContext
from slash80.settings import network as configuration
from slash80.settings.network import RemovalConf
from slash80.store.locks import FileLock, private

_PREDECESSOR = 15.0  # seconds to wait for an agent that is finishing its calls
_NOTES_EVERY = 10.0
_PROCESSES = 2
_PR_SET_PDEATHSIG = 1
_GARBAGE = 10_000  # objects that are new since the collector last looked
_ENDING = {signal.SIGTERM, signal.SIGINT}
_log = logging.getLogger("slash80.agent")


class Controller(Protocol):
    """What keeps the node as a cluster wants it, in threads of the process that answers no calls."""

    def start(self) -> None:
        """Begin."""

    def stop(self) -> bool:
        """End, and return whether nothing of it can change the node any more."""


MakeController = Callable[[Shared], Controller]


class Agent:
    """One node's agent over one state directory."""

    def __init__(self, state_dir: Path, controller: MakeController | None) -> None:
        """Put the parts together; nothing is started."""
        self._make_controller = controller or self._keeper
        self._conf = configuration.parse(RemovalConf, {"stateDir": str(state_dir)})
        self._reaper = Reaper(self._reap)
        self._pool = HostPool(state_dir, self._reaper)
        self._server = Server(state_dir, self._handle, prepare=self._prepare)
        self._notes = Spool(state_dir, handle=self._handle, known=self._known)
        self._counts = CallCounts(min(_PROCESSES, len(os.sched_getaffinity(0))))
        self._tally = self._counts.notes  # of this process; that of one that answers calls is another
        self._patience = 0.0
        self._lines = Lines(sys.stderr.fileno() if sys.stderr else -1)  # which is None where it is closed
        self._ready = -1  # in a process that answers calls: what it closes when it can

    def serve(self) -> int:
        """Have calls answered until SIGTERM or SIGINT, then have those finished that came; give the exit code.

        It ends by itself, with 1, when its socket was removed, perhaps with the state directory: no call would come any
        more, and the next agent makes it again.

        Two processes answer, since Python keeps one core of each busy at most; they share most of their memory. If one
        dies all do: the next agent finds the node as after any kill. A second signal ends all at once.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, {*_ENDING, signal.SIGCHLD})  # in the processes to come as well
        self._server.open()
        workers = self._start_workers()
        self._server.publish()
        # not in a process of its own, which would take another 15 MiB; it shares this one with hardly anything
        controller = self._make_controller(Shared(self._pool.opened, self._counts))
        controller.start()
        _log.info("slash80 %s serves %s", __version__, self._conf.state_dir)
        _tell_systemd("READY=1")
        lost = False
        while not lost and not self._told_to_end():
            self._notes.work_off()
            # by their numbers: the controller has children too, which it waits for itself
            for died, status in (os.waitpid(worker, os.WNOHANG) for worker in workers):
                if died:
                    _log.error("a process that answers calls has died with status %d; the agent ends with it", status)
                    return 1
            lost = not self._server.is_published()
        if lost:
            _log.error(
                "the socket in %s was removed; the agent ends, so that it is started again", self._conf.state_dir
            )
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        _tell_systemd("STOPPING=1")
        self._server.close()
        for worker in workers:
            os.waitpid(worker, 0)
        # before the lock is given up: an uninstaller that gets it must not find its work undone
        if not controller.stop():
            _log.warning("a part of the controller is still at work; it ends with this process")
        _log.info("stopped, and every call was finished")
        return int(lost)

    def _start_workers(self) -> list[int]:
        """Start the processes that answer calls, and return their numbers when each has all open that a call needs."""
        ready, self._ready = os.pipe()
        workers = [self._fork(partial(self._work, tally)) for tally in self._counts.workers]
        os.close(self._ready)
        os.read(ready, 1)  # its end comes when the last of them has closed the other end, or died
        os.close(ready)
        return workers

    def _told_to_end(self) -> bool:
        """Wait for a signal, or until it is time to look for notes; the first time at once."""
        patience, self._patience = self._patience, _NOTES_EVERY
        told = signal.sigtimedwait({*_ENDING, signal.SIGCHLD}, patience)
        return told is not None and told.si_signo in _ENDING

    def _fork(self, work: Callable[[], None]) -> int:
        """Start a process that works, and give its number; it ends with its work, or with its parent."""
        parent = os.getpid()
        child = os.fork()
        if not child:
            # The kernel sends it when the thread that forked ends, not the process (PR_SET_PDEATHSIG(2const)): so the
            # main thread forks, which lives as long. And it forks before any other thread exists, whose locks the
            # child would inherit as they are, held for ever.
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                self._guarded(work)
            os._exit(1)
        return child

    @staticmethod
    def _guarded(work: Callable[[], None]) -> None:
        """Work, and end the whole process with it: well when the work is done, else with a sentence."""
        code = 1
        try:
            work()
            code = 0
        except (CniError, OSError) as error:
            _log.error("%s", error)
        except Exception:  # noqa: BLE001 -- the entry point of a process
            _log.exception("this is a mistake in slash80; please report it")
        finally:
            os._exit(code)

    def _work(self, tally: Tally) -> None:
        """Answer calls until the server is closed."""
        self._tally = tally
        self._reaper.start()
        self._server.work()
        self._reaper.stop()

    def _prepare(self) -> None:
        """Open what a call needs, in a thread that is going to take calls; each call reports what cannot be opened."""
        try:
            with self._pool.opened(self._conf) as host:
                host.store.attachments()
                host.table.open()
                if kept := kept_firewall.current(self._conf.state_dir):  # or the first call reads all chains: 3 ms
                    host.table.is_whole(kept.ruleset)
                    host.table.own()
        except (CniError, OSError) as error:
            _log.warning("%s", error)
        finally:
            ready, self._ready = self._ready, -1
            if ready >= 0:
                os.close(ready)

    def _handle(self, environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, sandbox: int | None) -> None:
        call = CallLog(environ, self._lines, self._tally)

        def answered(code: int, text: bytes) -> None:
            call.answered(code, text)
            reply(code, text)

        try:
            engine.answer(environ, stdin, answered, context=CallContext(self._pool.opened, sandbox, self._server.aside))
        except OSError as error:
            call.write(error)
            raise
        call.write()

    def _keeper(self, shared: Shared) -> Controller:
        """Return what is kept of the node where no cluster says more."""
        return FirewallKeeper(partial(shared.opened, self._conf))

    def _reap(self) -> int:
        with self._pool.opened(self._conf) as host:
            return removal.reap(host)

    def _known(self, host_ifname: str) -> Attachment | None:
        with self._pool.opened(self._conf) as host:
            return host.store.get(host_ifname)


def run(state_dir: Path, controller: MakeController | None = None) -> int:
    """Run the agent to its end and give the exit code."""
    logging.basicConfig(level=logging.INFO, format=FORMAT)
    os.umask(0o077)
    try:
        private(state_dir).chmod(0o700)  # the program that mounted it may have created it, readable for all
        with FileLock(state_dir / LOCK).held(_PREDECESSOR):
            agent = Agent(state_dir, controller)
            heap.configure()
            rehearse(state_dir)
            failpoints.watch_from_environment(os.environ)  # in real calls only
            # what was loaded stays to the end: the collector need not walk over it again
            gc.collect()
            gc.freeze()
            gc.set_threshold(_GARBAGE)  # a call leaves few cycles behind, and looking for them at each takes 3 % of it
            return agent.serve()
    except TryAgain:
        _log.error("another agent serves %s; stop that one, or give this one another --state-dir", state_dir)
    except CniError as error:
        _log.error("%s", error)
    except OSError as error:
        _log.error("%s cannot be served: %s", state_dir, error)
    return 1


def _tell_systemd(state: str) -> None:
    """Notify the manager, if one asked for it (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
