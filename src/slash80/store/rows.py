"""How attachments and addresses lie in the tables of the store: each function is a statement or two."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

from slash80.addressing.attachment import Assignment, Attachment, Key, Pod, State
from slash80.addressing.mac import Mac
from slash80.addressing.openings import from_text, text_of

SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE attachment (
    host_ifname TEXT PRIMARY KEY, container_id TEXT NOT NULL, ifname TEXT NOT NULL, network TEXT NOT NULL,
    netns TEXT NOT NULL, pod_namespace TEXT NOT NULL, pod_name TEXT NOT NULL, pod_uid TEXT NOT NULL,
    mac TEXT, ipv4 TEXT, ipv6 TEXT, state TEXT NOT NULL, since REAL NOT NULL, openings TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX attachment_container ON attachment (container_id);
CREATE TABLE address (
    family INTEGER NOT NULL, packed BLOB NOT NULL, holder TEXT, released REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (family, packed)
) WITHOUT ROWID;
CREATE INDEX address_holder ON address (holder) WHERE holder IS NOT NULL;
CREATE INDEX address_released ON address (family, released) WHERE holder IS NULL;
"""
_COLUMNS = (
    "host_ifname, container_id, ifname, network, netns, pod_namespace, pod_name, pod_uid, mac, ipv4, ipv6, state, "
    "since, openings"
)
# Columns that a version added to tables which an earlier one has made. With a default, and without a further number of
# the schema: an agent of the version before may still work with the file, and so may one that is put back.
_ADDED = {"openings": "TEXT NOT NULL DEFAULT ''"}
_FORGET_AFTER = 3600.0  # seconds; an address rested so long is as good as never used, and rows stay few
_NEVER = 1e-9  # seconds; what was released at 0 never was


def version(connection: sqlite3.Connection) -> int:
    """Return the version of the tables; 0 where there are no tables."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def add_columns(connection: sqlite3.Connection) -> None:
    """Add to the tables of an earlier version what they lack."""
    present = {row[1] for row in connection.execute("PRAGMA table_info(attachment)")}
    for name, definition in _ADDED.items():
        if name not in present:
            connection.execute(f"ALTER TABLE attachment ADD COLUMN {name} {definition}")


def secret(connection: sqlite3.Connection) -> bytes:
    """Return the node's secret."""
    return bytes(connection.execute("SELECT value FROM setting WHERE name = 'secret'").fetchone()[0])


def of_container(connection: sqlite3.Connection, key: Key) -> list[Attachment]:
    """Return the attachments of the key's container, its own too, oldest first.

    A record that was read back from the kernel may have a hash for the container ID, from which nothing leads back.
    """
    if key.container_id == key.container:
        return [one for one in found(connection) if one.key.container == key.container]
    return found(connection, "WHERE container_id IN (?, ?)", [key.container_id, key.container])


def found(connection: sqlite3.Connection, which: str = "", values: Sequence[str] = ()) -> list[Attachment]:
    """Return the attachments for which the condition holds, oldest first."""
    query = f"SELECT {_COLUMNS} FROM attachment {which} ORDER BY since, host_ifname"  # noqa: S608 -- constants
    return list(map(_attachment, connection.execute(query, values)))


def get(connection: sqlite3.Connection, host_ifname: str) -> Attachment | None:
    """Return the attachment with that host end, or None."""
    query = f"SELECT {_COLUMNS} FROM attachment WHERE host_ifname = ?"  # noqa: S608 -- a constant
    return next(map(_attachment, connection.execute(query, [host_ifname])), None)


def mark(connection: sqlite3.Connection, host_ifname: str, state: State) -> Attachment | None:
    """Set the state of an attachment, and return that if it has openings: a usual DEL needs nothing else of it."""
    query = f"UPDATE attachment SET state = ? WHERE host_ifname = ? RETURNING {_COLUMNS}"  # noqa: S608 -- a constant
    found = connection.execute(query, [state.value, host_ifname]).fetchall()
    return next((_attachment(row) for row in found if row[-1]), None)


def opened(connection: sqlite3.Connection) -> list[Attachment]:
    """Return the attachments that have openings and are not terminating."""
    return found(connection, "WHERE openings != '' AND state != ?", [State.TERMINATING.value])


def insert(connection: sqlite3.Connection, kept: Attachment) -> None:
    """Write an attachment and take its addresses, also from a holder that lost them with a lost file."""
    given = kept.assignment
    texts = [None if value is None else str(value) for value in (given.mac, given.ipv4, given.ipv6)]
    row = [
        *(kept.host_ifname, kept.key.container_id, kept.key.ifname, kept.network, kept.netns),
        *(kept.pod.namespace, kept.pod.name, kept.pod.uid),
        *(*texts, kept.state.value, kept.since, text_of(kept.openings)),
    ]
    marks = ", ".join("?" * len(row))
    connection.execute(f"INSERT OR REPLACE INTO attachment ({_COLUMNS}) VALUES ({marks})", row)  # noqa: S608 -- constants
    if given.addresses:
        marks = ", ".join(["(?, ?, ?)"] * len(given.addresses))
        connection.execute(
            f"INSERT INTO address (family, packed, holder) VALUES {marks} "  # noqa: S608 -- the same
            "ON CONFLICT (family, packed) DO UPDATE SET holder = excluded.holder",
            [value for one in given.addresses for value in (one.version, one.packed, kept.host_ifname)],
        )


def open_ports(connection: sqlite3.Connection, changed: Attachment) -> None:
    """Write the openings of an attachment, unless it was removed or added again meanwhile."""
    query = "UPDATE attachment SET openings = ? WHERE host_ifname = ? AND since = ?"
    connection.execute(query, [text_of(changed.openings), changed.host_ifname, changed.since])


def let_go(connection: sqlite3.Connection, host_ifname: str, released: float | None) -> None:
    """Take an attachment out, and its addresses from it; they rest from `released` on, or stay as they were before."""
    connection.execute("DELETE FROM attachment WHERE host_ifname = ?", [host_ifname])
    if released is not None:
        connection.execute("UPDATE address SET released = ? WHERE holder = ?", [released, host_ifname])
    connection.execute("UPDATE address SET holder = NULL WHERE holder = ?", [host_ifname])


def forget_rested(connection: sqlite3.Connection, now: float) -> None:
    """Forget addresses that rested for long, or never were anybody's; by family, or every row would be looked at."""
    forgotten = "DELETE FROM address WHERE family IN (4, 6) AND holder IS NULL AND released < ?"
    connection.execute(forgotten, [max(now - _FORGET_AFTER, _NEVER)])


def _attachment(row: tuple[str, ...]) -> Attachment:
    host_ifname, container_id, ifname, network, netns, *pod, mac, ipv4, ipv6, state, since, openings = row
    assignment = Assignment(
        ipv4=IPv4Address(ipv4) if ipv4 else None,
        ipv6=IPv6Address(ipv6) if ipv6 else None,
        mac=Mac.parse(mac) if mac else None,
    )
    return Attachment(
        key=Key(container_id, ifname),
        network=network,
        assignment=assignment,
        host_ifname=host_ifname,
        netns=netns,
        pod=Pod(*pod),
        state=State(state),
        since=float(since),
        openings=from_text(openings),
    )
