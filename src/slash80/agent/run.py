"""`slash80 agent`: everything put together, from the first lock to the last answer."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import slash80.plugin  # noqa: F401 -- the rooms, so that not the first call has to load them
from slash80 import __version__, engine, moments
from slash80.addressing.attachment import Attachment
from slash80.agent.notes import Notes
from slash80.agent.reaper import Reaper
from slash80.agent.server import Reply, Server
from slash80.agent.warm import WarmNode
from slash80.cni import conf as configuration
from slash80.cni.conf import RemovalConf
from slash80.errors import CniError, TryAgain
from slash80.node import Means
from slash80.store.locks import FileLock, private

_PREDECESSOR = 15.0  # seconds to wait for an agent that is finishing its calls
_NOTES_EVERY = 10.0
_ENDING = {signal.SIGTERM, signal.SIGINT}
_log = logging.getLogger("slash80.agent")


class Agent:
    """One node's agent over one state directory."""

    def __init__(self, state_dir: Path) -> None:
        """Put the parts together; nothing is started."""
        self._conf = configuration.parse(RemovalConf, {"stateDir": str(state_dir)})
        self._reaper = Reaper(self._reap)
        self._node = WarmNode(state_dir, self._reaper.buried)
        self._server = Server(state_dir, self._handle)
        self._notes = Notes(state_dir, handle=self._handle, known=self._known)

    def serve(self) -> None:
        """Answer calls until SIGTERM or SIGINT, then finish those that came; a second signal ends the process at once.

        What an agent before, or a launcher without one, left to do is begun first.
        """
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # in every thread that starts from here on
        self._reaper.start()
        self._notes.work_off()
        self._server.start()
        _log.info("slash80 %s serves %s", __version__, self._conf.state_dir)
        _tell_systemd("READY=1")
        while signal.sigtimedwait(_ENDING, _NOTES_EVERY) is None:
            self._notes.work_off()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
        _tell_systemd("STOPPING=1")
        self._server.stop()
        self._reaper.stop()
        _log.info("stopped, and every call was finished")

    def _handle(self, environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, sandbox: int | None) -> None:
        def logged(code: int, text: bytes) -> None:
            if code:
                error = json.loads(text)
                call = " ".join(environ.get(f"CNI_{part}", "-") for part in ("COMMAND", "CONTAINERID", "IFNAME"))
                _log.warning("%s: code %s, %s", ascii(call)[1:-1], error["code"], error["msg"])
            reply(code, text)

        engine.answer(environ, stdin, logged, means=Means(self._node.opened, sandbox))

    def _reap(self) -> int:
        with self._node.opened(self._conf) as node:
            return node.reap()

    def _known(self, host_ifname: str) -> Attachment | None:
        with self._node.opened(self._conf) as node:
            return node.store.get(host_ifname)


def run(state_dir: Path) -> int:
    """Run the agent to its end and give the exit code."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    os.umask(0o077)
    moments.watch_as_told(os.environ)
    try:
        with FileLock(private(state_dir) / "agent.lock").held(_PREDECESSOR):
            agent = Agent(state_dir)
            # what was loaded stays to the end: the collector need not walk over it again
            gc.collect()
            gc.freeze()
            agent.serve()
    except TryAgain:
        _log.error("another agent serves %s; stop that one, or give this one another --state-dir", state_dir)
        return 1
    except CniError as error:
        _log.error("%s", error)
        return 1
    except OSError as error:
        _log.error("%s cannot be served: %s", state_dir, error)
        return 1
    return 0


def _tell_systemd(state: str) -> None:
    """Tell the manager, if one asked for it (sd_notify(3))."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
            manager.sendto(state.encode(), address.replace("@", "\0", 1) if address.startswith("@") else address)
