"""What the agent's processes have in common: those that answer calls, and the one of the controller."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial

from slash80.agent.call_counts import CallCounts
from slash80.host.context import STANDALONE, Host
from slash80.settings.network import RemovalConf

Opened = Callable[[RemovalConf], AbstractContextManager[Host]]


@dataclass(frozen=True, slots=True)
class Shared:
    """The node as each thread opens it, and what is counted of calls; without an agent no process answers any."""

    opened: Opened = STANDALONE.opened
    counts: CallCounts = field(default_factory=partial(CallCounts, 0))
