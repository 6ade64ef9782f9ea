"""Which commits have changed the policies' table, and whose they were."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_KEPT = 1000  # of our own commits; the kernel tells of one within moments


class Changes:
    """What the kernel has told of, and what was our own; for all threads of a process.

    The monitor notes the generations that changed the table as it reads of them, the writer those of its own commits
    when it is done, which may be later. So who asks has to be the writer.
    """

    def __init__(
        self, committed: Callable[[int], None] = lambda _: None, *, changed: Callable[[], None] = lambda: None
    ) -> None:
        """Begin without any commit; `committed` is called with the generation that each of our own has begun.

        `changed` is called when another program has committed while we did.
        """
        self._committed, self._changed, self._committing = committed, changed, False
        self._lock = threading.Lock()
        self._seen: set[int] = set()
        self._own: deque[int] = deque(maxlen=_KEPT)
        self._spans: deque[tuple[int, int]] = deque(maxlen=_KEPT)  # in each of which one commit is our own

    def seen(self, generation: int) -> bool:
        """Note a commit that has changed the table; return whether another program has made it.

        While we commit that is not known: the kernel tells the monitor before it answers us.
        """
        with self._lock:
            self._seen.add(generation)
            committing = self._committing
        return not committing and generation in self.of_others()

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Commit within the block, and note it there."""
        self._committing = True
        try:
            yield
        finally:
            self._committing = False
            if self.of_others():
                self._changed()

    def own(self, generation: int) -> None:
        """Note a commit of ours."""
        with self._lock:
            self._own.append(generation)
        self._committed(generation)

    def own_within(self, before: int, after: int) -> None:
        """Note a commit of ours by the generations before and after it, between which others have committed as well.

        What changes other tables, as kube-proxy does every second, is not seen here. Of several that change this one
        one is ours, and the others are not.
        """
        if after == before + 1:
            self.own(after)
        else:
            with self._lock:
                self._spans.append((before, after))

    def of_others(self) -> frozenset[int]:
        """Return the commits of others, and forget our own."""
        with self._lock:
            self._seen.difference_update(self._own)
            for span in [*self._spans]:
                if within := {one for one in self._seen if span[0] < one <= span[1]}:
                    self._seen.discard(min(within))
                    self._spans.remove(span)
            return frozenset(self._seen)

    def undone(self, generations: frozenset[int]) -> None:
        """Forget these commits: the table was replaced since."""
        with self._lock:
            self._seen -= generations
