"""The benchmark's own programs: what they measure is what they say."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.contenders import programs

from lab.namespaces import Namespace, unique_name
from lab.waiting import wait_until


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the program that makes and measures traffic."""
    return programs(tmp_path_factory.mktemp("bench")) / "traffic"


@pytest.fixture
def pod() -> Iterator[Namespace]:
    """Make a namespace whose loopback is up."""
    namespace = Namespace.create(unique_name())
    try:
        namespace.ip("link set lo up")
        yield namespace
    finally:
        namespace.delete()


def test_round_trip_is_timed_between_two_pinned_ends(pod: Namespace, program: Path) -> None:
    """Both ends run on the CPUs that they were given, so the scheduler decides nothing."""
    cpu = str(max(os.sched_getaffinity(0)))
    words: list[str | Path] = [program, "rr", pod.path, "::1", "4242", "1000000000", "block", cpu, cpu]
    process = pod.run(lambda: subprocess.Popen(words, stdout=subprocess.DEVNULL))
    try:
        wait_until(lambda: [cpu, cpu] == _allowed(process.pid), seconds=20)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("reads", ["block", "poll"])
def test_measurement_prints_round_trips_and_cpu_time(pod: Namespace, program: Path, reads: str) -> None:
    """It prints as many round trips as requested, then the CPU time of both ends, which both used some."""
    usable = sorted(os.sched_getaffinity(0))
    cpus = [str(usable[0]), str(usable[-1])]
    printed = pod.command(str(program), "rr", str(pod.path), "::1", "4242", "50", reads, *cpus).split()

    assert 51 == len(printed)
    assert all(int(line) > 0 for line in printed)


def _allowed(pid: int) -> list[str]:
    """Return on which CPUs a process and its only child may run."""
    family = [str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    status = [Path(f"/proc/{one}/status").read_text() for one in family]
    return [text.partition("Cpus_allowed_list:")[2].split()[0] for text in status]
