"""Packets, and what nf_tables does with them by the rules of the table, in the words that these use.

A word that is not known here fails the test: then it has to be taught what the kernel does with it.
"""

import re
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from ipaddress import IPv6Address, ip_address, ip_network

from slash80.firewall.records import Chain, Element, Settings
from slash80.firewall.ruleset import build

POD, OTHER_POD, UPLINK, DYING = "s80aaaaaaaaaaaa", "s80bbbbbbbbbbbb", "eth0", "x80aaaaaaaaaaaa"
POD_ADDRESS = {4: "10.80.1.5", 6: "2001:db8:0:1:1::5"}
STRANGER = {4: "203.0.113.9", 6: "2a00::9"}
TRUSTED = {4: "198.51.100.7", 6: "2001:db8:b::7"}
CLOSED = Settings(closed=True, trusted=(), echo="limit", echo_rate=10, masquerade=(), keep_source=())
_VERSION = {"ip": 4, "ip6": 6}
_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_HOOK = re.compile(r"type \w+ hook (\w+) priority (-\d+|\w+)(?: ([+-]) (\d+))?; policy (\w+);")
_PRIORITIES = {"raw": -300, "mangle": -150, "dstnat": -100, "filter": 0, "srcnat": 100}
_SET = re.compile(r"set (\w+) \{\s*type [^\n]*\n(?:\s*elements = \{ ([^}]*) \})?")
Exposed = tuple[str, int, int]  # an address, a protocol, a port


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet; `original` and `original_port` are where it was sent before it was translated, if it was.

    `flags` are those of TCP, and `expected` whether a helper expected the connection of the protocol that it follows.
    `way_back` is whether the route to its source leads through the link that it came by, `within_rate` whether a rate
    that is counted by source or link is not used up, `within_total` the same of one that all have together.
    """

    source: str
    target: str
    iif: str = UPLINK
    oif: str = POD
    state: str = "new"
    original: str = ""
    original_port: int = 0
    direction: str = "original"
    icmp: str = ""
    l4proto: int = 6
    dport: int = 443
    flags: str = "syn"
    expected: bool = False
    way_back: bool = True
    within_rate: bool = True
    within_total: bool = True

    @property
    def version(self) -> int:
        """The version of its header."""
        return ip_address(self.source).version


_Term = Callable[["Table", Packet, re.Match[str]], bool]


def inbound(version: int, **changes: object) -> Packet:
    """Return a packet that begins a connection from a host in the Internet to a pod."""
    return Packet(**{"source": STRANGER[version], "target": POD_ADDRESS[version], **changes})  # type: ignore[arg-type]


def outbound(version: int, **changes: object) -> Packet:
    """Return a packet that begins a connection from a pod to a host in the Internet."""
    turned = {"source": POD_ADDRESS[version], "target": STRANGER[version], "iif": POD, "oif": UPLINK}
    return Packet(**{**turned, **changes})  # type: ignore[arg-type]


class Table:
    """The table that follows from settings; `pods` are the host ends and addresses in its sets of pods.

    `own` are the prefixes and addresses in the sets of what is the node's, `local` addresses that it has. `mapped` are
    the elements of host ports, `exposed` addresses of pods with ports that are open to everybody.
    """

    def __init__(
        self,
        settings: Settings,
        pods: frozenset[tuple[str, str]] = frozenset(),
        *,
        own: Sequence[str] = (),
        local: Sequence[str] = (),
        mapped: Iterable[Element] = (),
        exposed: Sequence[Exposed] = (),
    ) -> None:
        ruleset = build(settings)
        self._chains: Mapping[str, Chain] = {chain.name: chain for chain in ruleset.chains}
        self._pods, self.local, self.exposed = pods, local, exposed
        self._mapped = {(one.set_name, one.key): one.data for one in mapped}
        self._elements: dict[str, list[str]] = {
            name: [one.partition(" timeout ")[0] for one in elements.split(", ") if one]
            for name, elements in _SET.findall(ruleset.text)
        }
        for version in (4, 6):
            self._elements[f"own{version}"] = [one for one in own if ip_network(one).version == version]

    @property
    def chains(self) -> list[Chain]:
        """All chains."""
        return list(self._chains.values())

    @property
    def rules(self) -> list[str]:
        """The rules of all chains."""
        return [rule for chain in self._chains.values() for rule in chain.rules]

    def hook(self, chain: str) -> tuple[str, int, str]:
        """Return hook, priority and policy of a base chain."""
        found = _HOOK.fullmatch(self._chains[chain].hook)
        assert found is not None
        hook, name, sign, number, policy = found.groups()
        priority = _PRIORITIES[name] if name in _PRIORITIES else int(name)
        return hook, priority + int(f"{sign or ''}{number or 0}"), policy

    def verdict(self, chain: str, packet: Packet) -> str:
        """Return what a base chain does with a packet, its policy where no rule has a verdict."""
        return self._walk(chain, packet) or self.hook(chain)[2]

    def _walk(self, chain: str, packet: Packet) -> str:
        for rule in self._chains[chain].rules:
            word, _, target = self._judge(rule, packet).partition(" ")
            if word == "dnat":
                return f"{word} {target}"
            if word == "return":
                break
            if word == "goto":
                return self._walk(target, packet)
            if found := self._walk(target, packet) if word == "jump" else word:
                return found
        return ""

    def _judge(self, rule: str, packet: Packet) -> str:
        """Return the verdict of a rule whose terms all hold for a packet."""
        rest = rule
        while rest:
            if ended := _VERDICT.fullmatch(rest):
                return ended[1]
            if translated := _DNAT.fullmatch(rest):
                return _dnat(self, packet, translated)
            found, holds = next(((m, t) for p, t in _TERMS if (m := p.match(rest))), (None, _never))
            assert found is not None, f"unknown word in '{rule}': {rest}"
            if not holds(self, packet, found):
                return ""
            rest = rest[found.end() :]
        return ""

    def has(self, what: str, address: str) -> bool:
        """Report whether an address is in a set, or in a prefix that stands in its place."""
        prefixes = self._elements[what[1:]] if what.startswith("@") else [what]
        return any(ip_address(address) in ip_network(prefix) for prefix in prefixes)

    def has_protocol(self, name: str, number: int) -> bool:
        """Report whether a protocol is in a set."""
        return str(number) in self._elements[name]

    def has_port(self, name: str, port: int) -> bool:
        """Report whether a port is in a set of ports and ranges."""
        ranges = [[int(bound) for bound in one.split("-")] for one in self._elements[name]]
        return any(one[0] <= port <= one[-1] for one in ranges)

    def mapping(self, name: str, *key: object) -> tuple[object, ...] | None:
        """Return what a map of host ports has for a key, empty for a set, or None."""
        return self._mapped.get((name, key))  # type: ignore[arg-type]

    def has_ports(self, name: str, packet: Packet) -> bool:
        """Report whether a packet's protocol and port are in a set of ranges of ports."""
        for protocol, ports in (one.split(" . ") for one in self._elements[name]):
            first, _, last = ports.partition("-")
            if packet.l4proto == int(protocol) and int(first) <= packet.dport <= int(last or first):
                return True
        return False

    def expire(self, name: str) -> None:
        """Take out of a set what has a timeout, as the kernel does when that is over."""
        self._elements[name].clear()

    def has_pod(self, name: str, address: str) -> bool:
        """Report whether the sets of pods have a host end with an address."""
        return (name, address) in self._pods


