"""What the firewall is told of the node itself, as the kernel and the store have it: see `firewall.node_facts`."""

from __future__ import annotations

from collections.abc import Iterable

from slash80.addressing.family import Prefix
from slash80.host.context import Host


def reconcile(host: Host, prefixes: Iterable[Prefix] = ()) -> bool:
    """Make what the table says of the node what is so; report whether it was not."""
    with host.locks.firewall_held():
        wanted, installed = host.node_facts(prefixes), host.table.facts()
        if installed is None or installed == wanted:
            return False
        host.table.update(wanted)
    return True


def cover(host: Host, prefixes: Iterable[Prefix]) -> None:
    """Have the table know that these prefixes are the node's; it takes two questions where it does."""
    installed = host.table.own()
    if installed is not None and not installed.holds(prefixes):
        reconcile(host, prefixes)
