"""Putting the node's table back between calls."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from slash80.firewall import apply
from slash80.firewall.installed import InstalledTable, TableState
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import Ruleset
from slash80.host import kept_firewall
from slash80.host.context import Host
from slash80.wiring import netns


class Expected:
    """What the kernel shows of rules that nothing has changed: of the same ones in a namespace of their own."""

    def __init__(self) -> None:
        """Compute nothing yet."""
        self._ruleset: Ruleset | None = None
        self._digest = ""

    def digest(self, ruleset: Ruleset) -> str:
        """Return the hash of the table; raise FirewallUnusable or OSError where it cannot be put there."""
        if self._ruleset != ruleset:
            namespace = netns.new()
            try:
                self._digest = netns.inside(namespace, lambda: _digest_of(ruleset))
            finally:
                os.close(namespace)
            self._ruleset = ruleset
        return self._digest


def _digest_of(ruleset: Ruleset) -> str:
    apply.replace(ruleset, "", (), facts=NodeFacts())
    table = InstalledTable()
    try:
        return table.digest(ruleset)
    finally:
        table.close()


def repair(host: Host, expected: Expected, author: Callable[[int], str] = lambda _: "") -> str:
    """Put the table back if it is not what it was; return what was found, empty when nothing was wrong.

    `author` returns the program that changed it last up to a generation, as far as the kernel tells. A table of ours
    with other settings is newer than what is kept, or another state directory's, and stays. Under the firewall's lock,
    as no ADD may change what is being read. Raises what `InstalledTable.ensure` raises.
    """
    state_dir = host.locks.state_dir
    if kept_firewall.read(state_dir) is None:
        return ""
    with host.locks.firewall_held():
        if (known := kept_firewall.read(state_dir)) is None:
            return ""
        state = host.table.installed(known.ruleset)
        if state and state.fingerprint != known.ruleset.fingerprint:
            return ""
        if state and state.whole and host.table.digest(known.ruleset) == expected.digest(known.ruleset):
            return ""
        by = author(host.table.nf_tables.generation())
        host.table.install(known.ruleset, known.network, host.pods(), facts=host.node_facts(), anew=True)
        found = f"{_what_was_wrong(state)}{f', by {by}' if by else ''}"
        kept_firewall.write(state_dir, replace(known, repairs=known.repairs + 1, last_repair=found))
    return found


def _what_was_wrong(state: TableState | None) -> str:
    if state is None:
        return "the table was deleted"
    if state.whole:
        return "a rule was replaced, or a set was changed"
    return f"rules were changed ({', '.join(state.damaged) or 'the table was switched off'})"
