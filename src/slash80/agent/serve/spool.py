"""The DELs that launchers left as notes while there was neither an agent nor an engine to do them.

A note is a file `<boottime in ns>-<pid>` that holds the request. An attachment that was added since then is not meant.
"""

from __future__ import annotations

import io
import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from slash80 import ipc
from slash80.addressing.attachment import Attachment, Key
from slash80.agent.serve.server import Handle
from slash80.errors import CniError, Failure, IoFailure, TryAgain

_NAME = re.compile(r"(\d{1,20})-\d{1,10}")
_HALF_WRITTEN = 60.0  # seconds after which a file that is not named a note yet is left behind by a killed launcher
_LATER = {IoFailure.code, TryAgain.code, Failure.code}  # what may succeed another time; anything else never will
_log = logging.getLogger(__name__)


class Spool:
    """The notes of a state directory; `known` looks an attachment up, `handle` does a call."""

    def __init__(self, state_dir: Path, *, handle: Handle, known: Callable[[str], Attachment | None]) -> None:
        """Name the folder; it need not be there."""
        self._folder, self._handle, self._known = state_dir / ipc.NOTES, handle, known

    def work_off(self) -> None:
        """Do what every note says, oldest first; what cannot be done now stays for the next time."""
        try:
            found = sorted(self._folder.iterdir())
        except FileNotFoundError:
            return
        for path in found:
            if match := _NAME.fullmatch(path.name):
                self._do(path, int(match[1]) / 1e9)
            else:
                self._tidy(path)

    def _do(self, path: Path, written: float) -> None:
        try:
            environ, stdin = ipc.read(path.read_bytes())
        except (OSError, ValueError) as error:
            _log.warning("note %s cannot be read and is removed: %s", path, error)
            path.unlink(missing_ok=True)
            return
        try:
            known = self._known(Key(environ.get("CNI_CONTAINERID", ""), environ.get("CNI_IFNAME", "")).host_ifname)
        except CniError as error:
            _log.warning("note %s waits: %s", path, error)
            return
        if environ.get("CNI_COMMAND") != "DEL" or (known and known.since > written):
            path.unlink(missing_ok=True)
            return
        said: list[bytes] = []
        self._handle(environ, io.BytesIO(stdin), lambda code, text: said.append(text if code else b""), sandbox=None)
        code = json.loads(said[0])["code"] if said[0] else 0
        if code not in _LATER:
            path.unlink(missing_ok=True)

    def _tidy(self, path: Path) -> None:
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _HALF_WRITTEN:
                path.unlink()
