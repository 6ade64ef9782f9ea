"""A netlink message as a step, which has the `ip` command that says the same; pyroute2's message classes encode it."""

from __future__ import annotations

from slash80.netlink.codec import Step
from slash80.netlink.constants import NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL
from slash80.netlink.templates import Attributes, MessageType, Templates

RT_SCOPE_UNIVERSE, RT_SCOPE_LINK, RT_SCOPE_HOST = 0, 253, 254
NLM_F_CREATE_EXCL_ACK = NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK
_TEMPLATES = Templates()


def step(
    verb: MessageType,
    text: str,
    values: tuple[object, ...],
    /,
    *,
    attributes: Attributes | None = None,
    index: int = 0,
    **fields: int,
) -> Step:
    """Return a message whose `ip` command is `text` with the values in it; an index of 0 names no link."""
    return Step(text, _TEMPLATES.fill(text, verb, index, attributes=attributes or [], fields=fields), values)
