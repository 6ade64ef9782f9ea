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

_SUBSYSTEM, _GETTABLE, _GETCHAIN, _GETGEN = 10 << 8, 1, 4, 16  # NFNL_SUBSYS_NFTABLES and its messages
_GENERIC = struct.pack("=BBH", 1, 0, 0)  # nfgenmsg: NFPROTO_INET
_TABLE_NAME, _TABLE_FLAGS, _TABLE_USERDATA = 1, 2, 6
_GEN_ID = 1
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


class Base:
    """The base table of the network namespace in which it is first asked for; for one thread.

    The kernel numbers the generations of its rules, over all tables, and each commit makes a new one. So while the
    number is the one at which the table was found whole it is whole still, which costs one short question.
    """

    def __init__(self) -> None:
        """Open nothing yet."""
        self._socket: Socket | None = None
        self._seen: tuple[int, str] | None = None

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        if self._socket:
            self._socket.close()
        self._socket = self._seen = None

    def ensure(self, ruleset: Ruleset, network: str, in_use: Callable[[str], bool]) -> bool:
        """Have the table in place and whole, whatever was there; tell whether it had to be put there.

        The settings are the node's. Raise InvalidConfig when they are another network's that is `in_use`,
        FirewallUnusable when the table cannot be put in place.
        """
        found = self.installed(ruleset)
        if found and found.whole and found.fingerprint == ruleset.fingerprint:
            return False
        if (
            found
            and found.fingerprint != ruleset.fingerprint
            and found.network != _short(network)
            and in_use(found.network)
        ):
            msg = (
                f"the firewall settings of network '{network}' differ from those of network '{found.network}', which "
                "has pods here; a node has one firewall, so give both networks the same firewall and masquerade keys"
            )
            raise InvalidConfig(msg)
        for _ in range(_TRIES):
            nft.replace(ruleset, f"{ruleset.fingerprint} {_short(network)}")
            if self.is_whole(ruleset):
                return True
        raise FirewallUnusable(_not_kept(self.installed(ruleset)))

    def is_whole(self, ruleset: Ruleset) -> bool:
        """Whether the table is there, with this text, and nobody took a chain or a rule away.

        The generation is read first: what changes after that makes another one.
        """
        now = (self._generation(), ruleset.fingerprint)
        if now == self._seen:
            return True
        found = self.installed(ruleset)
        whole = found is not None and found.whole and found.fingerprint == ruleset.fingerprint
        self._seen = now if whole else None
        return whole

    def installed(self, ruleset: Ruleset) -> Installed | None:
        """Ask the kernel for the table and the chains that the rule set has; None when there is no table.

        The comment alone would not do: `nft flush table` leaves it there while all rules go. So each chain must have
        its hook and its number of rules. Raise FirewallUnusable when the kernel has no nf_tables.
        """
        steps = [_question("table", _GETTABLE, attribute(_TABLE_NAME, _zero(TABLE)))]
        for chain in ruleset.chains:
            names = attribute(_CHAIN_TABLE, _zero(TABLE)) + attribute(_CHAIN_NAME, _zero(chain.name))
            steps.append(_question(f"chain {chain.name}", _GETCHAIN, names))
        return _read(ruleset, *self._ask(steps))

    def _generation(self) -> int:
        answer = self._ask([_GENERATION])[0]
        if answer.errno or not answer.parts:
            raise FirewallUnusable(
                f"the kernel refuses to tell the generation of its rules: {_why(answer)}; run as root"
            )
        found = attributes(answer.parts[0].body, len(_GENERIC)).get(_GEN_ID, b"")
        return int.from_bytes(found, "big")

    def _ask(self, steps: list[Step]) -> list[Answer]:
        try:
            self._socket = self._socket or Socket(NETLINK_NETFILTER)
            return self._socket.exchange(steps)
        except OSError as error:
            self.close()
            msg = f"the kernel's nf_tables cannot be asked: {error.strerror}; load or enable nf_tables on the node"
            raise FirewallUnusable(msg) from error


def _read(ruleset: Ruleset, table: Answer, *chains: Answer) -> Installed | None:
    if table.errno == errno.ENOENT:
        return None
    if table.errno:
        msg = f"the kernel refuses to show table inet {TABLE}: {_why(table)}; run as root"
        raise FirewallUnusable(msg)
    found = attributes(table.parts[0].body, len(_GENERIC))
    fingerprint, _, network = _comment(found.get(_TABLE_USERDATA, b"")).partition(" ")
    awake = not any(found.get(_TABLE_FLAGS, b""))
    whole = awake and all(map(_is_whole, ruleset.chains, chains))
    return Installed(fingerprint, network, whole)


def _not_kept(found: Installed | None) -> str:
    if found and found.whole and not found.fingerprint:
        return (
            f"the kernel does not keep the comment of table inet {TABLE}, as Linux 5.10 and newer do; use one of those"
        )
    msg = f"table inet {TABLE} was changed {_TRIES} times while it was put in place"
    return f"{msg}; find out what writes the firewall"


def _why(answer: Answer) -> str:
    return f"{errno.errorcode.get(answer.errno, 'no answer')} {answer.words}".strip()


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


_GENERATION = Step("nft monitor", message(_SUBSYSTEM | _GETGEN, NLM_F_ACK, struct.pack("=BBH", 0, 0, 0)))


def _comment(userdata: bytes) -> str:
    """Read the table's comment out of libnftnl's encoding (udata.h): type 0, length, text with a final zero."""
    if len(userdata) < 2 or userdata[0] != 0:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")


def _zero(text: str) -> bytes:
    return text.encode() + b"\0"


def _short(network: str) -> str:
    return network if len(network) <= _LONGEST_NAME else hashed(network)
