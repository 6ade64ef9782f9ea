"""`slash80 attachments`: what the store knows, which is also what is being made and what is being removed."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from slash80.addressing.attachment import Attachment, State
from slash80.addressing.openings import Openings, PortMapping
from slash80.cli import tables
from slash80.errors import CniError

_COLUMNS = ("POD", "IFNAME", "IPV4", "IPV6", "STATE", "SINCE", "HOST END", "NETWORK", "CONTAINER", "EXPOSE")
_SHORT_ID = 13  # characters of a container's ID, as crictl shows them


def show(chosen: argparse.Namespace) -> int:
    """Print the attachments of a state directory; none where there is no store yet."""
    from slash80.host.context import boottime  # noqa: PLC0415 -- the store, which not every command needs

    try:
        found = known(chosen.state_dir)
    except (CniError, OSError) as error:
        print(f"slash80 attachments: {error}", file=sys.stderr)
        return 1
    if chosen.output == "json":
        print(json.dumps([document(attachment) for attachment in found], indent=2))
    else:
        tables.show(_COLUMNS, [_row(attachment, boottime()) for attachment in found])
    return 0


def known(state_dir: Path) -> list[Attachment]:
    """Return the attachments of a state directory; looking must not make anything."""
    from slash80.host.context import store_in  # noqa: PLC0415 -- the same
    from slash80.wiring import netns, recover  # noqa: PLC0415 -- the same

    if not (state_dir / "state.db").exists():
        return []
    found = store_in(state_dir, timeout=5).attachments()
    with netns.socket_here() as host:
        begun = {link.name for link in recover.host_ends(host) if not link.alias}
    return [replace(one, state=State.PENDING) if one.host_ifname in begun else one for one in found]


def document(attachment: Attachment) -> dict[str, Any]:
    """Return an attachment as programs get it; `since` is in seconds since the node's boot."""
    given, pod = attachment.assignment, attachment.pod
    return {
        "network": attachment.network,
        "containerID": attachment.key.container_id,
        "ifname": attachment.key.ifname,
        "netns": attachment.netns,
        "hostIfname": attachment.host_ifname,
        "mac": str(given.mac or ""),
        "ipv4": str(given.ipv4 or ""),
        "ipv6": str(given.ipv6 or ""),
        "expose": {"ports": list(map(str, attachment.openings.expose)), "allowed": attachment.openings.expose_allowed},
        "pod": {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
        "portMappings": [_mapping(one) for one in attachment.openings.mappings],
        "state": attachment.state.value,
        "since": attachment.since,
    }


def _mapping(mapping: PortMapping) -> dict[str, Any]:
    """Return a mapping as CNI has it; the unspecified address is every one of the node's of its family."""
    return {
        "hostIP": str(mapping.host_ip),
        "hostPort": mapping.host_port,
        "containerPort": mapping.container_port,
        "protocol": str(mapping.protocol),
    }


def _row(attachment: Attachment, now: float) -> tuple[str, ...]:
    given, pod = attachment.assignment, attachment.pod
    return (
        f"{pod.namespace}/{pod.name}" if pod.name else "-",
        attachment.key.ifname,
        str(given.ipv4 or "-"),
        str(given.ipv6 or "-"),
        attachment.state.value,
        f"{max(0, now - attachment.since):.0f}s",
        attachment.host_ifname,
        attachment.network,
        attachment.key.container_id[:_SHORT_ID],
        _exposed(attachment.openings),
    )


def _exposed(openings: Openings) -> str:
    """Return the ports that a pod asks to be open to everybody, and whether it may not."""
    listed = ",".join(map(str, openings.expose))
    return f"{listed}{'' if openings.expose_allowed else ' (closed)'}" if listed else "-"
