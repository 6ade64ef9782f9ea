"""Which prefixes of members the node has trusted, so that their connections end when it does not any more.

The file is written before `node.json`, from which alone the firewall's trust follows, and a prefix is taken out of it
after its connections were ended. So they are ended also where the agent was killed in between.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path

from slash80.addressing.family import Prefix
from slash80.agent import files
from slash80.agent.reconcilers.part import network_in_force
from slash80.firewall import cut_off
from slash80.host.compiled_network import CompiledNetwork

NAME = "trusted.json"
_lock = threading.Lock()  # of the parts of one agent, and no other process writes the file


@contextmanager
def noted(state_dir: Path, prefixes: Iterable[Prefix]) -> Iterator[None]:
    """Have these prefixes noted before the block, in which `node.json` is written."""
    with _lock:
        known = _read(state_dir)
        _write(state_dir, known | set(prefixes), before=known)
        yield


def end_others(state_dir: Path, network: CompiledNetwork) -> int:
    """End the connections of prefixes that a network does not trust any more; return how many there were.

    Its firewall has to be in place, or they would go on. Raise FirewallUnusable when they cannot be ended.
    """
    firewall = network.conf.firewall
    with _lock:
        gone = _read(state_dir) - set(firewall.trusted)
    if not gone:
        return 0
    trusted = (*firewall.trusted, *firewall.cluster_prefixes, *firewall.node_prefixes)
    ended = cut_off.end(gone, ours=(*firewall.cluster_prefixes, *network.prefixes), trusted=trusted)
    with _lock:
        known = _read(state_dir)
        found = network_in_force(state_dir)  # which may be another one by now
        again = gone & set(found.network.conf.firewall.trusted) if found else set()
        _write(state_dir, known - gone | again, before=known)
    return ended


def _read(state_dir: Path) -> set[Prefix]:
    """Return what is noted; nothing where that cannot be read, as after a boot."""
    listed = (files.read(state_dir / NAME) or {}).get("prefixes", [])
    try:
        return {ip_network(one) for one in listed}
    except (TypeError, ValueError):
        return set()


def _write(state_dir: Path, prefixes: set[Prefix], *, before: set[Prefix]) -> None:
    if prefixes != before:
        files.write(state_dir / NAME, files.text({"version": 1, "prefixes": sorted(map(str, prefixes))}))
