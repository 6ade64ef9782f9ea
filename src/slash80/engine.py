"""The whole plugin as a function: environment and standard input in, exit code out, nothing of the process touched.

This module runs at every call, so it imports the standard library and the protocol's small parts only; the rooms come
with the verb that needs them, and neither VERSION nor an error pays for them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from slash80.cni import document, environment, request, versions
from slash80.cni.document import Document
from slash80.errors import CniError, Failure

if TYPE_CHECKING:
    from slash80.cni.request import Request


def run(environ: Mapping[str, str], stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Do what one call asks; write exactly one JSON document, or nothing where the specification says so.

    Give 0, or 1 with an error document written.
    """
    version = versions.NEWEST
    try:
        env = environment.read(environ)
        if env.command == "VERSION":
            _write(stdout, {"cniVersion": versions.NEWEST, "supportedVersions": list(versions.SUPPORTED)})
            return 0
        conf = document.read(stdin)
        told = request.version_of(conf)
        version = told if told in versions.SUPPORTED else version
        _perform(request.judge(env, conf, told), stdout)
    except CniError as error:
        _write(stdout, error.document(version))
        return 1
    except Exception as error:  # noqa: BLE001 -- the entry point: whatever happens, the runtime gets one document
        _write(stdout, _unexpected(error).document(version))
        return 1
    return 0


def _perform(call: Request, stdout: BinaryIO) -> None:
    from slash80 import plugin  # noqa: PLC0415 -- the rooms, with pydantic and pyroute2

    if call.env.command == "ADD":
        plugin.add(call, partial(_write, stdout))
        return
    verbs: dict[str, Callable[[Request], None]] = {
        "DEL": plugin.delete,
        "CHECK": plugin.check,
        "GC": plugin.gc,
        "STATUS": plugin.status,
    }
    verbs[call.env.command](call)


def _write(stdout: BinaryIO, answer: Document) -> None:
    # ASCII: an environment may hold bytes that are no UTF-8
    stdout.write(json.dumps(answer).encode("ascii") + b"\n")
    stdout.flush()


def _unexpected(error: Exception) -> Failure:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else ""
    return Failure(f"unexpected {type(error).__name__}: {error}; please report this", details=where)
