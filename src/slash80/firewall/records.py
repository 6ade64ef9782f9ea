"""What the table is made of, as plain values, and the words that all chains share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import collapse_addresses, ip_address

from slash80.addressing.attachment import DYING_PREFIX, HOST_PREFIX
from slash80.addressing.family import Address, Family, Prefix, family_of
from slash80.addressing.ports import PortRange, Protocol

TABLE, POLICY_TABLE = "slash80", "slash80-policy"
# The chain of each table whose comment says what the table is. It has no rules and nothing leads there, so it can be
# deleted and made again with another comment while the table is in use, and be the last one in listings.
ABOUT = "about"
# Pods are matched by the host end's name and not by its group, which anybody may change.
PODS, TERMINATING = f'"{HOST_PREFIX}*"', f'"{DYING_PREFIX}*"'
# By number: nft looks names of protocols up in /etc/protocols, which a bare system has not.
IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_ICMPV6 = 1, 6, 58
_WORDS = {4: "ip", 6: "ip6"}
# Bytes of nft's types; in a concatenation every part is padded to whole words of four bytes.
# A type by itself has no padding.
_SIZES = {"ifname": 16, "ipv4_addr": 4, "ipv6_addr": 16, "inet_proto": 1, "inet_service": 2}
_WORD = 4
Part = str | Address | Protocol | int  # of a key: a link, an address, a protocol, a port


@dataclass(frozen=True, slots=True)
class Settings:
    """What the table depends on; the same for every network of a node.

    `trusted` are all prefixes that may open connections to pods: other clusters', this one's pods and nodes.
    `masquerade` are the families whose pods hide behind the node; `keep_source` the destinations that see them anyway.
    `services` are the ClusterIPs, in whose families everybody may reach pods through NodePorts and load balancers;
    `cluster` are the prefixes of all pods of the cluster. With `strict` a trusted prefix counts only on a link that
    leads back to it. `metadata_open` are the addresses of metadata services that pods may reach,
    `node` the ports of their own node, None for all of it. `connection_rate` is how many connections a pod opens in a
    second, and an untrusted host to pods; 0 for any number. `host_ports` is from where outside those may be reached:
    `open`, `trusted` or `none`. `expose` are ports of every pod that everybody may reach, `pods_expose` is whether a
    pod may have further ones of its own.
    """

    closed: bool
    trusted: tuple[Prefix, ...]
    echo: str
    echo_rate: int
    masquerade: tuple[Family, ...]
    keep_source: tuple[Prefix, ...]
    services: tuple[Prefix, ...] = ()
    cluster: tuple[Prefix, ...] = ()
    strict: bool = True
    metadata_open: tuple[Address, ...] = ()
    node: tuple[PortRange, ...] | None = None
    connection_rate: int = 2000
    host_ports: str = "open"
    expose: tuple[PortRange, ...] = ()
    pods_expose: bool = False


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set: the type of its keys, its properties in nft's words, and the elements that follow from the settings.

    With `data`, the type of what its keys lead to, it is a map.
    """

    name: str
    type: str
    properties: str = ""
    elements: tuple[str, ...] = ()
    data: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of one pod.

    `end` is the last key of an element of an interval set, which differs in its last part; `data` is what the key leads
    to in a map.
    """

    set_name: str
    key: tuple[Part, ...]
    end: tuple[Part, ...] = ()
    data: tuple[Part, ...] = ()

    @property
    def ifname(self) -> str:
        """The link that the key begins with; empty in a set without links."""
        return self.key[0] if isinstance(self.key[0], str) else ""

    @property
    def packed(self) -> tuple[bytes, bytes, bytes]:
        """Key, end and data as the kernel has them."""
        return _packed(self.key), _packed(self.end), _packed(self.data)

    @classmethod
    def of_packed(cls, found: NamedSet, packed: tuple[bytes, bytes, bytes]) -> Element:
        """Read an element of a set back."""
        key, end, data = packed
        return cls(found.name, _parts(found.type, key), _parts(found.type, end), _parts(found.data, data))

    def __str__(self) -> str:
        """Write the element in nft's words."""
        *before, last = map(_written, self.key)
        if self.end and self.end != self.key:
            last = f"{last}-{_written(self.end[-1])}"
        data = f" : {' . '.join(map(_written, self.data))}" if self.data else ""
        return " . ".join((*before, last)) + data


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain and its rules; `hook` is the whole declaration of a base chain, and empty for any other.

    The rules of one that is `of_node` follow from the node and not from the settings: see `firewall.node_facts`.
    """

    name: str
    rules: tuple[str, ...]
    hook: str = ""
    of_node: bool = False


@dataclass(frozen=True, slots=True)
class Ruleset:
    """A table's skeleton: its text, the hash that names it in the kernel, and the chains that must be there."""

    text: str
    fingerprint: str
    chains: tuple[Chain, ...]

    def uses(self, chain: Chain) -> int:
        """Return the kernel's use count of a chain (NFTA_CHAIN_USE): its rules, and those that jump to it."""
        leads_here = (f"goto {chain.name}", f"jump {chain.name}")
        return len(chain.rules) + sum(rule.endswith(leads_here) for other in self.chains for rule in other.rules)


def word(family: Family) -> str:
    """Return nft's word for a family's header: `ip saddr`, `ip6 saddr`."""
    return _WORDS[family.version]


def of_family(family: Family, prefixes: Iterable[Prefix]) -> tuple[Prefix, ...]:
    """Return one family's prefixes in order and without overlaps, which an interval set refuses."""
    found = collapse_addresses(prefix for prefix in prefixes if family_of(prefix) is family)  # type: ignore[type-var]
    return tuple(found)


def prefix_set(name: str, family: Family, prefixes: Iterable[Prefix]) -> NamedSet:
    """Return a set of one family's prefixes, named `name` and the family's number."""
    elements = tuple(map(str, of_family(family, prefixes)))
    return NamedSet(f"{name}{family.version}", f"ipv{family.version}_addr", "flags interval;", elements)


def _packed(parts: Sequence[Part]) -> bytes:
    if not parts:
        return b""
    found = [_bytes(part) for part in parts]
    return found[0] if len(found) == 1 else b"".join([one + bytes(-len(one) % _WORD) for one in found])


def _bytes(part: Part) -> bytes:
    match part:
        case str():
            return part.encode().ljust(_SIZES["ifname"], b"\0")
        case Protocol():
            return part.to_bytes(_SIZES["inet_proto"])
        case int():
            return part.to_bytes(_SIZES["inet_service"])
    return part.packed


def _parts(type_: str, packed: bytes) -> tuple[Part, ...]:
    """Read a key or data of this type; nothing for nothing."""
    if not packed:
        return ()
    found, start = [], 0
    for name in type_.split(" . "):
        size = _SIZES[name]
        found.append(_part(name, packed[start : start + size]))
        start += size + -size % _WORD
    return tuple(found)


def _part(type_: str, packed: bytes) -> Part:
    match type_:
        case "ifname":
            return packed.rstrip(b"\0").decode()
        case "inet_proto":
            return Protocol(packed[0])
        case "inet_service":
            return int.from_bytes(packed, "big")
    return ip_address(packed)


def _written(part: Part) -> str:
    match part:
        case str():
            return f'"{part}"'
        case int():
            return str(int(part))  # of a protocol the number, see above
    return str(part)
