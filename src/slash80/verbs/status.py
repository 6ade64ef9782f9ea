"""STATUS: report whether this node can attach pods."""

from __future__ import annotations

import os
from pathlib import Path

from slash80.cni import capabilities
from slash80.cni.request import Request
from slash80.errors import CniError, Degraded, Failure, NotReady, TryAgain
from slash80.firewall import apply
from slash80.host import compiled_network
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import CallContext
from slash80.wiring import sysctl

_PATIENCE = 1.0  # seconds for each of the store and nft; a runtime waits for STATUS while it holds its own lock


def status(request: Request, context: CallContext) -> None:
    """Raise NotReady or Degraded with the reason when this node cannot attach pods; change nothing.

    An exhausted pool is no such reason: the runtime would call the node not ready, and its healthy pods be evicted.
    """
    capabilities.refuse_ipam(request.conf)
    try:
        compiled = compiled_network.read(request.conf)
    except TryAgain as error:
        raise NotReady(error.msg, error.details) from error
    conf = compiled.conf
    hurried = conf.model_copy(update={"lock_timeout": min(conf.lock_timeout, _PATIENCE)})
    with context.opened(hurried) as host:
        try:
            _require_node(compiled)
            host.refuse_conflicts(tuple(compiled.pools.values()))
            attached = host.store.exists and bool(host.store.attachments())
        except CniError as error:
            raise NotReady(error.msg, error.details) from error
        try:
            apply.check(compiled.ruleset, _PATIENCE)
        except CniError as error:
            kind = Degraded if attached and not host.table.is_whole(compiled.ruleset) else NotReady
            raise kind(error.msg, error.details) from error


def _require_node(compiled: CompiledNetwork) -> None:
    """Raise Failure when the kernel lacks a family or the state directory is not writable."""
    sysctl.require(compiled.families)
    folder: Path = compiled.conf.state_dir
    # os.path.exists, since Path.exists raises for a name that is too long
    existing = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # noqa: PTH110
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise Failure(f"the state directory {folder} is not writable; mount {existing} writable or change stateDir")
