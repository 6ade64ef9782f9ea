"""`slash80 firewall show`: the rules that are in force on this node, in words, and what they have dropped."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from slash80.addressing.metadata import SERVICES4, SERVICES6
from slash80.cli import tables
from slash80.errors import CniError, Failure
from slash80.firewall import in_force
from slash80.firewall.drops import REASONS
from slash80.firewall.in_force import Dropped, InForce
from slash80.firewall.installed import InstalledTable, TableState
from slash80.firewall.records import ABOUT, TABLE, Chain, Part, Ruleset
from slash80.host import kept_firewall
from slash80.host.kept_firewall import KeptFirewall
from slash80.host.repair import Expected

_NOTHING_KNOWN = Ruleset("", "", (Chain(ABOUT, ()),))
_NEXT = "the next ADD or an agent puts it in place"


def show(chosen: argparse.Namespace) -> int:
    """Show the table; 1 where it is missing, another program's or not as it was put in place."""
    table = InstalledTable()
    try:
        kept = kept_firewall.read(chosen.state_dir)
        state = _found(table, kept)
        changed = _changed(table, state, kept)
        document = {"table": _of_table(state, kept, changed)} | _of_rules(in_force.read(table.dump))
        document |= {"misroutedSources": sorted(_written(one.key) for one in table.misrouted())}
    except (CniError, OSError) as error:
        print(f"slash80 firewall show: {error}", file=sys.stderr)
        return 1
    finally:
        table.close()
    if chosen.output == "json":
        print(json.dumps(document, indent=2))
    else:
        _show(document)
    return 1 if changed else 0


def _found(table: InstalledTable, kept: KeptFirewall | None) -> TableState:
    """Return the table of ours; raise Failure where another program has made it, or removed it."""
    state = table.installed(kept.ruleset if kept else _NOTHING_KNOWN)
    if state is None:
        raise Failure(f"there is no table inet {TABLE}, so pods of this node are open to all; {_NEXT}")
    if not state.fingerprint:
        msg = f"table inet {TABLE} is another program's, or its comment was removed, and nothing is known of it"
        raise Failure(f"{msg}; delete it with 'nft delete table inet {TABLE}', and {_NEXT}")
    return state


def _changed(table: InstalledTable, state: TableState, kept: KeptFirewall | None) -> str:
    """Return what is wrong with the table, empty where it is as the last call has put it in place."""
    if kept is None or kept.ruleset.fingerprint != state.fingerprint:
        return "another stateDir or version of slash80 has put it in place, which has to be asked"
    if state.damaged:
        return f"chains {', '.join(state.damaged)} were changed by another program; {_NEXT} again"
    if not state.whole:
        return f"it is dormant, so nothing is dropped; {_NEXT} again"
    if table.digest(kept.ruleset) != Expected().digest(kept.ruleset):
        return f"rules or sets were changed by another program; {_NEXT} again"
    return ""


def _of_table(state: TableState, kept: KeptFirewall | None, changed: str) -> dict[str, Any]:
    return {
        "whole": not changed,
        "changed": changed,
        "network": state.network,
        "repairs": kept.repairs if kept else 0,
        "lastRepair": kept.last_repair if kept else "",
    }


def _of_rules(found: InForce) -> dict[str, Any]:
    services = (*SERVICES4, *SERVICES6)
    return {
        "age": found.age,
        "mode": "closed" if found.closed else "open",
        "trusted": list(map(str, found.trusted)),
        "trustedSource": "strict" if found.strict else "loose",
        "services": list(map(str, found.services)),
        "echo": {-1: "open", 0: "drop"}.get(found.echo, "limit"),
        "echoRate": max(found.echo, 0),
        "connectionRate": max(found.connections, 0),
        "metadata": [str(one) for one in services if one not in found.metadata],
        "metadataClosed": list(map(str, found.metadata)),
        "node": "open" if found.node is None else list(map(str, found.node)),
        "expose": list(map(str, found.expose)),
        "exposed": [f"{address} {ports}" for address, ports in found.exposed],
        "hostPorts": found.host_ports,
        "portMappings": list(map(str, found.mappings)),
        "masquerade": list(found.masquerade),
        "podAddresses": list(map(str, found.pods)),
        "dropped": [_counted(one) | {"meaning": REASONS[one.reason]} for one in found.dropped],
        "misrouted": list(map(_counted, found.misrouted)),
    }


