"""The end-to-end tests as a program: the names of its specs, and a run of some."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

from conformance import results
from conformance.skips import Skip
from kind.cluster import Cluster
from lab import programs

_HOURS = 3


class Suite:
    """The end-to-end tests among their tools; `folder` is for the log and the report of the last run."""

    def __init__(self, tools: Path, folder: Path) -> None:
        """Store where they are; nothing is run."""
        self._tools, self._folder = tools, folder
        self.log, self.report = folder / "e2e.log", folder / "junit_01.xml"

    def names(self) -> list[str]:
        """Return the names of all specs."""
        return results.listed(programs.run([self._tools / "e2e.test", "--list-tests"]))

    def run(self, cluster: Cluster, focus: str, skips: Sequence[Skip], at_once: int) -> Iterator[str]:
        """Run what the focus has without the skips, some at once, and yield a line for each spec that has ended."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir(parents=True)
        with (
            self.log.open("w") as log,
            subprocess.Popen(
                cluster.entering([*self._ginkgo(focus, skips, at_once), "--", *self._options(cluster)]),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            ) as process,
        ):
            try:
                assert process.stdout
                yield from results.ended(_kept(process.stdout, log))
            finally:
                process.terminate()

    def _ginkgo(self, focus: str, skips: Sequence[Skip], at_once: int) -> list[str | Path]:
        chosen = [f"--focus={focus}", *(f"--skip={skip.name}" for skip in skips)]
        how = [f"--procs={at_once}", f"--timeout={_HOURS}h", "-v", "--no-color", "--silence-skips"]
        return [self._tools / "ginkgo", "run", *how, *chosen, self._tools / "e2e.test"]

    def _options(self, cluster: Cluster) -> list[str]:
        # Uncounted, they are counted by the first process only, and in the others specs that need two skip themselves.
        return ["--provider=skeleton", f"--report-dir={self._folder}", f"--num-nodes={len(cluster.nodes())}"]


def _kept(lines: Iterable[str], log: TextIO) -> Iterator[str]:
    """Yield lines that are in the log by then."""
    for line in lines:
        log.write(line)
        log.flush()
        yield line
