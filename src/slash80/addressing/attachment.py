"""An attachment: one interface of one sandbox, its names, and what is remembered of it."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from ipaddress import IPv4Address, IPv6Address

from slash80.addressing.family import Address
from slash80.addressing.mac import Mac
from slash80.addressing.openings import NO_OPENINGS, Openings

HOST_PREFIX, DYING_PREFIX = "s80", "x80"
FIRST_IFNAME = "eth0"  # as runtimes on Kubernetes name it
# The alphabet of base32 (RFC 4648) as Python counts; of the 60 bits a byte's number has 56.
_DIGITS, _BEYOND = str.maketrans("abcdefghijklmnopqrstuvwxyz234567", "0123456789abcdefghijklmnopqrstuv"), 4
_HASHED = "sha256:"  # a container ID has no colon
_COMPACT = json.JSONEncoder(separators=(",", ":"))
_ALIAS_BYTES = 255  # IFALIASZ of the kernel, less its final zero


@dataclass(frozen=True)
class Key:
    """Who an attachment belongs to, as every later call names it; all names follow from it."""

    container_id: str
    ifname: str

    @cached_property
    def _digest(self) -> bytes:
        name = f"{self.container_id}\0{self.ifname}"
        return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()

    @cached_property
    def host_ifname(self) -> str:
        """The name of the host end: `s80` and 12 characters of lower-case base32."""
        return HOST_PREFIX + base64.b32encode(self._digest[:10])[:12].decode().lower()

    @cached_property
    def container(self) -> str:
        """The container ID as a hash, which is all that a link's alias has of a long one: by it containers compare."""
        return self.container_id if self.container_id.startswith(_HASHED) else hashed(self.container_id)

    @property
    def host_mac(self) -> Mac:
        """The MAC of the host end; fixed, so that the pod's neighbour entry for its gateway never grows stale."""
        return Mac.local(int.from_bytes(self._digest[8:14], "big"))

    def __str__(self) -> str:
        """Name the attachment in messages."""
        return f"interface {self.ifname} of container {self.container_id}"


class State(StrEnum):
    """How far an attachment is.

    A dying one is no longer its pod's, and keeps its addresses until its link is gone. That one is pending no record
    says: its link does not yet say whose it is.
    """

    PENDING = "pending"
    READY = "ready"
    TERMINATING = "dying"


@dataclass(frozen=True, slots=True)
class Pod:
    """The Kubernetes pod of an attachment, as the runtime named it; empty strings outside Kubernetes."""

    namespace: str = ""
    name: str = ""
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an attachment was given; `early` is how many addresses were reused before their preferred rest."""

    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    mac: Mac | None
    early: int = 0

    @property
    def addresses(self) -> tuple[Address, ...]:
        """The addresses of all families that it has."""
        return tuple(a for a in (self.ipv4, self.ipv6) if a is not None)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is remembered of an attachment; `since` is in seconds since the node's boot.

    After the record was lost and read back from the kernel `netns`, `pod` and the MAC are not known, and long names
    come back hashed: compare by the host end's name, and networks by `same_network`.
    """

    key: Key
    network: str
    assignment: Assignment
    host_ifname: str
    netns: str = ""
    pod: Pod = Pod()
    state: State = State.READY
    since: float = 0.0
    openings: Openings = NO_OPENINGS

    @property
    def recovered(self) -> bool:
        """Whether the record was lost and read back from the kernel, which does not know whose pod it is."""
        return not self.netns and not self.pod.name

    @property
    def dying_name(self) -> str:
        """The name of the host end while it waits for its deletion."""
        return dying_name(self.host_ifname)

    def same_network(self, name: str) -> bool:
        """Report whether this attachment belongs to the network of that name."""
        return self.network in {name, hashed(name)}


def dying_name(host_ifname: str) -> str:
    """Return the name that a host end has while it waits for its deletion."""
    return DYING_PREFIX + host_ifname[len(HOST_PREFIX) :]


def host_name(dying_name: str) -> str:
    """Return the name that a host end had before it waited for its deletion."""
    return HOST_PREFIX + dying_name[len(DYING_PREFIX) :]


def lock_number_of(host_ifname: str) -> int:
    """Return which byte of the lock file is an attachment's: from its host end's name, which needs no record."""
    return int(host_ifname[len(HOST_PREFIX) :].translate(_DIGITS), 32) >> _BEYOND


def hashed(value: str) -> str:
    """Shorten a value that does not fit into a link's alias."""
    return _HASHED + hashlib.sha256(value.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def alias_of(key: Key, network: str) -> str:
    """Write who a host end belongs to as its alias: JSON of at most 255 bytes."""
    for shorten in (str, hashed):
        text = _COMPACT.encode({"v": 1, "net": shorten(network), "id": shorten(key.container_id), "ifname": key.ifname})
        if len(text) <= _ALIAS_BYTES:
            break
    return text


def read_alias(text: str) -> tuple[Key, str] | None:
    """Read an alias back as key and network; None when it is not one of ours."""
    try:
        alias = json.loads(text)
        fields = (alias["id"], alias["ifname"], alias["net"])
        known = alias["v"] == 1
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    if not known or not all(isinstance(value, str) for value in fields):
        return None
    return Key(fields[0], fields[1]), fields[2]
