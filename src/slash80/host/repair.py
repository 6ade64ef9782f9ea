"""Putting the node's table back between calls."""

from __future__ import annotations

from dataclasses import replace

from slash80.firewall.installed import TableState
from slash80.host import kept_firewall
from slash80.host.context import Host


def repair(host: Host, author: str = "") -> str:
    """Put the table back if it is not what it was; return what was found, empty when nothing was wrong.

    `author` is the program that changed it, as far as the kernel tells. A table of ours with other settings is newer
    than what is kept, or another state directory's, and stays. Raises what `InstalledTable.ensure` raises.
    """
    state_dir = host.locks.state_dir
    known = kept_firewall.read(state_dir)
    if known is None or host.table.is_whole(known.ruleset):
        return ""
    with host.locks.firewall_held():
        known = kept_firewall.read(state_dir)
        if known is None or host.table.is_whole(known.ruleset):
            return ""
        state = host.table.installed(known.ruleset)
        if state and state.fingerprint != known.ruleset.fingerprint:
            return ""
        host.table.ensure(known.ruleset, known.network, host.pods, facts=host.node_facts)
        found = f"{_what_was_wrong(state)}{f', by {author}' if author else ''}"
        kept_firewall.write(state_dir, replace(known, repairs=known.repairs + 1, last_repair=found))
    return found


def _what_was_wrong(state: TableState | None) -> str:
    if state is None:
        return "the table was deleted"
    return f"rules were changed ({', '.join(state.damaged) or 'the table was switched off'})"
