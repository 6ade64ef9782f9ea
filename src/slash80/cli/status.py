"""`slash80 status` and `slash80 prefixes`: how it stands with a node, or with all of them as the API shows them."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from slash80 import ipc
from slash80.addressing.attachment import State
from slash80.agent import files
from slash80.cli import covers, pools, tables
from slash80.cli.attachments import known
from slash80.cli.covers import CoverLine
from slash80.cli.pools import PoolLine
from slash80.cluster import kubeconfig
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.credentials import MemoryFiles
from slash80.cluster.objects.node import NODES, UNAVAILABLE, NodeSeen, listed, read_node
from slash80.desired import node_status
from slash80.desired.problems import Problem, Reason, documents, sentences
from slash80.errors import CniError, FirewallUnusable
from slash80.host import kept_firewall
from slash80.host.kept_firewall import KeptFirewall
from slash80.settings import node as nodefile

_TRUSTED = {
    "clusterPrefixes": "prefixes",
    "nodePrefixes": "addresses",
}  # what follows from Nodes where a key is missing
_NAMED = 8  # members


@dataclass(frozen=True, slots=True)
class PrefixLine:
    """A prefix of this node, where it is from, and how many pods have an address of it."""

    prefix: str
    family: str
    state: str
    source: str
    pods: int


def status(chosen: argparse.Namespace) -> int:
    """Show the node, or the cluster where this is not a node or `--cluster` is given; 1 when something is not well."""
    try:
        if chosen.cluster or not chosen.state_dir.exists():
            return _cluster(chosen)
        return _node(chosen)
    except (CniError, Refused, Unreachable, OSError) as error:
        print(f"slash80 status: {error}", file=sys.stderr)
        return 1


def prefixes(chosen: argparse.Namespace) -> int:
    """Show the prefixes of this node."""
    try:
        lines = _lines(chosen.state_dir)
    except (CniError, OSError) as error:
        print(f"slash80 prefixes: {error}", file=sys.stderr)
        return 1
    if chosen.output == "json":
        print(json.dumps([asdict(line) for line in lines], indent=2))
    else:
        _show_prefixes(lines)
    return 0


def _node(chosen: argparse.Namespace) -> int:
    state_dir: Path = chosen.state_dir
    report = files.read(state_dir / files.REPORT) or {}
    states = Counter(one.state.value for one in known(state_dir))
    serving = (state_dir / ipc.SOCKET_NAME).exists()
    kept = kept_firewall.read(state_dir)
    found, problems = pools.lines(chosen.conf_dir, state_dir)
    problems += _of_the_node(found)
    document: dict[str, Any] = {
        "node": report.get("node", ""),
        "ready": bool(report.get("ready")) and serving,
        "agent": serving,
        "attachments": {state.value: states[state.value] for state in State},
        "firewallRepairs": kept.repairs if kept else 0,
        "pools": [asdict(line) for line in found],
        "covers": [asdict(line) for line in covers.lines(state_dir)],
        "prefixes": [asdict(line) for line in _lines(state_dir)],
        "routes": report.get("routes", []),
        "kubeletsTrusted": report.get("kubeletsTrusted", []),
        "policies": report.get("policies", {}),
        "clusterset": report.get("clusterset", {}),
        "problems": report.get("problems", []) + sentences(problems),
        "problemDetails": report.get("problemDetails", []) + documents(problems),
    }
    if chosen.output == "json":
        print(json.dumps(document, indent=2))
    else:
        _show_node(document, kept, of_kubernetes=bool(report))
    return 0 if serving and (document["ready"] or not report) else 1


def _of_the_node(found: Sequence[PoolLine]) -> list[Problem]:
    """Return what keeps the node itself from its pods."""
    from slash80.cli import trusted_sources  # noqa: PLC0415 -- the node, which a cluster's status is not about
    from slash80.wiring import netns, node_sources, return_paths, veth  # noqa: PLC0415 -- the same

    with veth.translated(), netns.socket_here() as host:
        told = node_sources.problems(host, [ip_network(prefix) for line in found for prefix in line.prefixes])
        try:
            misrouted = trusted_sources.problems(partial(return_paths.answered_by, host))
        except FirewallUnusable as error:  # as for a user who is not root, who sees the rest
            message = f"the firewall cannot be looked at: {error}"
            misrouted = [Problem(Reason.FIREWALL_FAILED, "table inet slash80", message)]
    return [*(Problem(Reason.SOURCE_ADDRESS, "node", message) for message in told), *misrouted]


def _show_node(document: dict[str, Any], kept: KeptFirewall | None, *, of_kubernetes: bool) -> None:
    counted = ", ".join(f"{count} {state}" for state, count in document["attachments"].items() if count) or "none"
    print(f"agent      {'answers calls' if document['agent'] else 'does not run: calls start the engine'}")
    if of_kubernetes:
        print(f"node       {document['node']}, {'ready' if document['ready'] else 'not ready'}")
        print(f"routes     {len(document['routes'])} to other nodes")
    if missing := document["kubeletsTrusted"]:
        words = " and ".join(_TRUSTED[key] for key in missing if key in _TRUSTED)
        print(f"trust      every kubelet's word on its node's {words}: {' and '.join(missing)} not set")
    print(f"pods       {counted}")
    if (policies := document["policies"]) and policies["policies"]:
        print(f"policies   {_counted(policies)}")
    if clusterset := document["clusterset"]:
        print(f"clusterset {_of_members(clusterset)}")
    if kept and kept.repairs:
        print(f"firewall   put back {kept.repairs} times since the boot, the last time since {kept.last_repair}")
    for pool in document["pools"]:
        print(f"addresses  {PoolLine(**pool)}")
    for cover in document["covers"]:
        print(f"cover      {CoverLine(**cover)}")
    for problem in document["problems"]:
        print(f"problem    {problem}")
    if document["prefixes"]:
        print()
        _show_prefixes([PrefixLine(**line) for line in document["prefixes"]])


def _counted(policies: Mapping[str, Any]) -> str:
    """Return what came of NetworkPolicies, in words."""
    waited = f"{policies['answered']} pods waited for theirs at their start, {policies['unanswered']} too long"
    return f"{policies['policies']} in the cluster isolate {policies['isolated']} interfaces here; {waited}"


def _of_members(clusterset: Mapping[str, Any]) -> str:
    """Return in words who is trusted; of a member that is not, the reason is the problem's."""
    trusted = [one["id"] for one in clusterset["members"] if one["trusted"]]
    refused = [one["id"] for one in clusterset["members"] if not one["trusted"]]
    here = f"this cluster is {clusterset['here']}" if clusterset["here"] else "this cluster is not a member"
    return f"{clusterset['name']}: {here}; trusted: {_listed(trusted)}" + (
        f"; not: {_listed(refused)}" if refused else ""
    )


