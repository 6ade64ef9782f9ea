"""Chain `deleted`: packets from and to links of deleted pods, which several chains ask for first of all."""

from __future__ import annotations

from slash80.firewall.drops import dropped
from slash80.firewall.records import Chain


def chain() -> Chain:
    """Return the chain."""
    return Chain("deleted", tuple(dropped("deleted")))
