"""All metrics of a controller together: what operators are promised, and nothing that they are not told of."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slash80.agent.call_counts import CallCounts
from slash80.agent.metrics import controller
from slash80.agent.metrics.firewall import FirewallDrops
from slash80.netlink.socket import Socket
from slash80.settings.cluster import ClusterSettings
from unit.agent.metrics.scraped import Scrape, read
from unit.agent.metrics.test_firewall import FakeTables
from unit.agent.reconcilers.fakes import Setting
from unit.kernels import Kernel
from unit.wiring.test_neighbour_tables import table

PROMISED = """
    addresses address_early_reuse graveyard_links repairs firewall_drops firewall_reasserts prefix_info
    prefixes_rejected watch_age_seconds neighbours build_info conntrack_entries conntrack_limit cni_requests
    cni_request_seconds
"""
ROW = re.compile(r"^\| (.*?) \|", re.MULTILINE)


@pytest.fixture
def scrape(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> Scrape:
    """Return what a scraper reads of a node that has just started."""
    kernel = Kernel({"ip ntable show": [table("arp_cache", 12), table("ndisc_cache", 34)]})

    @contextmanager
    def here() -> Iterator[Socket]:
        yield kernel

    monkeypatch.setattr("slash80.agent.metrics.kernel.netns.socket_here", here)
    monkeypatch.setattr(controller, "FirewallDrops", lambda: FirewallDrops(FakeTables))
    setting.cluster.follow(ClusterSettings())
    found = controller.exposition(setting.around, setting.gate, setting.enforcement(), calls=CallCounts(1))
    status, _, text = found.answer("")
    assert 200 == status
    return read(text.decode())


def test_all_collectors_succeed_on_a_node_that_has_just_started(scrape: Scrape) -> None:
    """Nothing is known yet, and that fails nowhere; all metrics that were promised are there, with their types."""
    assert {1.0} == {*scrape.series("collector_success").values()}
    names = {name.removeprefix("slash80_") for name in scrape.types}
    assert {*PROMISED.split()} <= names
    counters = ("address_early_reuse", "repairs", "firewall_drops", "firewall_reasserts", "prefixes_rejected")
    assert {"counter"} == {scrape.types[f"slash80_{name}"] for name in counters}


def test_every_metric_is_explained_to_operators(scrape: Scrape) -> None:
    """The table in docs/operations.md has all of them."""
    page = (Path(__file__).parents[4] / "docs/operations.md").read_text()
    explained = {
        re.sub(r"_total$", "", name) for row in ROW.findall(page) for name in re.findall(r"slash80_[a-z_]+", row)
    }
    assert {name for name in scrape.types if name.startswith("slash80_")} <= explained


def test_the_process_is_seen(scrape: Scrape) -> None:
    """Memory and descriptors of the agent's main process, as of any program."""
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds"} <= scrape.types.keys()
