"""Metrics of tables that a node may run out of."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slash80.agent.metrics.kernel import ConntrackMetrics, LinkMetrics, NeighbourMetrics
from slash80.netlink.socket import Socket
from unit.agent.metrics.scraped import collected
from unit.kernels import Kernel
from unit.wiring.test_neighbour_tables import table


def test_conntrack_is_told_with_its_limit(tmp_path: Path) -> None:
    """An alarm needs both; where the kernel tracks no connections there are no series."""
    assert {} == collected(ConntrackMetrics(tmp_path)).values
    folder = tmp_path / "sys/net/netfilter"
    folder.mkdir(parents=True)
    (folder / "nf_conntrack_count").write_text("7\n")
    (folder / "nf_conntrack_max").write_text("262144\n")
    found = collected(ConntrackMetrics(tmp_path))
    assert (7, 262144) == (found.value("conntrack_entries"), found.value("conntrack_limit"))


def test_links_that_wait_for_their_deletion_are_counted(tmp_path: Path) -> None:
    """By the name that they have then, and no other program's."""
    (tmp_path / "thread-self/net").mkdir(parents=True)
    lines = [
        "Inter-|   Receive",
        " face |bytes",
        "    lo: 1 2",
        "x80abcdefghijkl: 0 0",
        "x80bbcdefghijkl: 0",
        "x80: 0",
        "s80abcdefghijkl: 0",
    ]
    (tmp_path / "thread-self/net/dev").write_text("\n".join(lines))
    assert 2 == collected(LinkMetrics(tmp_path)).value("graveyard_links")


def test_links_of_this_kernel_can_be_counted() -> None:
    """Its file is where it is looked for."""
    assert 0 <= collected(LinkMetrics()).value("graveyard_links")
    assert Path(f"/proc/{os.getpid()}/net/dev").exists()


def test_neighbours_are_told_by_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """One table for each."""
    kernel = Kernel({"ip ntable show": [table("arp_cache", 12), table("ndisc_cache", 34)]})

    @contextmanager
    def here() -> Iterator[Socket]:
        yield kernel

    monkeypatch.setattr("slash80.agent.metrics.kernel.netns.socket_here", here)
    found = collected(NeighbourMetrics())
    assert (12, 34) == tuple(found.value("neighbours", family=family) for family in ("ipv4", "ipv6"))
    assert 1024 == found.value("neighbours_limit", family="ipv6")
