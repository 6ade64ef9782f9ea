"""Traffic from pod to pod: the first packet, round trips and a stream, with both ends pinned to processors."""

import os
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.contenders import Contender, contenders
from bench.figures import percentile, table
from bench.sections import OURS, Extent, Results
from lab import programs
from lab.namespaces import Namespace
from lab.topology import Site

_PTP = "ptp + host-local"
_PROGRAM = "build/bench/traffic"
_PORT = "4242"
_ROUND_TRIPS = 10_000  # of one measurement, which takes 0.1 to 0.2 s
_TURNS = 5  # of each pair, all pairs in turn: a shared machine changes within a minute by more than they differ
_TRACKING = """table inet bench {
	chain c {
		type filter hook forward priority 0;
		ct state invalid counter
	}
}
"""
_TEXT = """
## Traffic

IPv6 from pod to pod, both ends pinned; each figure is the median of {turns} measurements, all pairs in turn (load
{load:.1f} at the start). `first` is the time from ADD's return to the first answer, p50 of 10. `one CPU` is the
round trip of a UDP packet with both ends on one CPU and blocking reads, `CPU` what it costs both ends and the kernel
between them, `TCP` the same of a byte over a TCP connection, `two CPUs` the round trip of UDP between ends that poll.
`Gbit/s` and `CPU s/GB` are of one TCP connection between two CPUs. Connection tracking is loaded for both plugins. The
loopback of one pod shows what is left without any link.
"""


@dataclass(frozen=True)
class _Pair:
    """A pod that asks, and the namespace and address of the one that answers."""

    name: str
    asks: Namespace
    answers: Namespace
    address: str

    @property
    def where(self) -> list[str]:
        return [str(self.answers.path), self.address, _PORT]


def traffic(extent: Extent, folder: Path, _: Results) -> Iterator[str]:
    """Measure first packet, round trips and throughput of IPv6 from pod to pod, on one node and across two."""
    yield _TEXT.format(turns=_TURNS, load=os.getloadavg()[0])
    names = [name for name in (OURS, _PTP) if name in extent.names]
    nodes = [name for name in names for _ in range(2)]
    with Site(nodes=len(nodes)) as site, contenders(site, folder, nodes) as rivals:
        first: dict[str, float] = {}
        pairs: list[_Pair] = []
        for here, there in zip(rivals[::2], rivals[1::2], strict=True):
            found = _pairs(site, here, there)
            with _served(found[0]) as where:
                first[found[0].name] = statistics.median(_first(site, here, where) for _ in range(10)) / 1e6
            pairs += found
        if pairs:
            pairs.append(_Pair("loopback", pairs[0].asks, pairs[0].asks, "::1"))
        measured = _measured(pairs)
    rows = [[name, first.get(name, ""), *(figure or "" for figure in figures)] for name, figures in measured.items()]
    yield from table(["", "first ms", "one CPU us", "CPU us", "TCP us", "two CPUs us", "Gbit/s", "CPU s/GB"], rows)


def _pairs(site: Site, here: Contender, there: Contender) -> list[_Pair]:
    for contender in (here, there):
        # loaded for slash80 by its firewall; for the other by a rule that changes nothing
        contender.node.namespace.nft(_TRACKING)
    (answers, address), (near, _), (far, _) = (_attached(site, contender) for contender in (here, here, there))
    return [
        _Pair(f"{here.name}, one node", near, answers, address),
        _Pair(f"{here.name}, two nodes", far, answers, address),
    ]


def _measured(pairs: Sequence[_Pair]) -> dict[str, list[float]]:
    """Return for each pair the medians of its figures."""
    taken: dict[str, list[tuple[float, ...]]] = defaultdict(list)
    for _ in range(_TURNS):
        for pair in pairs:
            taken[pair.name].append((*_round_trip(pair), *_stream(pair)))
    return {name: list(map(statistics.median, zip(*figures, strict=True))) for name, figures in taken.items()}


def _round_trip(pair: _Pair) -> tuple[float, float, float, float]:
    """Return microseconds: of a round trip on one CPU, of CPU time, and of round trips by TCP and between two CPUs."""
    one, other = _cpus()
    *blocking, cpu = _printed(pair, "rr", str(_ROUND_TRIPS), "block", one, one)
    *turns, _ = _printed(pair, "rr", str(_ROUND_TRIPS), "tcp", one, one)
    polling = [0] if one == other else _printed(pair, "rr", str(_ROUND_TRIPS), "poll", other, one)[:-1]
    middle = [percentile(took, 0.5) / 1e3 for took in (blocking, turns, polling)]
    return middle[0], cpu / len(blocking) / 1e3, middle[1], middle[2]


def _stream(pair: _Pair) -> tuple[float, float]:
    """Return gigabits a second, and seconds of CPU time for a gigabyte."""
    one, other = _cpus()
    rate, cpu = _printed(pair, "stream", "0.3", other, one)
    return rate * 8 / 1e9, cpu / 1e9


def _cpus() -> tuple[str, str]:
    """Return the last two CPUs that we may use; the same one twice where there is no other."""
    addresses_ready = sorted(os.sched_getaffinity(0))
    return str(addresses_ready[-1]), str(addresses_ready[-2:][0])


def _printed(pair: _Pair, what: str, *words: str) -> list[int]:
    printed = pair.asks.command(_PROGRAM, what, *pair.where, *words)
    return [int(line) for line in printed.split()]


@contextmanager
def _served(pair: _Pair) -> Iterator[list[str]]:
    """Answer UDP in a pod; return address and port."""
    where = [pair.address, _PORT]
    start = partial(subprocess.Popen[str], [_PROGRAM, "serve", *where], stdout=subprocess.PIPE, text=True)
    process = pair.answers.run(start)
    try:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield where
    finally:
        process.kill()
        process.wait()


def _first(site: Site, contender: Contender, where: list[str]) -> float:
    """Return the nanoseconds from the end of an ADD to the new pod's first answer."""
    ((container, pod, _),) = contender.containers([site.pod()])
    words: list[str | Path] = [_PROGRAM, "first", *where, contender.program, contender.conf, container, pod.path]
    return float(contender.node.namespace.run(programs.run, words))


def _attached(site: Site, contender: Contender) -> tuple[Namespace, str]:
    """Attach a pod and return its IPv6 address."""
    pod = site.pod()
    contender.call("ADD", contender.containers([pod]))
    (address,) = (
        str(info["local"])
        for link in pod.query("-6 addr show dev eth0 scope global")
        for info in link.get("addr_info", [])
        if "local" in info
    )
    return pod, address