def _never(*_: object) -> bool:
    return False


def _name(_: Table, packet: Packet, found: re.Match[str]) -> bool:
    name = packet.iif if found["link"] == "iifname" else packet.oif
    return fnmatchcase(name, found["name"]) is not bool(found["no"])


def _address(table: Table, packet: Packet, found: re.Match[str]) -> bool:
    # `ip saddr` of a table of the family inet is of IPv4 packets alone, also where it is negated
    if packet.version != _VERSION[found["ip"]]:
        return False
    ends = {"saddr": packet.source, "daddr": packet.target, "ct": packet.original}
    address = ends["ct" if found["ct"] else found["side"]]
    return bool(address) and table.has(found["what"], address) is not bool(found["no"])


def _dnat(table: Table, packet: Packet, found: re.Match[str]) -> str:
    """Return the verdict of a rule that leads on by two maps, where they have the packet's key."""
    if (packet.version, packet.l4proto) != (_VERSION[found["ip"]], _PROTOCOLS[found["protocol"]]):
        return ""
    key = (
        [packet.l4proto, packet.dport]
        if not found["one"]
        else [ip_address(packet.target), packet.l4proto, packet.dport]
    )
    leads = [table.mapping(found[name], *key) for name in ("address", "port")]
    return f"dnat {leads[0][0]} {leads[1][0]}" if leads[0] and leads[1] else ""


