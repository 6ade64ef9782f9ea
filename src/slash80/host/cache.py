"""A cache of facts about the host that ADDs in quick succession share."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar, cast

T = TypeVar("T")
FACTS_TTL = 0.1  # seconds


class TtlCache:
    """Facts about the host, each kept for FACTS_TTL.

    A change of the host is noticed at most that much late: no later than by an ADD that started that much earlier.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[object, tuple[float, object]] = {}

    def get(self, key: object, find: Callable[[], T]) -> T:
        """Return the cached value of a key, or what `find` returns, which is cached; what it raises is not."""
        now = time.monotonic()
        since, value = self._entries.get(key, (-FACTS_TTL, None))
        if now - since >= FACTS_TTL:
            value = find()
            self._entries[key] = now, value
        return cast("T", value)
