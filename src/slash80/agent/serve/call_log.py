"""One line of the log for each call that the agent handles."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping

from slash80.cni import environment
from slash80.errors import BadEnvironment

_LONGEST = 128  # characters of a value that a caller chose
_log = logging.getLogger("slash80.calls")


class CallLog:
    """The line of one call: bound to it when it comes, written when it has ended."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ, self._began = environ, time.monotonic()
        self._code, self._message = -1, "no answer was made"

    def answered(self, code: int, text: bytes) -> None:
        """Note the answer: exit code, and the error document if it failed."""
        self._code, self._message = 0, ""
        if code:
            error = json.loads(text)
            self._code, self._message = error["code"], error["msg"]

    def write(self, failure: BaseException | None = None) -> None:
        """Log verb, container, interface, pod, CNI code, milliseconds and message; `failure` kept the answer back."""
        reason = f"the answer was not delivered: {failure}" if failure else self._message
        _log.log(
            logging.WARNING if reason else logging.INFO,
            "%s container=%s ifname=%s pod=%s code=%d ms=%.1f%s",
            self._shown("CNI_COMMAND"),
            self._shown("CNI_CONTAINERID"),
            self._shown("CNI_IFNAME"),
            self._pod(),
            self._code,
            (time.monotonic() - self._began) * 1000,
            f" msg={json.dumps(reason)}" if reason else "",
        )

    def _shown(self, name: str) -> str:
        return _shown(self._environ.get(name, ""))

    def _pod(self) -> str:
        """Return namespace and name as Kubernetes gives them; the call itself reports a CNI_ARGS that is malformed."""
        try:
            pairs = environment.pairs(self._environ.get("CNI_ARGS", ""))
        except BadEnvironment:
            return "-"
        names = [pairs.get(key, "") for key in ("K8S_POD_NAMESPACE", "K8S_POD_NAME")]
        return _shown("/".join(names)) if any(names) else "-"


def _shown(text: str) -> str:
    """Return a caller's text on one line, in ASCII and without spaces, so that a line cannot be forged."""
    return ascii(text[:_LONGEST])[1:-1].replace(" ", "\\x20") or "-"
