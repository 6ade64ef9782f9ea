"""One round: workers are forked, killed at random instants and forked again until the quota is done."""

import ctypes
import json
import os
import select
import signal
import time
import traceback
from contextlib import suppress
from pathlib import Path
from random import Random

from soak.model import Call
from soak.operations import Chooser
from soak.worker import Journal, Worker
from soak.world import World

WORKERS = 5
_LONGEST = 300.0  # seconds that a round may take before it counts as hung


class Crew:
    """The workers of one round; a context manager that leaves none of them alive."""

    def __init__(self, world: World, name: str, *, losing: bool, frozen: float) -> None:
        self._world, self._name, self._losing, self._frozen = world, name, losing, frozen
        self._random = Random(f"{name}.killer")
        self._alive: dict[int, tuple[int, int, int, Path]] = {}  # pidfd: pid, slot, quota, journal
        self._born = 0
        self.calls: list[Call] = []
        self.leaks: list[str] = []
        self.kills = 0

    def run(self, operations: int, kill_every: float) -> None:
        """Have so many operations done, with a random worker killed every so many seconds on average."""
        try:
            for slot in range(WORKERS):
                self._fork(slot, operations // WORKERS)
            self._watch(kill_every)
            self._wait_for_orphans()
        finally:
            self._end()

    def _watch(self, kill_every: float) -> None:
        hung = time.monotonic() + _LONGEST
        while self._alive:
            pause = self._random.expovariate(1 / kill_every)
            ended = self._reap(pause)
            if len(self._alive) < WORKERS and self._random.random() < 0.7:
                self._reap(self._random.uniform(0, 0.05))
                self._end()  # all at once, so that no call recovers their work
            elif not ended:
                victim = self._random.choice(sorted(self._alive))
                signal.pidfd_send_signal(victim, signal.SIGKILL)
                self._reap(5)
            if time.monotonic() > hung:
                raise AssertionError(
                    f"round {self._name} hangs: {[w[3].read_text()[-500:] for w in self._alive.values()]}"
                )

    def _reap(self, seconds: float) -> bool:
        """Wait until a worker ends; fork one for what a killed one has left undone; return whether any ended."""
        ended, _, _ = select.select(list(self._alive), [], [], seconds)
        for pidfd in ended:
            pid, slot, quota, path = self._alive.pop(pidfd)
            os.close(pidfd)
            done = self._gather(pid, path)
            if quota > done:
                self._fork(slot, quota - done)
        return bool(ended)

    def _gather(self, pid: int, path: Path) -> int:
        """Read what an ended worker recorded; return how many operations it began."""
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        calls, leaks = read(path)
        path.unlink(missing_ok=True)
        self.calls += calls
        self.leaks += leaks
        self.kills += code == -signal.SIGKILL
        if code not in {0, -signal.SIGKILL, -signal.SIGINT}:
            raise AssertionError(f"a worker of round {self._name} ended with {code}")
        return len(calls)

    def _fork(self, slot: int, quota: int) -> None:
        self._born += 1
        name = f"{self._name}.{slot}.{self._born}"
        path = self._world.logs / name
        pid = os.fork()
        if pid == 0:
            self._be_worker(name, path, quota)
        self._alive[os.pidfd_open(pid)] = pid, slot, quota, path

    def _be_worker(self, name: str, path: Path, quota: int) -> None:
        code = 1
        try:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: no worker outlives the soak
            for pidfd in self._alive:
                os.close(pidfd)
            chooser = Chooser(self._world, Random(name), name, losing=self._losing, frozen=self._frozen)
            Worker(self._world, Journal(path)).work(chooser, quota)
            code = 0
        except BaseException:  # noqa: BLE001 -- a forked child must not go on as its parent
            traceback.print_exc()
        finally:
            os._exit(code)

    def _wait_for_orphans(self) -> None:
        """Wait for the programs that killed workers had begun; they were given to this process."""
        deadline = time.monotonic() + 70
        with suppress(ChildProcessError):
            while time.monotonic() < deadline:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.002)
            raise AssertionError(f"a program of round {self._name} does not end")

    def _end(self) -> None:
        while self._alive:
            pidfd, (pid, _, _, path) = self._alive.popitem()
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            self._gather(pid, path)


def adopt_orphans() -> None:
    """Become the parent of whatever the workers leave behind."""
    ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER


def read(path: Path) -> tuple[list[Call], list[str]]:
    """Read a journal: the calls, the last of them perhaps without an end, and what leaked."""
    calls: dict[str, Call] = {}
    leaks = []
    for line in path.read_text().splitlines() if path.exists() else ():
        moment, what, *rest = json.loads(line)
        if what == "begin":
            calls[rest[0]["number"]] = Call(rest[0], moment)
        elif what == "end":
            call = calls[rest[0]]
            call.end, call.code, call.answer = moment, rest[1], rest[2]
        else:
            leaks.append(rest[0])
    return list(calls.values()), leaks
