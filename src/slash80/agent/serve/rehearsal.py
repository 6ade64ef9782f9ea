"""A rehearsal before the first call: pods are attached and detached in network namespaces that nothing else uses.

The first call of a process builds pydantic's validators, netlink templates and much else, which takes ten times as long
as the call. After a rehearsal all of that is there, and the processes that are forked afterwards share its memory.
"""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

from slash80 import engine
from slash80.agent import files
from slash80.agent.serve.reaper import Reaper
from slash80.agent.serve.resources import HostPool
from slash80.errors import CniError, Failure
from slash80.host import removal
from slash80.host.context import CallContext
from slash80.settings import network as configuration
from slash80.settings import node, policy
from slash80.settings.network import RemovalConf
from slash80.wiring import netns

_FOLDER = "rehearsal"  # within the state directory, which is known to be writable and private
_PODS = (
    8  # Python's interpreter adapts a function's code to its use after eight calls: better once than in each process
)
_PREFIXES = {"ipv6": "2001:db8::/80", "ipv4": "192.0.2.0/24"}  # for documentation: nothing is routed to them
_log = logging.getLogger(__name__)


def rehearse(state_dir: Path) -> None:
    """Attach and detach pods unseen; log what keeps it from succeeding, which the real calls report."""
    folder = state_dir / _FOLDER
    _remove(folder)  # what an agent left that was killed here
    try:
        with ExitStack() as stack:
            stack.callback(_remove, folder)
            folder.mkdir(mode=0o700)
            host, pod = (netns.new() for _ in range(2))
            stack.callback(os.close, host)
            stack.callback(os.close, pod)
            netns.inside(host, partial(_attach_and_detach, folder, pod))
    except (CniError, OSError) as error:
        _log.info("the first calls take longer than later ones, since a rehearsal failed: %s", error)


def _attach_and_detach(folder: Path, pod: int) -> None:
    entries = {key: [{"prefix": prefix, "state": "active"}] for key, prefix in _PREFIXES.items()}
    files.write(folder / node.NAME, files.text({"version": 1, **entries}))
    # as in a cluster without NetworkPolicies: unknown ones would have the table of those loaded, 1 MiB
    files.write(folder / policy.NAME, files.text(policy.document(enforced=False, isolated=(), may_expose=None)))
    conflist = files.conflist(folder)
    conf = conflist["plugins"][0] | {"name": conflist["name"], "cniVersion": conflist["cniVersion"]}
    pool = HostPool(folder, Reaper(lambda: 0))  # never started: `reap` below does its work
    try:
        for number in range(_PODS):
            for verb in ("ADD", "DEL"):
                _call(verb, number, json.dumps(conf).encode(), context=CallContext(pool.opened, pod))
        with pool.opened(configuration.parse(RemovalConf, {"stateDir": str(folder)})) as host:
            removal.reap(host)
    finally:
        pool.close()


def _call(verb: str, number: int, conf: bytes, *, context: CallContext) -> None:
    """Make one call; raise Failure when it fails."""
    environ = {"CNI_COMMAND": verb, "CNI_CONTAINERID": f"{number:064x}", "CNI_IFNAME": "eth0"}
    environ |= {"CNI_NETNS": f"/run/netns/{_FOLDER}", "CNI_PATH": "/opt/cni/bin"}

    def reply(code: int, text: bytes) -> None:
        if code:
            raise Failure(f"{verb}: {json.loads(text)['msg']}")

    engine.answer(environ, io.BytesIO(conf), reply, context=context)


def _remove(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