def _written(misrouted: tuple[Part, ...]) -> str:
    link, address = misrouted
    return f"{address} by {link}"


def _counted(one: Dropped) -> dict[str, Any]:
    return {"reason": one.reason, "family": one.family, "packets": one.packets, "bytes": one.bytes}


def _show(document: dict[str, Any]) -> None:
    for name, words in _lines(document):
        print(f"{name:<11}{words}")
    rows = [
        (one["reason"], one["family"], str(one["packets"]), str(one["bytes"]), f"packets that {one['meaning']}")
        for one in document["dropped"]
        if one["packets"]
    ]
    print()
    if rows:
        tables.show(("DROPPED", "FAMILY", "PACKETS", "BYTES", "WHICH"), rows)
    else:
        print("nothing was dropped since the table was put in place")


def _lines(document: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield "table", _state(document["table"], document["age"])
    if document["mode"] == "open":
        yield "pods", "open to everybody: connections from outside are let in"
    else:
        yield "pods", "closed: hosts outside open no connection to them but as said here"
        links = " on links that lead back to them" if document["trustedSource"] == "strict" else " on every link"
        yield "trusted", _listed(document["trusted"], links)
        yield "services", _services(document["services"])
        yield "exposed", _listed([*(f"every pod {one}" for one in document["expose"]), *document["exposed"]])
        yield "pings", _pings(document)
    rate = document["connectionRate"]
    yield "rate", f"{rate} connections a second for each pod and source" if rate else "any number of connections"
    yield "metadata", _metadata(document)
    ports = ["everything"] if document["node"] == "open" else [*document["node"], "DNS and Services"]
    yield "node", f"pods reach {', '.join(ports)} on it"
    from_where = {"open": "everybody", "trusted": "trusted sources", "none": "no host outside"}[document["hostPorts"]]
    yield "host ports", f"{_listed(document['portMappings'])}; for {from_where}"
    yield "masquerade", _listed(document["masquerade"])
    yield "addresses", f"{len(document['podAddresses'])} that pods send from"
    for one in document["misrouted"]:
        if one["packets"]:
            words = f"{one['packets']} packets of {one['family']} from trusted sources by links that do not lead back"
            yield "misrouted", f"{words}: {_listed(document['misroutedSources'])} lately"


def _state(table: dict[str, Any], seconds: float | None) -> str:
    age = "more than three hours ago, or while open" if seconds is None else f"{seconds:.0f} s ago"
    said = "whole" if table["whole"] else f"NOT as it should be: {table['changed']}"
    text = f"{said}; of network {table['network']}, put in place {age}"
    if not table["repairs"]:
        return text
    return f"{text}, put back {table['repairs']} times since the boot, the last time since {table['lastRepair']}"


def _services(ranges: list[str]) -> str:
    if not ranges:
        return "lead hosts outside to no pod"
    return f"NodePorts and load balancers lead everybody to pods, ClusterIPs ({_listed(ranges)}) only who is trusted"


def _pings(document: dict[str, Any]) -> str:
    limited = f"{document['echoRate']} a second from each source outside"
    return {"open": "all", "drop": "none from outside", "limit": limited}[document["echo"]]


def _metadata(document: dict[str, Any]) -> str:
    opened = f"; open: {_listed(document['metadata'])}" if document["metadata"] else ""
    return f"pods reach DNS and NTP only at {len(document['metadataClosed'])} addresses of clouds{opened}"


def _listed(values: Iterable[str], more: str = "") -> str:
    text = ", ".join(values)
    return f"{text}{more}" if text else "none"
