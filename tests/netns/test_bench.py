"""The benchmark's own programs: what they measure is what they say."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench.contenders import programs

from lab.namespaces import Namespace, unique_name
from lab.programs import run
from lab.waiting import wait_until

_FAMILIES = {"::1": "ipv6", "127.0.0.1": "ipv4"}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the program that makes and measures traffic."""
    return programs(tmp_path_factory.mktemp("bench")) / "traffic"


@pytest.fixture
def pod() -> Iterator[Namespace]:
    """Make a namespace whose loopback is up."""
    namespace = Namespace.create(unique_name())
    try:
        namespace.raise_loopback()
        yield namespace
    finally:
        namespace.delete()


def test_round_trip_is_timed_between_two_pinned_ends(pod: Namespace, program: Path) -> None:
    """Both ends run on the CPUs that they were given, so the scheduler decides nothing."""
    cpu = str(max(os.sched_getaffinity(0)))
    words: list[str | Path] = [program, "rr", pod.path, "::1", "4242", "1000000000", "block", cpu, cpu]
    process = pod.run(lambda: subprocess.Popen(words, stdout=subprocess.DEVNULL))
    try:
        wait_until(lambda: [cpu, cpu] == _allowed(process.pid))
    finally:
        process.kill()
        process.wait()


def test_each_call_has_its_own_arguments(pod: Namespace, program: Path, tmp_path: Path) -> None:
    """A plugin is called with CNI_ARGS where a line has them, and with empty ones else."""
    plugin, said = tmp_path / "plugin", tmp_path / "said"
    plugin.write_text(f'#!/bin/sh\necho "$CNI_CONTAINERID=$CNI_ARGS" >> {said}\n')
    plugin.chmod(0o755)
    lines = f"one {pod.path} K8S_POD_NAME=a;K8S_POD_UID=b\ntwo {pod.path}\n"
    run([program.with_name("caller"), "1", plugin, "ADD", "/dev/null"], stdin=lines)
    assert ["one=K8S_POD_NAME=a;K8S_POD_UID=b", "two="] == said.read_text().splitlines()


@pytest.mark.parametrize("reads", ["block", "poll", "tcp"])
def test_measurement_prints_round_trips_and_cpu_time(pod: Namespace, program: Path, reads: str) -> None:
    """It prints as many round trips as requested, then the CPU time of both ends, which both used some."""
    usable = sorted(os.sched_getaffinity(0))
    cpus = [str(usable[0]), str(usable[-1])]
    printed = pod.command(str(program), "rr", str(pod.path), "::1", "4242", "50", reads, *cpus).split()

    assert 51 == len(printed)
    assert all(int(line) > 0 for line in printed)


@pytest.mark.parametrize("address", ["::1", "127.0.0.1"])
def test_each_flow_is_a_new_connection(pod: Namespace, program: Path, address: str) -> None:
    """Connection tracking has as many more as were asked for, and the program prints what one of them costs."""
    pod.nft("table inet t { chain c { type filter hook output priority 0; ct state invalid counter; }; }")
    cpu = str(max(os.sched_getaffinity(0)))
    for first in (0, 200):
        assert int(pod.command(str(program), "open", address, str(first), "200", cpu)) > 0
        assert first + 200 == len(pod.command("conntrack", "-L", "-p", "udp", "-f", _FAMILIES[address]).splitlines())


def _allowed(pid: int) -> list[str]:
    """Return on which CPUs a process and its only child may run."""
    family = [str(pid), *Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    status = [Path(f"/proc/{one}/status").read_text() for one in family]
    return [text.partition("Cpus_allowed_list:")[2].split()[0] for text in status]