def _listed(names: Sequence[str]) -> str:
    """Return names in words: many of them are counted."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED]) or 'none'}{more}"


def _show_prefixes(lines: Sequence[PrefixLine]) -> None:
    rows = [(line.prefix, line.family, line.state, line.source, str(line.pods)) for line in lines]
    tables.show(("PREFIX", "FAMILY", "STATE", "SOURCE", "PODS"), rows)


def _lines(state_dir: Path) -> list[PrefixLine]:
    """Return the prefixes of `node.json`; empty where it does not exist."""
    if not (state_dir / nodefile.NAME).exists():
        return []
    sources = (files.read(state_dir / files.REPORT) or {}).get("sources", {})
    addresses = [address for one in known(state_dir) for address in one.assignment.addresses]
    return [
        PrefixLine(
            prefix=str(prefix),
            family=f"IPv{prefix.version}",
            state=state,
            source=sources.get(str(prefix), "-"),
            pods=sum(address in prefix for address in addresses),
        )
        for prefix, state in nodefile.parse(nodefile.read(state_dir)).prefixes
    ]


def _cluster(chosen: argparse.Namespace) -> int:
    with MemoryFiles() as held:
        found = Api(kubeconfig.load(os.environ, held)).items(NODES.path)
    nodes = [_of_cluster(read_node(one)) for one in found]
    if chosen.output == "json":
        print(json.dumps(nodes, indent=2))
    else:
        rows = [
            (
                one["node"],
                "yes" if one["ready"] else "no",
                ", ".join(one["prefixes"]) or "-",
                one["draining"] or "-",
                one["ipv4Routed"] or "-",
            )
            for one in nodes
        ]
        tables.show(("NODE", "READY", "PREFIXES", "DRAINING", "IPV4 ROUTED"), rows)
    return 0 if all(one["ready"] for one in nodes) else 1


def _of_cluster(node: NodeSeen) -> dict[str, Any]:
    nothing = ("", "", "")
    status, reason, _ = node.conditions.get(UNAVAILABLE, nothing)
    draining, _, which = node.conditions.get(node_status.DRAINING, nothing)
    routed, _, missing = node.conditions.get(node_status.ROUTED, nothing)
    try:
        published = [str(ip_network(prefix)) for prefix in listed(node.published)]
    except ValueError:
        published = []
    return {
        "node": node.name,
        "ready": status == "False" and reason == node_status.READY,
        "prefixes": published,
        "draining": which if draining == "True" else "",
        "ipv4Routed": missing if routed == "False" else "yes" if routed else "",
    }
