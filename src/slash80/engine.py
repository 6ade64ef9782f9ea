"""The whole plugin as a function: environment and standard input in, one answer out, nothing of the process touched.

This module runs at every call, so it imports the standard library and the protocol's small parts only; the rooms come
with the verb that needs them, and neither VERSION nor an error pays for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, BinaryIO

from slash80.cni import document, environment, request, versions
from slash80.cni.document import Document
from slash80.errors import CniError, Failure, InvalidConfig
from slash80.ipc import ANSWER_BYTES

if TYPE_CHECKING:
    from slash80.cni.request import Request
    from slash80.host.context import CallContext

Reply = Callable[[int, bytes], None]  # exit code and standard output; raises OSError when it cannot be delivered


def run(environ: Mapping[str, str], stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Do what one call asks; write exactly one JSON document, or nothing where the specification says so.

    Give 0, or 1 with an error document written.
    """
    codes = []

    def reply(code: int, text: bytes) -> None:
        codes.append(code)
        stdout.write(text)
        stdout.flush()

    answer(environ, stdin, reply)
    return codes[0]


def answer(environ: Mapping[str, str], stdin: BinaryIO, reply: Reply, *, context: CallContext | None = None) -> None:
    """Handle one CNI call and reply exactly once, with this process's resources or those in `context`.

    Errors of `reply` propagate; an ADD whose reply could not be delivered is rolled back first.
    """
    version, caller = versions.NEWEST, _Caller(reply)
    try:
        env = environment.read(environ)
        if env.command == "VERSION":
            caller.tell(0, versions.document())
            return
        conf = document.read(stdin)
        told = request.version_of(conf)
        version = told if told in versions.SUPPORTED else version
        _perform(request.judge(env, conf, told), context, caller)
    except Exception as error:  # the entry point: whatever happens, the runtime gets one document
        if caller.told:
            raise
        failure = error if isinstance(error, CniError) else _unexpected(error)
        caller.tell(1, failure.document(version))


class _Caller:
    """The caller: at most one reply per call, even if writing the first failed half-way."""

    def __init__(self, reply: Reply) -> None:
        self._reply, self.told = reply, False

    def tell(self, code: int, document: Document | None = None) -> None:
        """Raise InvalidConfig, without replying, when the answer is larger than a launcher takes from an agent."""
        # ASCII: an environment may hold bytes that are not UTF-8
        text = b"" if document is None else json.dumps(document).encode("ascii") + b"\n"
        if len(text) > ANSWER_BYTES:
            msg = f"'prevResult' makes the answer {len(text)} bytes long, but it may have {ANSWER_BYTES}"
            raise InvalidConfig(f"{msg}; see which plugin of the list has given it")
        self.told = True
        self._reply(code, text)


def _perform(call: Request, context: CallContext | None, caller: _Caller) -> None:
    """Import what the verb needs, with pydantic and pyroute2, and no other verb's modules."""
    from slash80.host.context import STANDALONE  # noqa: PLC0415

    context = context or STANDALONE
    match call.env.command:
        case "ADD":
            from slash80.verbs.add import add  # noqa: PLC0415

            add(call, context, lambda result: caller.tell(0, result))
            return
        case "DEL":
            from slash80.verbs.delete import delete as verb  # noqa: PLC0415
        case "CHECK":
            from slash80.verbs.check import check as verb  # noqa: PLC0415
        case "GC":
            from slash80.verbs.gc import gc as verb  # noqa: PLC0415
        case _:
            from slash80.verbs.status import status as verb  # noqa: PLC0415
    verb(call, context)
    caller.tell(0)


def _unexpected(error: Exception) -> Failure:
    if isinstance(error, MemoryError):
        return Failure("there is not enough memory for this call; look at the node's memory and its runtime's limits")
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return Failure(f"unexpected {type(error).__name__}: {error}; please report this", details=where)