def _translated(table: Table, packet: Packet, found: re.Match[str]) -> bool:
    if (packet.version, packet.l4proto) != (_VERSION[found["ip"]], _PROTOCOLS[found["protocol"]]):
        return False
    key = ip_address(packet.target), packet.l4proto, packet.dport, packet.original_port
    return table.mapping(found["set"], *key) is not None


def _flags(_: Table, packet: Packet, found: re.Match[str]) -> bool:
    masked = set(packet.flags.split(",")) & set(found["mask"].split(" | "))
    return packet.l4proto == socket.IPPROTO_TCP and masked == {found["value"]}


def _masked(table: Table, packet: Packet, found: re.Match[str]) -> bool:
    if packet.version != 6:
        return False
    masked = int(ip_address(packet.target)) & int(ip_address(found["mask"]))
    return table.has(f"@{found['set']}", str(IPv6Address(masked)))


def _open_everywhere(table: Table, packet: Packet, found: re.Match[str]) -> bool:
    return packet.version == _VERSION[found["ip"]] and table.has_ports(found["set"], packet)


def _exposed(table: Table, packet: Packet, found: re.Match[str]) -> bool:
    key = packet.target, packet.l4proto, packet.dport
    return packet.version == _VERSION[found["ip"]] and key in table.exposed


def _pod(table: Table, packet: Packet, found: re.Match[str]) -> bool:
    return packet.version == _VERSION[found["ip"]] and table.has_pod(packet.iif, packet.source)


def _meter(_: Table, packet: Packet, found: re.Match[str]) -> bool:
    # a key that a packet has not ends the rule, as it does in other terms
    of_packet = {"ip": packet.version == 4, "ip6": packet.version == 6, "tcp": packet.l4proto == 6}
    of_packet["udp"] = packet.l4proto == 17
    return not packet.within_rate and all(of_packet.get(part.split()[0], True) for part in found["key"].split(" . "))


