"""A crowd on one store: threads of a process that attach and detach, over a model of the kernel in a directory.

An address is a file there, made by link(2), which refuses a second one as the kernel refuses a second route. Run as a
program, it prints how often an address turned out to be taken, and how often a call failed with code 5 or 11.
"""

import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_network
from pathlib import Path

from slash80.addressing.attachment import Assignment, Attachment, Key
from slash80.addressing.choose import Wanted, choose
from slash80.addressing.family import IPV4
from slash80.addressing.pool import Pool
from slash80.addressing.suffix import Suffix
from slash80.errors import IoFailure, TryAgain
from slash80.host.context import boottime
from slash80.store.sqlite import SqliteStore
from unit.store.reserving import reserve

POOL = Pool(IPV4, (ip_network("10.80.0.0/20"),))
ROUNDS = 20


class Kernel:
    """Who has which address; the truth that outlives the store's file."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def take(self, made: Attachment) -> None:
        """Assign an address to an attachment; raise FileExistsError if another one has it."""
        draft = self._directory / f".{threading.get_ident()}-{os.getpid()}"
        draft.write_text(f"{made.key.container_id} {made.key.ifname}")
        try:
            os.link(draft, self._directory / str(made.assignment.ipv4))
        finally:
            draft.unlink()

    def drop(self, made: Attachment) -> None:
        """Take it away again."""
        (self._directory / str(made.assignment.ipv4)).unlink(missing_ok=True)

    def survey(self) -> Iterator[Attachment]:
        """Read back who has what."""
        for path in self._directory.glob("10.*"):
            try:
                key = Key(*path.read_text().split())
            except FileNotFoundError:
                continue
            yield Attachment(key, "net", Assignment(IPv4Address(path.name), None, None), key.host_ifname)


class Worker(threading.Thread):
    """One thread that attaches, and detaches every other time; it may remove the store's file in the middle."""

    def __init__(self, directory: Path, name: str, *, removes: bool) -> None:
        super().__init__(name=name)
        self._kernel, self._path = Kernel(directory / "kernel"), directory / "state" / "state.db"
        self._store = shared(directory)
        self._removes = removes
        self.seen: Counter[str] = Counter()

    def run(self) -> None:
        """Do all rounds, counting what was in the way."""
        for number in range(ROUNDS):
            if self._removes and number == ROUNDS // 2:
                self._path.unlink(missing_ok=True)  # the other process may have been the first
            made = self._attach(Key(f"{self.name}-{number}", "eth0"))
            if number % 2:
                self._detach(made)

    def _attach(self, key: Key) -> Attachment:
        wanted = Wanted(key, {IPV4: POOL}, Suffix.UNIQUE, int(boottime() * 1e9), 130.0)
        draft = Attachment(key, "net", Assignment(None, None, None), key.host_ifname)
        while True:
            made = draft
            try:
                made = reserve(self._store, draft, lambda ledger, secret, _known: choose(wanted, ledger, secret))
                self._kernel.take(made)
                self._store.keep(made)
            except FileExistsError:
                self.seen["taken"] += 1
                self._release(key.host_ifname)  # here as well: who removed the file once may do it again right now
            except (IoFailure, TryAgain):
                self.seen["disturbed"] += 1
                self._detach(made)
            else:
                return made

    def _detach(self, made: Attachment) -> None:
        self._kernel.drop(made)
        self._release(made.host_ifname)

    def _release(self, host_ifname: str) -> None:
        try:
            self._store.release(host_ifname)
        except (IoFailure, TryAgain):
            self.seen["disturbed"] += 1


_stores: dict[Path, SqliteStore] = {}


def shared(directory: Path) -> SqliteStore:
    """Return this process's store in a directory."""
    kernel = Kernel(directory / "kernel")
    fresh = SqliteStore(directory / "state", survey=kernel.survey, timeout=30, clock=boottime)
    return _stores.setdefault(directory, fresh)


def main(directory: Path, name: str, threads: int, *, removes: bool) -> None:
    """Let the crowd loose and print what it saw."""
    workers = [Worker(directory, f"{name}{n}", removes=removes and not n) for n in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    seen = sum((worker.seen for worker in workers), Counter[str]())
    sys.stdout.write(f"{seen['taken']} {seen['disturbed']}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), removes=sys.argv[4] == "removes")
