"""Keeps the objects of one kind up to date by a list and a watch, in a thread of its own, whatever the server does.

The API's way is https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes: list all,
watch from the list's version on, begin the next watch where the last one ended, and list again when the server has
forgotten that version (410). What is known stays in force while the server cannot be asked.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.cache import Cache, Change, Indexer, Listing, TooMany, version_of
from slash80.cluster.clock import Clock, SystemClock
from slash80.cluster.mistakes import MISTAKES
from slash80.cluster.objects.reading import Resource
from slash80.cluster.pace import Pace
from slash80.cluster.stream import Event, Garbled
from slash80.cluster.subscription import Subscription

T = TypeVar("T")
_GONE = 410
_WATCH = (300, 600)  # seconds after which the server ends a watch; at random, or all nodes come back at once
_ALIVE = 5.0  # seconds after which a watch that brought nothing has not failed
_SILENT = 90.0  # seconds without an event from the beginning of a watch: a server sends a bookmark every minute
_RANDOM = random.SystemRandom()
_log = logging.getLogger(__name__)


class Informer(Generic[T]):
    """The objects of one kind as what `resource.read` keeps of them.

    `changed` and the `wake` of subscribers are called in the informer's thread after each change of the objects, of
    `synced` or of `problem`. No lock is held, but they must only ring a bell: a reconciler has a thread of its own.
    """

    def __init__(
        self,
        api: Api,
        resource: Resource[T],
        *,
        changed: Callable[[], None] | None = None,
        selector: str = "",
        indexes: Mapping[str, Indexer[T]] | None = None,
        clock: Clock[threading.Event] | None = None,
    ) -> None:
        """Begin when started; `selector` is a field selector, `indexes` give the values by which records are found."""
        self._api, self.path = api.separate(), resource.path
        selectors = {"fieldSelector": selector, "labelSelector": resource.labels}
        self._query = {key: value for key, value in selectors.items() if value}
        self._cache = Cache(resource.read, indexes)
        self._clock, self._pace = clock or SystemClock(), Pace()
        self._wakes, self._subscriptions = [changed] if changed else [], list[Subscription[T]]()
        self._version, self._heard, self._trouble = "", float("-inf"), ""
        self._synced, self._cut_short = False, False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self.run, name=f"informer {resource.path}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End it, also while it waits for a silent server; at most a call of `changed` that is under way goes on."""
        self._stopping.set()
        self._api.close()

    def join(self, seconds: float) -> bool:
        """Wait for the thread's end, at most so long; return whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def get(self, key: str) -> T | None:
        """Return the object with a key, `namespace/name` or `name`."""
        return self._cache.get(key)

    @property
    def objects(self) -> list[T]:
        """The objects as last received, in the order of their keys; none before a whole list was."""
        return self._cache.records()

    def indexed(self, index: str, value: Hashable) -> list[T]:
        """Return the objects for which the index gives this value, in the order of their keys."""
        return self._cache.indexed(index, value)

    def subscribe(self, wake: Callable[[], None], limit: int = 10_000) -> Subscription[T]:
        """Return what collects changes from now on, of `limit` objects at most."""
        subscription = Subscription[T](wake, limit)
        self._subscriptions = [*self._subscriptions, subscription]
        return subscription

    def unsubscribe(self, subscription: Subscription[T]) -> None:
        """Collect no more changes for it; it may be woken once more."""
        self._subscriptions = [one for one in self._subscriptions if one is not subscription]

    @property
    def synced(self) -> bool:
        """Whether a whole list was ever received."""
        return self._synced

    @property
    def age(self) -> float:
        """Seconds since the server last said anything; infinite if it never did."""
        return self._clock.now() - self._heard

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Why objects could not be read, by key; they stay as they were last understood, and the others go on."""
        return self._cache.unreadable

    @property
    def problem(self) -> str:
        """What keeps the objects from being up to date; empty when nothing does."""
        if self._trouble or not (unreadable := self.unreadable):
            return self._trouble
        key, reason = next(iter(unreadable.items()))
        more = f" and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        return f"{self.path}: {key}{more} cannot be understood: {reason}; what was last understood stays in force"

    def follow(self) -> None:
        """List once if nothing is known, then follow one watch to its end; raise Unreachable, Refused or TooMany."""
        if not self._version:
            self._list()
        try:
            self._watch()
        finally:
            if self._cache.incomplete:
                self._version = ""  # some change was lost with the object that it was about

    def run(self) -> None:
        """Follow until stopped, in the calling thread."""
        while not self._stopping.is_set():
            began = self._clock.now()
            try:
                self.follow()
            except Refused as error:
                self._refused(error)
            except (Unreachable, TooMany) as error:
                self._failed(str(error))
            except MISTAKES as error:
                # no subscriber is woken: it may be a subscriber that raised it
                _log.exception("%s is listed again", self.path)
                self._pace.failed()
                self._version, self._trouble = "", f"{self.path} cannot be followed: {type(error).__name__}: {error}"
            self._clock.wait(self._stopping, self._pace.rest(began=began, now=self._clock.now()))

    def _list(self) -> None:
        listing, version = Listing[T](), ""
        for page in self._api.pages(self.path, **self._query):
            self._heard = self._clock.now()
            self._cache.receive(page.items, listing)
            version = page.version
        changes = self._cache.replace(listing)
        self._version, self._synced = version, True
        self._publish(changes)

    def _watch(self) -> None:
        began, empty = self._clock.now(), True
        seconds = _RANDOM.randint(*_WATCH)
        events = self._api.events(self.path, self._version, seconds=seconds, **self._query)
        self._heard = self._clock.now()
        if not self._cut_short:
            self._recovered()
        try:
            for event in events:
                empty, self._heard = False, self._clock.now()
                self._pace.succeeded()
                self._recovered()
                self._take(event)
        except Unreachable:
            if empty and self._clock.now() >= began + _SILENT:
                self._version = ""  # one that was restored from an older backup is silent until it is there once more
            raise
        self._cut_short = empty and self._clock.now() < began + _ALIVE
        if self._cut_short:
            raise Unreachable(f"the API server ends each watch of {self.path} at once")
        self._pace.succeeded()

    def _take(self, event: Event | Garbled) -> None:
        problem, change = self.problem, None
        if isinstance(event, Garbled):
            self._cache.lose(event.reason)
        else:
            if event.kind in {"ADDED", "MODIFIED", "DELETED"}:
                change = self._cache.apply(event.object, deleted=event.kind == "DELETED")
            self._version = version_of(event.object) or self._version
        if change or self.problem != problem:
            self._publish([change] if change else [])

    def _refused(self, error: Refused) -> None:
        """Begin again with a list where the server has forgotten the version: nothing is wrong then."""
        if error.status == _GONE and self._version:
            self._version = ""
            self._pace.failed()
        else:
            self._failed(f"the API server refuses {self.path}: {error}")

    def _failed(self, problem: str) -> None:
        self._pace.failed()
        if self._stopping.is_set():
            return
        news, self._trouble = not self._trouble, problem
        if news:
            _log.warning("%s; what is known stays in force", problem)
            self._publish([])

    def _recovered(self) -> None:
        self._cut_short = False
        if self._trouble:
            self._trouble = ""
            _log.info("%s is followed from version %s on", self.path, self._version)
            self._publish([])

    def _publish(self, changes: Sequence[Change[T]]) -> None:
        if self._stopping.is_set():
            return
        for subscription in self._subscriptions:
            subscription.add(changes)
            subscription.wake()
        for wake in self._wakes:
            wake()
