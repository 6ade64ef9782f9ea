"""How fast things are written, and which come first: a change of one Service does not wait for ten thousand others."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from slash80.clusterset.records import Name

_FEW = 16  # names that changed together and come before many
_SHARE = 4  # so many turns of few, then one of many, so that neither waits without end


class Bucket:
    """Lets so many things happen a second, and as many at once after a time without any."""

    def __init__(self, rate: float) -> None:
        """Begin full."""
        self._rate, self._tokens, self._at = rate, rate, float("-inf")

    def take(self, now: float) -> bool:
        """Take a token if there is one."""
        self._tokens = min(self._rate, self._tokens + max(0.0, now - self._at) * self._rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    @property
    def rest(self) -> float:
        """After how many seconds there is one."""
        return max(0.0, (1 - self._tokens) / self._rate)


class Allowances:
    """How much each member may have changed of late before its changes come after those of all others."""

    def __init__(self, rate: float, most: float) -> None:
        """Begin with all that there may be; `rate` of it comes back in a second."""
        self._rate, self._most = rate, most
        self._left: dict[str, tuple[float, float]] = {}  # what there was, and when

    def spend(self, members: Iterable[str], now: float) -> bool:
        """Take one from each of these members; return whether any of them had one."""
        had = False
        for member in members:
            left, at = self._left.get(member, (self._most, now))
            left = min(self._most, left + (now - at) * self._rate)
            had = had or left >= 1
            self._left[member] = max(0.0, left - 1), now
        return had


@dataclass(slots=True)
class Lanes:
    """Names to look at: those that changed with few others, and those that changed with many."""

    few: OrderedDict[Name, None] = field(default_factory=OrderedDict)
    many: OrderedDict[Name, None] = field(default_factory=OrderedDict)
    turns: int = 0

    def add(self, names: Iterable[Name]) -> None:
        """Have names looked at that have changed together."""
        names = [*names]
        if len(names) <= _FEW:
            for name in names:
                self.many.pop(name, None)
                self.few[name] = None
        else:
            self.many.update((name, None) for name in names if name not in self.few)

    def look(self, names: Iterable[Name]) -> None:
        """Have names looked at; one that waits among many does not come before them by being written."""
        self.add([name for name in names if name not in self.many])

    def defer(self, names: Iterable[Name]) -> None:
        """Have names looked at among many, whatever else is new of them."""
        for name in names:
            self.few.pop(name, None)
            self.many[name] = None

    def drop(self, names: Iterable[Name]) -> None:
        """Have names not looked at."""
        for name in names:
            self.few.pop(name, None)
            self.many.pop(name, None)

    def take(self) -> tuple[Name, OrderedDict[Name, None]] | None:
        """Return the next name, and the lane that it goes back to if it is not settled."""
        self.turns += 1
        first, second = (self.many, self.few) if self.turns % (_SHARE + 1) == 0 else (self.few, self.many)
        lane = first or second
        return (lane.popitem(last=False)[0], lane) if lane else None
