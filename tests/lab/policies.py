"""Policies that are written by hand as the firewall's rules, and put in force beside the base table of a rig's node."""

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TypeVar

from lab.rig import Attachment, Rig
from slash80.addressing.family import Address, family_of
from slash80.addressing.ports import SCTP, TCP
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.diff import diff
from slash80.policy.model import Direction
from slash80.policy.records import ACCEPT, CLOSED, Dispatched, Member, PeerSet, PolicyRules

T = TypeVar("T")
WORDS = {4: "ip", 6: "ip6"}
PEERS = {Direction.EGRESS: "daddr", Direction.INGRESS: "saddr"}


EGRESS4 = Dispatched(Direction.EGRESS, "s80one", ip_address("10.80.1.2"))
INGRESS6 = Dispatched(Direction.INGRESS, "s80one", ip_address("2001:db8::2"))
OTHER = Dispatched(Direction.EGRESS, "s80two", ip_address("10.80.1.3"))
# Sets with every kind of peers, and chains that ask them.
EVERY_KIND = PolicyRules(
    sets={
        "a4-one": PeerSet("ipv4_addr", frozenset({ip_address("10.80.1.9"), ip_address("10.80.1.8")})),
        "a6-none": PeerSet("ipv6_addr", frozenset()),
        "n4-web": PeerSet(
            "ipv4_addr . inet_proto . inet_service",
            frozenset({(ip_address("10.80.1.9"), TCP, 80), (ip_address("10.80.1.9"), SCTP, 9)}),
        ),
        "b4-some": PeerSet(
            "ipv4_addr",
            frozenset(
                {
                    (ip_address("0.0.0.0"), ip_address("0.0.0.0")),
                    (ip_address("10.0.0.0"), ip_address("10.0.0.6")),
                    (ip_address("10.0.0.8"), ip_address("255.255.255.255")),
                }
            ),
            interval=True,
        ),
        "b6-one": PeerSet(
            "ipv6_addr", frozenset({(ip_address("2001:db8::7"), ip_address("2001:db8::7"))}), interval=True
        ),
        "self4": PeerSet("ipv4_addr . ipv4_addr", frozenset({(ip_address("10.80.1.2"), ip_address("10.80.1.2"))})),
    },
    chains={
        "e4-one": (
            "tcp dport 80 ip daddr @a4-one accept",
            "ip daddr . meta l4proto . th dport @n4-web accept",
            "meta l4proto 132 ip daddr @b4-some accept",
            "goto dropped_egress",
        ),
        "i6-one": ("ip6 saddr @b6-one accept", "goto dropped_ingress"),
    },
    verdicts={EGRESS4: "e4-one", INGRESS6: "i6-one", OTHER: ACCEPT},
)
ANOTHER = replace(
    EVERY_KIND,
    sets={
        **{name: one for name, one in EVERY_KIND.sets.items() if name != "b6-one"},
        "a6-none": PeerSet("ipv6_addr", frozenset({ip_address("2001:db8::77")})),
    },
    chains={"e4-one": EVERY_KIND.chains["e4-one"], "i6-two": ("ip6 saddr @a6-none accept", "goto dropped_ingress")},
    verdicts={EGRESS4: CLOSED, INGRESS6: "i6-two"},
)
STATES = (ANOTHER, replace(ANOTHER, verdicts={**ANOTHER.verdicts, OTHER: CLOSED}), EVERY_KIND)


def write_without_end() -> None:
    """Have one state in force after the other, by plans of every kind."""
    table, applied = PolicyTable(31), EVERY_KIND
    table.replace(applied)
    for wanted in itertools.cycle(
        [ANOTHER, replace(ANOTHER, verdicts={**ANOTHER.verdicts, OTHER: CLOSED}), ANOTHER, EVERY_KIND]
    ):
        table.apply(diff(applied, wanted))
        table.sweep()
        applied = wanted


@dataclass(frozen=True)
class Judged:
    """A pod, and for each direction the peers that it may talk to, with what words; None is everybody."""

    attachment: Attachment
    egress: Mapping[str, str] | None = None
    ingress: Mapping[str, str] | None = None
    closed: bool = False

    def allowed(self, direction: Direction) -> Mapping[str, str] | None:
        """Return the peers of one direction."""
        return self.egress if direction is Direction.EGRESS else self.ingress


@dataclass
class _Building:
    sets: dict[str, PeerSet] = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    verdicts: dict[Dispatched, str] = field(default_factory=dict)


def rules(*pods: Judged) -> PolicyRules:
    """Return the rules for these pods; a peer's words are as `tcp dport 7`, and empty for all it sends."""
    built = _Building()
    for pod in pods:
        for direction in Direction:
            for address in map(ip_address, pod.attachment.addresses):
                key = Dispatched(direction, pod.attachment.host_ifname, address)
                built.verdicts[key] = _verdict(built, pod, direction, address)
    return PolicyRules(built.sets, built.chains, built.verdicts)


def _verdict(built: _Building, pod: Judged, direction: Direction, address: Address) -> str:
    allowed = pod.allowed(direction)
    if pod.closed or allowed is None:
        return CLOSED if pod.closed else ACCEPT
    family = family_of(address)
    word, version = WORDS[family.version], family.version
    found = [f"{word} saddr . {word} daddr @self{version} accept"]
    built.sets[f"self{version}"] = _joined(
        built.sets.get(f"self{version}"), f"ipv{version}_addr . ipv{version}_addr", {(address, address)}
    )
    for peer, words in sorted(allowed.items()):
        if (of_peer := ip_address(peer)).version == version:
            name = f"a{version}-{hashed(peer)}"
            built.sets[name] = PeerSet(f"ipv{version}_addr", frozenset({of_peer}))
            found.append(f"{words} {word} {PEERS[direction]} @{name} accept".strip())
    found.append(f"goto dropped_{direction}")
    name = f"{direction[0]}{version}-{hashed(*found)}"
    built.chains[name] = tuple(found)
    return name


def _joined(known: PeerSet | None, type_: str, members: Iterable[Member]) -> PeerSet:
    return PeerSet(type_, (known.members if known else frozenset()) | frozenset(members))


def hashed(*words: str) -> str:
    """Return what names a chain or a set by its content."""
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Wall:
    """The policies' table of a rig's node."""

    rig: Rig
    table: PolicyTable = field(default_factory=PolicyTable)

    def build(self, *pods: Judged) -> PolicyRules:
        """Put the rules for these pods in force, and return them."""
        built = rules(*pods)
        self.run(lambda: self.table.replace(built))
        return built

    def run(self, function: Callable[[], T]) -> T:
        """Call a function on the node."""
        return self.rig.host.run(function)

    def counted(self) -> str:
        """Return the table as nft lists it."""
        return self.rig.host.command("nft", "list", "table", "inet", "slash80-policy")


def everybody(*attachments: Attachment) -> dict[str, str]:
    """Return both addresses of pods as peers that may send what they like."""
    return {address: "" for one in attachments for address in one.addresses}