_TRANSLATED = r"(?P<ip>ip6?) daddr \. meta l4proto \. (?P<protocol>\w+) dport \. ct original proto-dst @(?P<set>\w+)"
_TERMS: list[tuple[re.Pattern[str], _Term]] = [
    (re.compile(pattern + r"\s*"), holds)
    for pattern, holds in {
        r'counter(?: comment "[^"]+")?': lambda *_: True,
        r"iifname \. (?P<ip>ip6?) saddr @pods\d": _pod,
        r"oifname \. (?P<ip>ip6?) saddr @pods\d": lambda table, packet, found: (
            packet.version == _VERSION[found["ip"]] and table.has_pod(packet.oif, packet.source)
        ),
        _TRANSLATED: _translated,
        r"fib daddr type != local": lambda table, packet, _: packet.target not in table.local,
        r"(?P<ip>ip6?) (?:protocol|nexthdr) \. th dport @(?P<set>\w+)": _open_everywhere,
        r"(?P<ip>ip6?) daddr \. ip6? (?:protocol|nexthdr) \. th dport @exposed\d": _exposed,
        r'(?P<link>[io]ifname) (?P<no>!= )?"(?P<name>[^"]+)"': _name,
        r"ip6 daddr & (?P<mask>\S+) @(?P<set>\w+)": _masked,
        r"(?P<ct>ct original )?(?P<ip>ip6?) (?P<side>[sd]addr) (?P<no>!= )?(?P<what>\S+)": _address,
        r"ct state (?P<states>\S+)": lambda _, packet, found: packet.state in found["states"].split(","),
        r"ct status dnat": lambda _, packet, __: bool(packet.original),
        r"ct status expected": lambda _, packet, __: packet.expected,
        r"ct direction (?P<way>\w+)": lambda _, packet, found: packet.direction == found["way"],
        r"icmp type (?P<icmp>\S+)": lambda _, packet, found: (packet.version, packet.icmp) == (4, found["icmp"]),
        r"icmpv6 type (?P<icmp>\S+)": lambda _, packet, found: (packet.version, packet.icmp) == (6, found["icmp"]),
        r"meta l4proto (?P<no>!= )?(?P<number>\d+)": lambda _, packet, found: (
            (packet.l4proto == int(found["number"])) is not bool(found["no"])
        ),
        r"(?P<protocol>tcp|udp|sctp) dport @(?P<set>\w+)": lambda table, packet, found: (
            packet.l4proto == _PROTOCOLS[found["protocol"]] and table.has_port(found["set"], packet.dport)
        ),
        r"(?P<protocol>tcp|udp) dport (?P<port>\d+)": lambda _, packet, found: (
            (packet.l4proto, packet.dport) == (_PROTOCOLS[found["protocol"]], int(found["port"]))
        ),
        r"meta l4proto @(?P<set>\w+)": lambda table, packet, found: table.has_protocol(found["set"], packet.l4proto),
        r"tcp flags & \((?P<mask>[^)]+)\) == (?P<value>\w+)": _flags,
        r"meta nfproto ipv(?P<version>\d)": lambda _, packet, found: packet.version == int(found["version"]),
        r"meta oiftype != ether": lambda _, packet, __: packet.oif.startswith("wg"),
        r"iifname \. rt (?P<ip>ip6?) nexthop @nexthops\d": lambda *_: False,
        r"add @nexthops\d \{ iifname \. rt (?P<ip>ip6?) nexthop \}": lambda _, packet, found: (
            packet.version == _VERSION[found["ip"]]
        ),
        r"fib saddr type local": lambda table, packet, _: packet.source in table.local,
        r'fib daddr oifname != "s80\*"': lambda _, packet, __: not packet.oif.startswith("s80"),
        r"update @misrouted\d \{ iifname \. (?P<ip>ip6?) saddr \}": lambda _, packet, found: (
            packet.version == _VERSION[found["ip"]]
        ),
        r"fib saddr \. iif oif missing": lambda _, packet, __: not packet.way_back,
        r"iifname \. ip6 saddr @linklocal6": lambda *_: False,
        r"iifname @newlinklocal6": lambda _, packet, __: not packet.within_rate,
        r"add @newlinklocal6 \{ iifname \}": lambda *_: True,
        r"add @linklocal6 \{ iifname \. ip6 saddr \}": lambda *_: True,
        r"meter \w+ size \d+ \{ (?P<key>.*?) timeout \d+s limit rate over [^}]*\}": _meter,
        r"limit rate \d+/second burst \d+ packets": lambda _, packet, __: packet.within_total,
    }.items()
]
_DNAT = re.compile(
    r"dnat (?P<ip>ip6?) to (?P<one>ip6? daddr \. )?meta l4proto \. (?P<protocol>\w+) dport map @(?P<address>\w+) : "
    r"(?:ip6? daddr \. )?meta l4proto \. (?P=protocol) dport map @(?P<port>\w+)"
)
_VERDICT = re.compile(
    r'(?:counter )?(accept|drop|return|(?:goto|jump) \w+|masquerade)(?: fully-random)?(?: comment "[^"]+")?'
)
