"""The base table in the kernel: asking whether it is there and whole, and putting it there."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass

from slash80.addressing.attachment import hashed
from slash80.errors import FirewallUnusable, InvalidConfig
from slash80.firewall import nft
from slash80.firewall.rules import TABLE, Chain, Ruleset
from slash80.netlink import NETLINK_NETFILTER, NLM_F_ACK, Answer, Socket, Step, attribute, attributes, message

_SUBSYSTEM, _GETTABLE, _GETCHAIN = 10 << 8, 1, 4  # NFNL_SUBSYS_NFTABLES and its messages
_GENERIC = struct.pack("=BBH", 1, 0, 0)  # nfgenmsg: NFPROTO_INET
_TABLE_NAME, _TABLE_FLAGS, _TABLE_USERDATA = 1, 2, 6
_CHAIN_TABLE, _CHAIN_NAME, _CHAIN_HOOK, _CHAIN_USE = 1, 3, 4, 6
_USE = struct.Struct(">I")
_TRIES = 3  # the nft of an ADD that was killed may still run, and the kernel counts what is only being prepared
_LONGEST_NAME = 64  # of a network, in the comment, of which nft allows 128 bytes


@dataclass(frozen=True, slots=True)
class Installed:
    """The table as the kernel has it: whose settings, which text, and whether every chain has its hook and rules."""

    fingerprint: str
    network: str
    whole: bool


def ensure(ruleset: Ruleset, network: str, in_use: Callable[[str], bool]) -> bool:
    """Have the table in place and whole, whatever was there; tell whether it had to be put there.

    The settings are the node's. Raise InvalidConfig when they are another network's that is `in_use`, FirewallUnusable
    when the table cannot be put in place.
    """
    found = installed(ruleset)
    if found and found.whole and found.fingerprint == ruleset.fingerprint:
        return False
    if (
        found
        and found.fingerprint != ruleset.fingerprint
        and found.network != _short(network)
        and in_use(found.network)
    ):
        msg = (
            f"the firewall settings of network '{network}' differ from those of network '{found.network}', which has "
            "pods here; a node has one firewall, so give both networks the same firewall and masquerade keys"
        )
        raise InvalidConfig(msg)
    for _ in range(_TRIES):
        nft.replace(ruleset, f"{ruleset.fingerprint} {_short(network)}")
        if is_whole(ruleset):
            return True
    msg = f"table inet {TABLE} was changed {_TRIES} times while it was put in place; find out what writes the firewall"
    raise FirewallUnusable(msg)


def is_whole(ruleset: Ruleset) -> bool:
    """Whether the table is there, with this text, and nobody took a chain or a rule away."""
    found = installed(ruleset)
    return found is not None and found.whole and found.fingerprint == ruleset.fingerprint


def installed(ruleset: Ruleset) -> Installed | None:
    """Ask the kernel for the table and the chains that the rule set has; None when there is no table.

    The comment alone would not do: `nft flush table` leaves it there while all rules go. So each chain must have its
    hook and its number of rules. Raise FirewallUnusable when the kernel has no nf_tables.
    """
    steps = [_question("table", _GETTABLE, attribute(_TABLE_NAME, _zero(TABLE)))]
    for chain in ruleset.chains:
        names = attribute(_CHAIN_TABLE, _zero(TABLE)) + attribute(_CHAIN_NAME, _zero(chain.name))
        steps.append(_question(f"chain {chain.name}", _GETCHAIN, names))
    try:
        with Socket(NETLINK_NETFILTER) as socket:
            table, *chains = socket.exchange(steps)
    except OSError as error:
        msg = f"the kernel's nf_tables cannot be asked: {error.strerror}; load or enable nf_tables on the node"
        raise FirewallUnusable(msg) from error
    if table.errno == errno.ENOENT:
        return None
    if table.errno:
        msg = (
            f"the kernel refuses to show table inet {TABLE}: {errno.errorcode[table.errno]} {table.words}; run as root"
        )
        raise FirewallUnusable(msg)
    found = attributes(table.parts[0].body, len(_GENERIC))
    fingerprint, _, network = _comment(found.get(_TABLE_USERDATA, b"")).partition(" ")
    awake = not any(found.get(_TABLE_FLAGS, b""))
    whole = awake and all(map(_is_whole, ruleset.chains, chains))
    return Installed(fingerprint, network, whole)


def _is_whole(chain: Chain, answer: Answer) -> bool:
    """Whether a chain is there with its hook and as many rules as it should; the kernel counts jumps to it too."""
    if answer.errno:
        return False
    found = attributes(answer.parts[0].body, len(_GENERIC))
    return (_CHAIN_HOOK in found) == bool(chain.hook) and _USE.unpack(found[_CHAIN_USE])[0] == len(
        chain.rules
    ) + chain.jumps


def _question(what: str, kind: int, names: bytes) -> Step:
    return Step(f"nft list {what} inet {TABLE}", message(_SUBSYSTEM | kind, NLM_F_ACK, _GENERIC + names))


def _comment(userdata: bytes) -> str:
    """Read the table's comment out of libnftnl's encoding (udata.h): type 0, length, text with a final zero."""
    if len(userdata) < 2 or userdata[0] != 0:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")


def _zero(text: str) -> bytes:
    return text.encode() + b"\0"


def _short(network: str) -> str:
    return network if len(network) <= _LONGEST_NAME else hashed(network)
