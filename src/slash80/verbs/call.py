"""What every verb reads from its request: the attachment's key and the sandbox."""

from __future__ import annotations

from contextlib import AbstractContextManager

from slash80.addressing.attachment import Key
from slash80.cni.request import Request
from slash80.host.context import CallContext
from slash80.wiring import netns


def key_of(request: Request) -> Key:
    """Return the attachment's key."""
    return Key(request.env.container_id, request.env.ifname)


def sandbox(request: Request, context: CallContext) -> AbstractContextManager[int]:
    """Open the sandbox's network namespace, or check the descriptor that was received; raises BadNetns."""
    return netns.opened(request.env.netns, own_allowed=request.env.netns_override, handed=context.sandbox)


def sandbox_if_pods(request: Request, received: int | None) -> int | None:
    """Return the descriptor of a sandbox that was received, unless it is the host's own network namespace."""
    if received is None or (not request.env.netns_override and netns.is_own(received)):
        return None
    return received
