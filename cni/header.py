"""Writes what the launcher must know from the Python sources as a C header: nothing is said in two languages."""

from __future__ import annotations

import json
from collections.abc import Iterator

from slash80 import ipc
from slash80.cni import environment, versions
from slash80.cni.document import INPUT_BYTES
from slash80.errors import BadEnvironment, IoFailure, NotReady, TryAgain


def lines() -> Iterator[str]:
    """Return the header, line by line."""
    yield "/* Made by cni/header.py from the Python sources. */"
    texts = {
        "MAGIC": ipc.MAGIC.decode(),
        "SOCKET_NAME": ipc.SOCKET_NAME,
        "NOTES": ipc.NOTES,
        "STATE_DIR": ipc.STATE_DIR,
        "NEWEST": versions.NEWEST,
        "VERSION_DOCUMENT": json.dumps(versions.document()) + "\n",
        **{f"SAY_{name}": text for name, text in ipc.SENTENCES.items()},
    }
    numbers = {
        "ENVIRONMENT_BYTES": ipc.ENVIRONMENT_BYTES,
        "INPUT_BYTES": INPUT_BYTES,
        "INPUT_SECONDS": ipc.INPUT_SECONDS,
        "ANSWER_BYTES": ipc.ANSWER_BYTES,
        "OTHER_LIMIT": ipc.OTHER_LIMIT,
        "BAD_ENVIRONMENT": BadEnvironment.code,
        "IO_FAILURE": IoFailure.code,
        "NOT_READY": NotReady.code,
        "TRY_AGAIN": TryAgain.code,
    }
    # JSON's escapes of ASCII are C's as well
    yield from (f"#define {name} {json.dumps(text)}" for name, text in texts.items())
    yield from (f"#define {name} {number}" for name, number in numbers.items())
    yield f"static const char *const SUPPORTED[] = {{{_strings(versions.SUPPORTED)}, 0}};"
    limits = ", ".join(f'{{"{verb}", {seconds}}}' for verb, seconds in ipc.LIMITS.items())
    yield f"static const struct {{ const char *verb; int seconds; }} LIMITS[] = {{{limits}, {{0, OTHER_LIMIT}}}};"
    needed = ", ".join(f'{{"{name}", " {" ".join(sorted(verbs))} "}}' for name, verbs in environment.needed().items())
    yield f"static const struct {{ const char *name, *verbs; }} NEEDED[] = {{{needed}, {{0, 0}}}};"


def _strings(values: tuple[str, ...]) -> str:
    return ", ".join(map(json.dumps, values))


if __name__ == "__main__":
    print("\n".join(lines()))
