"""Run tiers of the tests in lanes: the lanes side by side, the tiers of a lane one after the other.

The tier of the clusters waits for others most of the time. What the first lane prints is seen at once, what another one
prints comes after it, whole. To be stopped by any signal means ctrl-C for every tier, once: they remove what they made.
"""

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Lane:
    """Tiers that are run one after the other; `results` has how each of those ended that began."""

    def __init__(self, make: str, tiers: Sequence[str], log: Path | None) -> None:
        """Name them; output goes to the log, or where ours goes."""
        self._make, self.tiers, self._log = make, tiers, log
        self.results: dict[str, tuple[str, float]] = {}
        self._process: subprocess.Popen[bytes] | None = None
        # A signal may come while the handler of another one is at work.
        self._lock, self._stopped = threading.RLock(), False
        if log:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_bytes(b"")

    def start(self, failed: Callable[[], None]) -> threading.Thread:
        """Begin in a thread, which calls `failed` for every tier that fails."""
        thread = threading.Thread(target=self._run, args=(failed,))
        thread.start()
        return thread

    def stop(self) -> None:
        """Interrupt the tier that runs, and begin none after it."""
        with self._lock:
            self._stopped = True
            if self._process and self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGINT)

    def show(self, thread: threading.Thread) -> None:
        """Wait for the end of the thread, and print what is in the log, and what is still coming."""
        if not self._log:
            thread.join()
            return
        with self._log.open("rb") as log:
            ended = False
            while not ended:
                thread.join(1)
                ended = not thread.is_alive()
                sys.stdout.buffer.write(log.read())
                sys.stdout.buffer.flush()

    def _run(self, failed: Callable[[], None]) -> None:
        for tier in self.tiers:
            begun = time.monotonic()
            if not (process := self._begin(tier)):
                return
            how = "passed" if process.wait() == 0 else "stopped" if self._stopped else "FAILED"
            self.results[tier] = how, time.monotonic() - begun
            if how == "FAILED":
                failed()

    def _begin(self, tier: str) -> "subprocess.Popen[bytes] | None":
        # In a group of its own, so that an interrupt reaches all of it, and a terminal's does not reach it twice. Open
        # descriptors are make's jobserver.
        with self._lock:
            if self._stopped:
                return None
            output = self._log.open("ab") if self._log else None
            self._process = subprocess.Popen(
                [self._make, tier],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                close_fds=False,
            )
            if output:
                output.close()
            return self._process


class Runs:
    """All lanes; when a tier fails the rest is stopped, unless it is to be kept going."""

    def __init__(self, lanes: Sequence[Lane], *, keep_going: bool) -> None:
        """Begin none yet."""
        self.lanes, self._keep_going = lanes, keep_going
        self.signal: int | None = None

    def run(self) -> int:
        """Run all, and give the exit code."""
        for number in _SIGNALS:
            signal.signal(number, self._interrupted)
        threads = [lane.start(self._failed) for lane in self.lanes]
        for lane, thread in zip(self.lanes, threads, strict=True):
            lane.show(thread)
        results = {tier: lane.results.get(tier, ("not run", 0.0)) for lane in self.lanes for tier in lane.tiers}
        for tier, (how, seconds) in results.items():
            print(f"make {tier:9} {seconds:6.0f} s  {how}", flush=True)
        if self.signal:
            return 128 + self.signal
        return 0 if all(how == "passed" for how, _ in results.values()) else 1

    def _failed(self) -> None:
        if not self._keep_going:
            self._stop()

    def _stop(self) -> None:
        for lane in self.lanes:
            lane.stop()

    def _interrupted(self, number: int, _: FrameType | None) -> None:
        self.signal = number
        self._stop()


def main() -> int:
    """Run the tiers that are named."""
    parser = argparse.ArgumentParser(prog="python -m tiers", description=__doc__)
    parser.add_argument("--make", default="make", help="the program that runs a tier by its name")
    parser.add_argument("--logs", type=Path, required=True, help="where the output of all lanes but the first is kept")
    parser.add_argument("--keep-going", action="store_true", help="run the rest when a tier fails")
    parser.add_argument("lanes", nargs="+", help="tiers, with commas between them")
    chosen = parser.parse_args()
    lanes = [
        Lane(chosen.make, names.split(","), chosen.logs / f"{names}.log" if number else None)
        for number, names in enumerate(chosen.lanes)
    ]
    for lane in chosen.lanes[1:]:
        print(f"{lane}: runs beside the others, and is shown after them; meanwhile in {chosen.logs}/{lane}.log")
    sys.stdout.flush()
    return Runs(lanes, keep_going=chosen.keep_going).run()


if __name__ == "__main__":
    sys.exit(main())
