"""The table in the kernel: asking whether it is installed and whole, and installing it."""

from __future__ import annotations

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass

from slash80.addressing.attachment import hashed
from slash80.errors import FirewallUnusable, InvalidConfig
from slash80.firewall import apply
from slash80.firewall.records import TABLE, Chain, Ruleset
from slash80.netlink.codec import Response, Step, attribute, attributes, message
from slash80.netlink.constants import NETLINK_NETFILTER, NLM_F_ACK
from slash80.netlink.socket import Socket

# include/uapi/linux/netfilter/nf_tables.h and nfnetlink.h
NFNL_SUBSYS_NFTABLES = 10 << 8
NFT_MSG_GETTABLE, NFT_MSG_GETCHAIN, NFT_MSG_GETGEN = 1, 4, 16
NFTA_TABLE_NAME, NFTA_TABLE_FLAGS, NFTA_TABLE_USERDATA = 1, 2, 6
NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, NFTA_CHAIN_HOOK, NFTA_CHAIN_USE = 1, 3, 4, 6
NFTA_GEN_ID = 1
_NFGENMSG = struct.Struct("=BBH")  # family, version, resource
_INET = _NFGENMSG.pack(1, 0, 0)  # NFPROTO_INET
_TRIES = 3  # the nft of an ADD that was killed may still run, and the kernel counts what is only being prepared
_LONGEST_NAME = 64  # of a network, in the comment, of which nft allows 128 bytes


@dataclass(frozen=True, slots=True)
class TableState:
    """The table as the kernel has it: whose settings, which text, and whether every chain has its hook and rules."""

    fingerprint: str
    network: str
    whole: bool


class InstalledTable:
    """The table of the network namespace in which it is first asked for; for one thread.

    Each commit to nf_tables, to whatever table, begins a new generation, and the kernel tells its number. So while that
    is the one at which the table was found whole, it still is: one question of 14 us in the place of five.
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
        """Install the table unless it is there and whole; report whether that was necessary.

        The settings are the node's. Raise InvalidConfig when they are another network's that is `in_use`,
        FirewallUnusable when the table cannot be installed.
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
            raise InvalidConfig(
                f"the firewall settings of network '{network}' differ from those of network '{found.network}', which "
                "has pods here; a node has one firewall, so give both networks the same firewall and masquerade keys"
            )
        for _ in range(_TRIES):
            apply.replace(ruleset, f"{ruleset.fingerprint} {_short(network)}")
            if self.is_whole(ruleset):
                return True
        raise FirewallUnusable(_not_kept(self.installed(ruleset)))

    def is_whole(self, ruleset: Ruleset) -> bool:
        """Report whether the table is there, made from this text, and no chain or rule was deleted.

        The generation is read first: what changes afterwards begins another one.
        """
        now = (self._generation(), ruleset.fingerprint)
        if now == self._seen:
            return True
        found = self.installed(ruleset)
        whole = found is not None and found.whole and found.fingerprint == ruleset.fingerprint
        self._seen = now if whole else None
        return whole

    def installed(self, ruleset: Ruleset) -> TableState | None:
        """Ask the kernel for the table and the chains that the rule set has; return None when there is no table.

        The comment alone would not do: `nft flush table` leaves it there while all rules go. So each chain must have
        its hook and its number of rules. Raise FirewallUnusable when the kernel has no nf_tables.
        """
        steps = [_question("table", NFT_MSG_GETTABLE, attribute(NFTA_TABLE_NAME, _zero(TABLE)))]
        for chain in ruleset.chains:
            names = attribute(NFTA_CHAIN_TABLE, _zero(TABLE)) + attribute(NFTA_CHAIN_NAME, _zero(chain.name))
            steps.append(_question(f"chain {chain.name}", NFT_MSG_GETCHAIN, names))
        return _read(ruleset, *self._ask(steps))

    def _generation(self) -> int:
        answer = self._ask([_GENERATION])[0]
        if answer.errno or not answer.messages:
            raise FirewallUnusable(
                f"the kernel refuses to tell the generation of its rules: {_why(answer)}; run as root"
            )
        found = attributes(answer.messages[0].body, _NFGENMSG.size).get(NFTA_GEN_ID, b"")
        return int.from_bytes(found, "big")

    def _ask(self, steps: list[Step]) -> list[Response]:
        try:
            self._socket = self._socket or Socket(NETLINK_NETFILTER)
            return self._socket.exchange(steps)
        except OSError as error:
            self.close()
            msg = f"the kernel's nf_tables cannot be asked: {error.strerror}; load or enable nf_tables on the node"
            raise FirewallUnusable(msg) from error


def _read(ruleset: Ruleset, table: Response, *chains: Response) -> TableState | None:
    if table.errno == errno.ENOENT:
        return None
    if table.errno:
        msg = f"the kernel refuses to show table inet {TABLE}: {_why(table)}; run as root"
        raise FirewallUnusable(msg)
    found = attributes(table.messages[0].body, _NFGENMSG.size)
    fingerprint, _, network = _comment(found.get(NFTA_TABLE_USERDATA, b"")).partition(" ")
    awake = not any(found.get(NFTA_TABLE_FLAGS, b""))  # NFT_TABLE_F_DORMANT takes all hooks away
    whole = awake and all(_is_whole(ruleset, *pair) for pair in zip(ruleset.chains, chains, strict=True))
    return TableState(fingerprint, network, whole)


def _not_kept(found: TableState | None) -> str:
    if found and found.whole and not found.fingerprint:
        return (
            f"the kernel does not keep the comment of table inet {TABLE}, as Linux 5.10 and newer do; use one of those"
        )
    msg = f"table inet {TABLE} was changed {_TRIES} times while it was put in place"
    return f"{msg}; find out what writes the firewall"


def _why(answer: Response) -> str:
    return f"{errno.errorcode.get(answer.errno, 'no answer')} {answer.extack}".strip()


def _is_whole(ruleset: Ruleset, chain: Chain, answer: Response) -> bool:
    """Report whether a chain is there, with its hook if it has one, and used as often as the rule set says."""
    if answer.errno:
        return False
    found = attributes(answer.messages[0].body, _NFGENMSG.size)
    uses = int.from_bytes(found[NFTA_CHAIN_USE], "big")  # as all numbers in nf_tables' attributes
    return (NFTA_CHAIN_HOOK in found) == bool(chain.hook) and uses == ruleset.uses(chain)


def _question(what: str, kind: int, names: bytes) -> Step:
    return Step(f"nft list {what} inet {TABLE}", message(NFNL_SUBSYS_NFTABLES | kind, NLM_F_ACK, _INET + names))


_GENERATION = Step("nft monitor", message(NFNL_SUBSYS_NFTABLES | NFT_MSG_GETGEN, NLM_F_ACK, _NFGENMSG.pack(0, 0, 0)))


def _comment(userdata: bytes) -> str:
    """Read the table's comment out of libnftnl's encoding (udata.h): type 0, length, text with a final zero."""
    if len(userdata) < 2 or userdata[0] != 0:
        return ""
    return userdata[2 : 2 + userdata[1]].rstrip(b"\0").decode("utf-8", "replace")


def _zero(text: str) -> bytes:
    return text.encode() + b"\0"


def _short(network: str) -> str:
    return network if len(network) <= _LONGEST_NAME else hashed(network)
