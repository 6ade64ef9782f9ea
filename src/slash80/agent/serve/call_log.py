"""One line of the log for each call that the agent handles."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from slash80.agent.call_counts import Tally
from slash80.cni import environment
from slash80.errors import BadEnvironment

_LONGEST = 128  # characters of a value that a caller chose
FORMAT = "%(asctime)s %(levelname)s %(message)s"
_log = logging.getLogger("slash80.calls")


class Lines:
    """Writes what `logging` writes of a message of level INFO in FORMAT.

    That takes 0.12 ms where its sixty functions have left the CPU's caches, as between two calls, and this 0.04.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to this descriptor, which stays the caller's."""
        self._descriptor, self._second, self._time = descriptor, -1, ""

    def __call__(self, message: str) -> None:
        """Write a line. What cannot be written is lost, as it is with `logging`: there is no other place to say so."""
        now = time.time()
        if (second := int(now)) != self._second:
            self._second, self._time = second, time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))
        with suppress(OSError):
            os.write(self._descriptor, f"{self._time},{int((now - second) * 1000):03d} INFO {message}\n".encode())


class CallLog:
    """The line of one call: bound to it when it comes, written and counted when it has ended."""

    def __init__(self, environ: Mapping[str, str], info: Callable[[str], None], tally: Tally) -> None:
        """Begin; `info` writes the line of a call that went well."""
        self._environ, self._info, self._tally, self._began = environ, info, tally, time.monotonic()
        self._code, self._message = -1, "no answer was made"

    def answered(self, code: int, text: bytes) -> None:
        """Note the answer: exit code, and the error document if it failed."""
        self._code, self._message = 0, ""
        if code:
            error = json.loads(text)
            self._code, self._message = error["code"], error["msg"]

    def write(self, failure: BaseException | None = None) -> None:
        """Log verb, container, interface, pod, CNI code, milliseconds and message; `failure` kept the answer back."""
        seconds = time.monotonic() - self._began
        self._tally.count(self._environ.get("CNI_COMMAND", ""), self._code, seconds, delivered=not failure)
        reason = f"the answer was not delivered: {failure}" if failure else self._message
        names = (self._shown(name) for name in ("CNI_COMMAND", "CNI_CONTAINERID", "CNI_IFNAME"))
        what = "{} container={} ifname={}".format(*names)
        line = f"{what} pod={self._pod()} code={self._code} ms={seconds * 1000:.1f}"
        if reason:
            _log.warning("%s msg=%s", line, json.dumps(reason))
        else:
            self._info(line)

    def _shown(self, name: str) -> str:
        return _shown(self._environ.get(name, ""))

    def _pod(self) -> str:
        """Return namespace and name as Kubernetes gives them; the call itself reports a CNI_ARGS that is malformed."""
        if not (args := self._environ.get("CNI_ARGS", "")):
            return "-"
        try:
            pairs = environment.pairs(args)
        except BadEnvironment:
            return "-"
        names = [pairs.get(key, "") for key in ("K8S_POD_NAMESPACE", "K8S_POD_NAME")]
        return _shown("/".join(names)) if any(names) else "-"


def _shown(text: str) -> str:
    """Return a caller's text on one line, in ASCII and without spaces, so that a line cannot be forged."""
    return ascii(text[:_LONGEST])[1:-1].replace(" ", "\\x20") or "-"
