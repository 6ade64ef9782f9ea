"""The plugin's agent on a host: started, killed, restarted, and stopped as a service manager would."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from lab.namespaces import Namespace
from lab.waiting import PATIENCE, wait_until


class Agent:
    """`slash80 agent --cni-only` of the executable below `root`, over one state directory; runs inside the block."""

    def __init__(self, host: Namespace, root: Path, state_dir: Path) -> None:
        self._host, self.program, self.state_dir = host, root / "opt/cni/bin/slash80", state_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._started: list[int] = []
        self.log = state_dir.with_name(f"{state_dir.name}.log")

    def __enter__(self) -> Self:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it, if it runs; it must end well."""
        if self._process and self._process.poll() is None:
            self.resume()
            code = self.stop()
            assert code == 0 or value, f"the agent ended with {code}: {self.log.read_text()}"

    @contextmanager
    def running(self) -> Iterator[None]:
        """Stop it after the block, where it was started before."""
        with ExitStack() as stack:
            stack.push(self.__exit__)
            yield

    @property
    def pids(self) -> list[int]:
        """Its processes, the one first that was started."""
        assert self._process
        pid = self._process.pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]

    def resume(self) -> None:
        """Let go on what was stopped."""
        for pid in self.pids:
            os.kill(pid, signal.SIGCONT)

    def is_stopped(self) -> bool:
        """Report whether one of its processes stands still."""
        return any(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T" for pid in self.pids)

    def memory(self) -> int:
        """Return its memory in KiB: what is shared between its processes, and with others, counts in parts (PSS)."""
        rolls = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids)
        return sum(int(roll.partition("\nPss:")[2].split()[0]) for roll in rolls)

    def own_memory(self) -> list[int]:
        """Return what each process that answers calls has for itself in KiB, whatever it shares with others."""
        rolls = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in self.pids[1:])
        return [int(roll.partition("\nPrivate_Dirty:")[2].split()[0]) for roll in rolls]

    def descriptors(self) -> int:
        """Count its open descriptors."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids)

    def start(self, **environ: str) -> None:
        """Start it, and wait until it serves."""
        before = self._count()
        with self.log.open("ab") as log:
            variables = {"PATH": os.environ["PATH"], **environ}
            self._process = self._host.run(lambda: subprocess.Popen(self._command(), env=variables, stderr=log))
        wait_until(lambda: self._serves(before))
        self._started = self.pids

    def _command(self) -> list[str | Path]:
        return [self.program, "agent", "--cni-only", "--state-dir", self.state_dir]

    def stop(self) -> int:
        """Ask it to end, and give its exit code."""
        assert self._process
        self._process.terminate()
        return self._process.wait(timeout=300 * PATIENCE)

    def kill(self) -> None:
        """Take it down as it stands, and wait until the last of its processes has gone."""
        assert self._process
        # The list of children may lack one while another one ends (proc_pid_task_children(5)), as nft does; a process
        # that is missed takes calls for a moment longer.
        pids = {*self.pids, *self._started}
        self._process.kill()
        self._process.wait()
        wait_until(lambda: not any(map(_lives, pids)))

    def end(self) -> None:
        """Take it down if it still runs."""
        if self._process and self._process.poll() is None:
            self.resume()
            self.kill()

    def wait(self) -> int:
        """Wait until it has ended by itself, and the last of its processes, which may take a call yet, after it."""
        assert self._process
        code = self._process.wait(timeout=300 * PATIENCE)
        wait_until(lambda: not any(map(_lives, self._started)))
        return code

    def _serves(self, before: int) -> bool:
        assert self._process
        assert self._process.poll() is None, f"the agent ended at once: {self.log.read_text()}"
        return self._count() > before

    def _count(self) -> int:
        """Count how often an agent has said that it serves."""
        return self.log.read_text().count(" serves ") if self.log.exists() else 0


def _lives(pid: int) -> bool:
    """Report whether a process exists and is not a zombie, with all its threads, which keep its files to the last."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state not in "ZX" or len(list(Path(f"/proc/{pid}/task").iterdir())) > 1
    except (FileNotFoundError, ProcessLookupError):
        return False
