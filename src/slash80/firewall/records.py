"""What the table is made of, as plain values, and the words that all chains share."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import collapse_addresses, ip_address

from slash80.addressing.attachment import DYING_PREFIX, HOST_PREFIX
from slash80.addressing.family import Address, Family, Prefix, family_of

TABLE = "slash80"
# Pods are matched by the host end's name and not by its group, which anybody may change.
PODS, TERMINATING = f'"{HOST_PREFIX}*"', f'"{DYING_PREFIX}*"'
# By number: nft looks names of protocols up in /etc/protocols, which a bare system has not.
IPPROTO_TCP, IPPROTO_ICMPV6 = 6, 58
_WORDS = {4: "ip", 6: "ip6"}
_IFNAMSIZ = 16


@dataclass(frozen=True, slots=True)
class Settings:
    """What the table depends on; the same for every network of a node.

    `trusted` are all prefixes that may open connections to pods: other clusters', this one's pods and nodes.
    `masquerade` are the families whose pods hide behind the node; `keep_source` the destinations that see them anyway.
    `services` are the ClusterIPs, in whose families everybody may reach pods through NodePorts and load balancers;
    `cluster` are the prefixes of all pods of the cluster. With `strict` a trusted prefix counts only on a link that
    leads back to it.
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


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set: the type of its keys, its properties in nft's words, and the elements that follow from the settings."""

    name: str
    type: str
    properties: str = ""
    elements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Element:
    """An element of one pod, in a set whose key is `ifname . ipv4_addr` or `ifname . ipv6_addr`."""

    set_name: str
    ifname: str
    address: Address

    @property
    def key(self) -> bytes:
        """The key as the kernel has it: every part of a concatenation is padded to whole words."""
        return self.ifname.encode().ljust(_IFNAMSIZ, b"\0") + self.address.packed

    @classmethod
    def of_key(cls, set_name: str, key: bytes) -> Element:
        """Read a key back."""
        return cls(set_name, key[:_IFNAMSIZ].rstrip(b"\0").decode(), ip_address(key[_IFNAMSIZ:]))

    def __str__(self) -> str:
        """Write the key in nft's words."""
        return f'"{self.ifname}" . {self.address}'


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
