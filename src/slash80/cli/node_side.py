"""What a node itself knows for `slash80 why`: its pods, and the firewall that is in force in its kernel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from itertools import product
from pathlib import Path
from typing import Any

from slash80.addressing.attachment import FIRST_IFNAME, Attachment
from slash80.addressing.family import Address, Prefix
from slash80.addressing.metadata import SERVICES4, SERVICES6
from slash80.addressing.openings import PortMapping
from slash80.addressing.ports import PortRange
from slash80.agent import files
from slash80.cli import refused_here
from slash80.cli.attachments import known
from slash80.cli.refused_here import RefusedHere
from slash80.errors import CniError
from slash80.explain.records import Member
from slash80.firewall import in_force, listings
from slash80.firewall.in_force import InForce
from slash80.firewall.installed import InstalledTable
from slash80.firewall.policies import reading
from slash80.firewall.policies.table import PolicyTable
from slash80.firewall.records import POLICY_TABLE, Settings
from slash80.policy.model import Direction, Pod
from slash80.policy.records import ACCEPT, CLOSED
from slash80.wiring import netns, return_paths, veth

_UNNAMED = "of this machine"


@dataclass(frozen=True, slots=True)
class NodeSide:
    """A node from inside. `settings` are None where the kernel did not show its table, and `problem` says why.

    `judged` is what the policies' table does with each address of a pod: ACCEPT, CLOSED or the chain that judges it.
    """

    name: str
    addresses: tuple[Address, ...] = ()
    prefixes: tuple[Prefix, ...] = ()
    pods: tuple[Pod, ...] = ()
    further: Mapping[Address, Pod] = field(default_factory=dict)
    mappings: tuple[tuple[PortMapping, Pod], ...] = ()
    settings: Settings | None = None
    exposed: tuple[tuple[Address, PortRange], ...] = ()
    judged: Mapping[tuple[Direction, Address], str] = field(default_factory=dict)
    refused: RefusedHere = field(default_factory=RefusedHere)
    problem: str = ""
    members: tuple[Member, ...] = ()


def read(state_dir: Path) -> NodeSide | None:
    """Look at this node; None where there is no state directory. Raise CniError or OSError by its store."""
    if not state_dir.exists():
        return None
    report = files.read(state_dir / files.REPORT) or {}
    name = report.get("node") or _UNNAMED
    attachments = sorted(known(state_dir), key=lambda one: (one.key.ifname != FIRST_IFNAME, one.since))
    pods = of_attachments(attachments, str(name))
    with veth.translated(), netns.socket_here() as host:
        addresses = tuple(return_paths.own_addresses(host))
    further = {
        address: pods[one.key.container_id]
        for one in attachments
        for address in one.assignment.addresses
        if address not in pods[one.key.container_id].addresses
    }
    side = NodeSide(
        str(name),
        addresses,
        pods=tuple(pods.values()),
        further=further,
        mappings=tuple(
            (mapping, pods[one.key.container_id]) for one in attachments for mapping in one.openings.mappings
        ),
        refused=refused_here.read(state_dir),
        members=tuple(_members(report.get("clusterset") or {})),
    )
    return _with_firewall(side)


def _members(clusterset: Mapping[str, Any]) -> Iterator[Member]:
    """Yield the prefixes of members, as the agent reports them."""
    for one in clusterset.get("members", ()):
        for prefix in one["prefixes"]:
            yield Member(clusterset["name"], one["id"], ip_network(prefix), one["reason"])


def of_attachments(attachments: Sequence[Attachment], node: str) -> dict[str, Pod]:
    """Return the pods by their containers' IDs, each with the addresses of its first interface."""
    found: dict[str, Pod] = {}
    for one in attachments:
        namespace, name = one.pod.namespace, one.pod.name or one.key.container_id
        pod = Pod(namespace, name, one.pod.uid, {}, one.assignment.addresses, node)
        found.setdefault(one.key.container_id, pod)
    return found


def settings_of(found: InForce) -> Settings:
    """Return the settings that the rules in the kernel follow from."""
    return Settings(
        closed=found.closed,
        trusted=found.trusted,
        echo={-1: "open", 0: "drop"}.get(found.echo, "limit"),
        echo_rate=max(found.echo, 0),
        masquerade=(),
        keep_source=(),
        services=found.services,
        strict=found.strict,
        metadata_open=_opened(found),
        node=found.node,
        host_ports=found.host_ports,
        expose=found.expose,
        pods_expose=True,
    )


def _opened(found: InForce) -> tuple[Address, ...]:
    """Return the metadata services that are open to pods."""
    services: tuple[Address, ...] = (*SERVICES4, *SERVICES6)
    return tuple(one for one in services if one not in found.metadata)


def _with_firewall(side: NodeSide) -> NodeSide:
    table = InstalledTable()
    try:
        own = table.own()
        if own is None:
            return replace(
                side, problem="this node has no table inet slash80; the next ADD or an agent puts it in place"
            )
        found = in_force.read(table.dump)
    except CniError as error:
        return replace(side, problem=f"this node's firewall cannot be looked at: {error}")
    finally:
        table.close()
    pods = [address for pod in side.pods for address in pod.addresses] + list(side.further)
    prefixes = tuple(one for one in own.own if one.prefixlen < one.max_prefixlen)
    return replace(side, prefixes=prefixes, settings=settings_of(found), exposed=found.exposed, judged=_judged(pods))


def _judged(addresses: Iterable[Address]) -> dict[tuple[Direction, Address], str]:
    """Return the verdicts of the policies' table: all is accepted where it is missing, and what it lacks is closed."""
    table = PolicyTable()
    try:
        chains = listings.chains(table.dump, POLICY_TABLE)
        listed = reading.rules(table.dump) if chains else None
    finally:
        table.close()
    otherwise = CLOSED if chains else ACCEPT
    found = dict.fromkeys(product(Direction, addresses), otherwise)
    for key, verdict in (listed.verdicts if listed else {}).items():
        found[key.direction, key.address] = verdict
    return found
