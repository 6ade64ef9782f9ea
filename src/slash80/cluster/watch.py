"""A list kept up to date by a watch, in a thread of its own: whatever breaks, it begins again."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from slash80.cluster.api import Api, Document, Refused, Unreachable

Seen = TypeVar("Seen")
_GONE = 410  # the server has forgotten the version that was asked for
_PATIENCE = (1.0, 30.0)  # seconds before the next try, doubled each time; jittered, or all nodes come back at once
_RANDOM = random.SystemRandom()  # of its own: nodes that were cloned must not agree
_log = logging.getLogger(__name__)


class Watch(Generic[Seen]):
    """The objects under a path, by name, each as what `read` makes of it; `changed` is called after each change."""

    def __init__(
        self, api: Api, path: str, *, read: Callable[[Document], Seen], changed: Callable[[], None], selector: str = ""
    ) -> None:
        """Begin when started; `selector` is a field selector."""
        self._api, self._path, self._read, self._changed = api, path, read, changed
        self._query = {"fieldSelector": selector} if selector else {}
        self._seen: dict[str, Seen] = {}
        self._version, self._heard, self._problem = "", 0.0, ""
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    @property
    def objects(self) -> list[Seen]:
        """The objects as last heard of, in order of their names."""
        return [seen for _, seen in sorted(self._seen.copy().items())]

    @property
    def synced(self) -> bool:
        """Whether the list was ever complete."""
        return bool(self._heard)

    @property
    def problem(self) -> str:
        """What keeps the list from being up to date; empty when nothing does."""
        return self._problem

    @property
    def age(self) -> float:
        """Seconds since the server last said anything."""
        return time.monotonic() - self._heard

    def _run(self) -> None:
        patience = _PATIENCE[0]
        while True:
            try:
                self.follow()
                patience = _PATIENCE[0]
            except Refused as error:
                if error.status == _GONE:
                    self._version = ""
                    _rest(_PATIENCE[0])
                    continue
                patience = self._wait(f"the API server refuses {self._path}: {error}", patience)
            except Unreachable as error:
                patience = self._wait(str(error), patience)
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                # an object that is not what the API documents must not end the thread: nobody would start another
                self._version = ""
                what = f"{type(error).__name__}: {error}"
                patience = self._wait(f"an object of {self._path} cannot be understood: {what}", patience)

    def follow(self) -> None:
        """List once if nothing is known, then follow one watch to its end; raise Unreachable or Refused."""
        if not self._version:
            found, version = self._api.items(self._path, **self._query)
            self._seen = {one["metadata"]["name"]: self._read(one) for one in found}
            self._hear(version)
            self._changed()
        events = self._api.events(self._path, self._version, **self._query)
        self._hear(self._version)
        for event in events:
            self._take(event["type"], event["object"])

    def _take(self, kind: str, one: Document) -> None:
        name = one["metadata"].get("name", "")
        before = self._seen.get(name)
        if kind == "DELETED":
            self._seen.pop(name, None)
        elif kind in {"ADDED", "MODIFIED"}:
            self._seen[name] = self._read(one)
        self._hear(one["metadata"]["resourceVersion"])
        if kind != "BOOKMARK" and self._seen.get(name) != before:
            self._changed()

    def _hear(self, version: str) -> None:
        if self._problem:
            _log.info("%s is followed from version %s on", self._path, version)
        self._version, self._heard, self._problem = version, time.monotonic(), ""

    def _wait(self, problem: str, patience: float) -> float:
        """Remember what is wrong, say it if it is news, and wait; give the patience of the next time."""
        if not self._problem:
            _log.warning("%s; what is known stays in force", problem)
            patience = _PATIENCE[0]
        news, self._problem = not self._problem, problem
        if news:
            self._changed()
        _rest(patience)
        return min(2 * patience, _PATIENCE[1])


def _rest(seconds: float) -> None:
    """Wait about so long: not at the same moment as every other node."""
    time.sleep(seconds * _RANDOM.uniform(0.5, 1.5))
