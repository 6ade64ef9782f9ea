"""The node's routing rules, by which the kernel chooses a table (ip-rule(8))."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import ip_network

from slash80.addressing.family import Address, Family, Prefix
from slash80.netlink.codec import Message, attributes
from slash80.netlink.socket import Socket
from slash80.wiring import route_messages

_RULE = struct.Struct("=BBBBBxxBI")  # struct fib_rule_hdr: family, dst_len, src_len, tos, table, action, flags
_FRA_DST, _FRA_SRC, _FRA_IIFNAME, _FRA_GOTO, _FRA_PRIORITY, _FRA_FWMARK = 1, 2, 3, 4, 6, 10
_FRA_SUPPRESS_PREFIXLEN, _FRA_TABLE, _FRA_OIFNAME, _FRA_TUN_ID, _FRA_L3MDEV, _FRA_UID_RANGE = 14, 15, 17, 12, 19, 20
_FRA_IP_PROTO, _FRA_SPORT_RANGE, _FRA_DPORT_RANGE, _FRA_DSCP, _FRA_FLOWLABEL = 22, 23, 24, 25, 26
# What a packet of ours does not have: tunnels, an l3mdev, users, protocols and ports; a rule about these is not for it.
_NOT_OURS = frozenset({_FRA_OIFNAME, _FRA_TUN_ID, _FRA_L3MDEV, _FRA_UID_RANGE})
_NOT_OURS |= {_FRA_IP_PROTO, _FRA_SPORT_RANGE, _FRA_DPORT_RANGE, _FRA_DSCP, _FRA_FLOWLABEL}
_FIB_RULE_INVERT = 2
_NEVER = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule; routes of a prefix length up to `suppressed` do not count, -1 where all do.

    `applies` is whether a packet without mark or port may meet its further conditions.
    """

    priority: int
    action: int
    table: int
    source: Prefix
    target: Prefix
    iif: str = ""
    goto: int = 0
    suppressed: int = -1
    inverted: bool = False
    applies: bool = True

    def matches(self, target: Address, source: Address | None, iif: str) -> bool:
        """Report whether the rule is for a packet; one whose source is not chosen yet has any."""
        from_there = source in self.source if source else not self.source.prefixlen
        met = self.applies and from_there and target in self.target and self.iif in {"", iif}
        return met is not self.inverted

    @property
    def text(self) -> str:
        """The rule as `ip rule` shows it."""
        words = [f"{self.priority}:", "not" if self.inverted else ""]
        words.append(f"from {self.source}" if self.source.prefixlen else "from all")
        words.append(f"to {self.target}" if self.target.prefixlen else "")
        words.append(f"iif {self.iif}" if self.iif else "")
        words.append(route_messages.RULES_DISCARDING.get(self.action, f"lookup {self.table}"))
        return " ".join(filter(None, words))


def rules(host: Socket, family: Family) -> list[Rule]:
    """Return a family's rules."""
    return [_rule(part, family) for part in host.dump(route_messages.all_rules(family))]


def _rule(part: Message, family: Family) -> Rule:
    _, target_length, source_length, tos, table, action, flags = _RULE.unpack_from(part.body)
    found = attributes(part.body, _RULE.size)
    nothing = bytes(family.bits // 8)
    suppressed = _number(found.get(_FRA_SUPPRESS_PREFIXLEN), _NEVER)
    return Rule(
        priority=_number(found.get(_FRA_PRIORITY), 0),
        action=action,
        table=_number(found.get(_FRA_TABLE), table),
        source=ip_network((found.get(_FRA_SRC, nothing), source_length)),
        target=ip_network((found.get(_FRA_DST, nothing), target_length)),
        iif=found.get(_FRA_IIFNAME, b"").rstrip(b"\0").decode("utf-8", "surrogateescape"),
        goto=_number(found.get(_FRA_GOTO), 0),
        suppressed=-1 if suppressed == _NEVER else suppressed,
        inverted=bool(flags & _FIB_RULE_INVERT),
        applies=not tos and not _number(found.get(_FRA_FWMARK), 0) and not _NOT_OURS & found.keys(),
    )


def _number(raw: bytes | None, default: int) -> int:
    return int(struct.unpack_from("=I", raw)[0]) if raw else default
