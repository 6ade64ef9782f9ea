"""What launcher and agent say to each other: one request and one answer over a Unix stream socket.

    request: `slash80/1` NUL, each CNI_* variable as `K=V` NUL, an empty string NUL, then standard input until the
             launcher shuts its side down; the descriptor of CNI_NETNS rides along with the first byte (SCM_RIGHTS)
    answer:  one byte exit code, then standard output, until the agent shuts its side down

A launcher that finds neither agent nor engine leaves a DEL as a note: a file that holds the request. `cni/header.py`
hands what is said here to the launcher, which is written in C.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

MAGIC = b"slash80/1"
ENVIRONMENT_BYTES = 64 << 10
ANSWER_BYTES = 4 << 20
BACKLOG = 1024
SOCKET_NAME, NOTES = "cni.sock", "notes"
STATE_DIR = "/run/slash80"
INPUT_SECONDS = 10
LIMITS = {
    "ADD": 60,
    "DEL": 20,
    "CHECK": 10,
    "GC": 10,
    "STATUS": 3,
}  # seconds: less than runtimes wait, so that they get our answer
OTHER_LIMIT = 10  # of an unknown verb, which the agent rejects

# What the launcher says when neither agent nor engine does; %s is the reason.
SENTENCES = {
    "LATE_INPUT": f"it was neither written nor closed within {INPUT_SECONDS} s",
    "UNREADABLE": "standard input cannot be read: %s",
    "LARGE_ENVIRONMENT": f"the CNI_ variables have more than {ENVIRONMENT_BYTES} bytes%s; a runtime sends hundreds",
    "UNREACHABLE": "the agent cannot be reached: %s; look at `systemctl status slash80` or the agent's pod",
    "FORBIDDEN": "%s belongs to another user; set stateDir to a directory of the calling user, or call as root",
    "UNANSWERED": "the agent took the call but gave no valid answer: %s; try again, and look at the agent's log",
    "ALONE": "no agent serves this node and the engine cannot be run: %s; start the agent, or install the plugin again",
    "UNNOTED": "no agent serves this node, and the removal cannot be noted for it: %s; make room, or start the agent",
    "UNWRITABLE": "slash80: the answer cannot be written to standard output: %s; a DEL removes what was made",
    "CLOSED": "slash80: the answer cannot be written to standard output: %s; nothing was kept",
}


def read(request: bytes) -> tuple[dict[str, str], bytes]:
    """Split a request into variables and standard input; raise ValueError with a sentence when it is malformed.

    Of two equal variables the first counts, as it does for getenv(3).
    """
    start = len(MAGIC) + 1
    if (begin := request[:20].partition(b"\0")[0]) != MAGIC:
        raise ValueError(f"the request begins with {begin!r} instead of {MAGIC!r}; is the launcher of this version?")
    environ: dict[str, str] = {}
    limit = start + ENVIRONMENT_BYTES
    while (end := request.find(b"\0", start, limit)) > start:
        name, equals, value = request[start:end].partition(b"=")
        if not equals or not name.startswith(b"CNI_"):
            raise ValueError(f"the request has {request[start:end][:40]!r} where a CNI_ variable should be")
        environ.setdefault(os.fsdecode(name), os.fsdecode(value))
        start = end + 1
    if end < 0:
        raise ValueError(f"the request's environment does not end within {ENVIRONMENT_BYTES} bytes")
    return environ, request[end + 1 :]


def write(environ: Mapping[str, str], stdin: bytes) -> bytes:
    """Put a request together."""
    variables = [os.fsencode(f"{name}={value}") for name, value in environ.items() if name.startswith("CNI_")]
    return b"\0".join([MAGIC, *variables, b"", stdin])


def answer(code: int, text: bytes) -> bytes:
    """Put an answer together."""
    return bytes([code]) + text
