"""The table in the kernel: asking whether it is installed and whole, installing it, and changing pods' elements.

What changes it is called under the firewall's lock of the state directory. So a table that is replaced has the elements
of every pod: of those that were added before, the store, which is read under the lock too, has the records.
"""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from slash80.addressing.attachment import Attachment, State, hashed
from slash80.addressing.family import Prefix
from slash80.errors import FirewallUnusable, InvalidConfig
from slash80.firewall import apply, contents, listings, messages
from slash80.firewall.apply import Refused
from slash80.firewall.chains.forged import OWN_SETS
from slash80.firewall.chains.reverse_path import MISROUTED_SETS
from slash80.firewall.chains.trusted import TRUSTED_SETS
from slash80.firewall.elements import POD_SETS, wanted
from slash80.firewall.nf_tables import NfTables, begun, is_there, reason
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import ABOUT, POLICY_TABLE, TABLE, Chain, Element, Ruleset
from slash80.netlink.codec import Message, Response, Step

_TRIES = 3  # the nft of an ADD that was killed may still run, and the kernel counts what is only being prepared
_LONGEST_NAME = 64  # of a network, in the comment, of which nft allows 128 bytes
_NOTHING: frozenset[Element] = frozenset()
_Facts = Callable[[], NodeFacts]


@dataclass(frozen=True, slots=True)
class NodePods:
    """What is attached on the node: what this state directory's store has, and what others have, by their links."""

    recorded: Sequence[Attachment]
    others: Sequence[Attachment] = ()

    def are_in(self, network: str) -> bool:
        """Report whether a recorded pod is in this network."""
        return any(one.same_network(network) and one.state is not State.TERMINATING for one in self.recorded)


@dataclass(frozen=True, slots=True)
class TableState:
    """The table as the kernel has it: whose settings, which text, and whether every chain has its hook and rules.

    Whether it is `rewritable`: with other settings its rules are written again, and its sets stay.
    """

    fingerprint: str
    network: str
    whole: bool
    damaged: tuple[str, ...] = ()  # chains
    rewritable: bool = False


class VerifiedGeneration:
    """The generation at which the table was last found whole, and its text.

    It is shared with all processes that are forked later: one that adds an element begins a new generation, and the
    others need not look at the whole table for that. It is one word of memory, so that none ever reads half of what a
    process was killed while writing; and what is read is only a claim about a generation, which the kernel confirms. A
    second word has the generation at which the table was last looked at.
    """

    def __init__(self) -> None:
        """Start without a verified generation."""
        self._word = memoryview(mmap.mmap(-1, 16)).cast("Q")

    def of(self, ruleset: Ruleset) -> int:
        """Return the generation, or 0 when the table was not found whole with this text."""
        generation, text = divmod(self._word[0], 1 << 32)
        return generation if text == _short_fingerprint(ruleset) else 0

    @property
    def any(self) -> int:
        """The generation with whatever text."""
        return self._word[0] >> 32

    @property
    def looked_at(self) -> int:
        """The generation at which the whole table was looked at; 0 before that. All later commits were our own."""
        return self._word[1]

    def set(self, generation: int, ruleset: Ruleset) -> None:
        """Claim that the table is whole with this text; with generation 0 claim nothing."""
        self._word[1] = generation
        self._word[0] = generation << 32 | _short_fingerprint(ruleset)

    def advance(self, before: int, after: int) -> None:
        """Claim that the text is the same after a commit that changed elements only, unless `before` is outdated."""
        generation, text = divmod(self._word[0], 1 << 32)
        if generation == before:
            self._word[0] = after << 32 | text


class InstalledTable:
    """The table of the network namespace in which it is first asked for; for one thread.

    Each commit to nf_tables, to whatever table, begins a new generation, and the kernel tells its number. So while that
    is the one at which the table was found whole, it still is: one question in the place of five.
    """

    def __init__(self, verified: VerifiedGeneration | None = None) -> None:
        """Open nothing yet."""
        self.nf_tables = NfTables()  # which other tables may be asked by as well
        self._verified = verified or VerifiedGeneration()
        self._own: tuple[int, NodeFacts | None] = 0, None

    def open(self) -> None:
        """Open the socket that the first question would open; raise FirewallUnusable where the kernel has none."""
        self.nf_tables.open()

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        self.nf_tables.close()

    def ensure(
        self,
        ruleset: Ruleset,
        network: str,
        pods: Callable[[], NodePods],
        *,
        facts: _Facts = NodeFacts,
        new: frozenset[Element] = _NOTHING,
    ) -> bool:
        """Install the table unless it is there and whole, and add new elements; report whether it was installed.

        The settings are the node's. Raise InvalidConfig when they are another network's that has pods here,
        FirewallUnusable when the table cannot be installed. Where nothing is missing one exchange does it all.
        """
        for tried in range(_TRIES + 1):
            if self._add(ruleset, new) if new else self.is_whole(ruleset):
                return tried > 0
            if tried < _TRIES:
                self.install(ruleset, network, pods(), facts=facts(), new=new)
        raise FirewallUnusable(_not_kept(self.installed(ruleset)))

    def install(
        self,
        ruleset: Ruleset,
        network: str,
        pods: NodePods,
        *,
        facts: NodeFacts,
        new: frozenset[Element] = _NOTHING,
        anew: bool = False,
    ) -> None:
        """Install the table, whether or not it is there; raises what `ensure` raises.

        One that is there is changed, unless it shall be made `anew`, as when it is not known what is wrong with it.
        """
        found = self.installed(ruleset)
        self._refuse_others(found, ruleset, network, pods=pods)
        elements, comment = wanted([*pods.recorded, *pods.others]) | new, f"{ruleset.fingerprint} {_short(network)}"
        if anew or not (found and found.rewritable and self._rewrite(ruleset, comment, elements, facts=facts)):
            apply.replace(ruleset, comment, elements, facts=facts)

    def _rewrite(self, ruleset: Ruleset, comment: str, elements: frozenset[Element], *, facts: NodeFacts) -> bool:
        """Change the table that is there; report whether the kernel takes it."""
        from slash80.firewall import grace  # noqa: PLC0415 -- a call that changes no settings does not load it
        from slash80.firewall.rewriting import rewriting  # noqa: PLC0415 -- the same

        change = rewriting(self.dump, ruleset, comment, elements=elements, facts=facts)
        if change is None:
            return False
        try:
            apply.rewrite(change.script)
        except Refused:  # a set of another type, for example
            return False
        if change.removal:
            grace.wait()
            with suppress(Refused):  # see `sweep` of the policies' table; the next change does it then
                apply.clean(change.removal)
        return True

    def digest(self, ruleset: Ruleset) -> str:
        """Return the hash of what every rule says and every fixed set holds."""
        return contents.digest(self.dump, ruleset)

    def _refuse_others(self, found: TableState | None, ruleset: Ruleset, network: str, *, pods: NodePods) -> None:
        """Raise InvalidConfig when a table with other settings is there, and pods that it was made for."""
        if found is None or found.fingerprint == ruleset.fingerprint:
            return
        advice = "a node has one firewall, so give both networks the same firewall and masquerade keys"
        if pods.others:
            one = pods.others[0]
            raise InvalidConfig(
                f"the firewall settings of network '{network}' differ from those in place, and network '{one.network}' "
                f"of another stateDir has pods here, one behind {one.host_ifname}; {advice}"
            )
        if found.network != _short(network) and pods.are_in(found.network):
            raise InvalidConfig(
                f"the firewall settings of network '{network}' differ from those of network '{found.network}', which "
                f"has pods here; {advice}"
            )

    def _add(self, ruleset: Ruleset, new: frozenset[Element]) -> bool:
        """Add elements to the table if it is whole, and report whether it is.

        The kernel is told the generation at which it was, and refuses the change if that is over; so nothing is asked
        before. Where others commit at every moment, the elements are added to what was whole a moment ago.
        """
        for _ in range(_TRIES):
            generation = self._verified.of(ruleset)
            if generation and self._commit(generation, new):
                return True
            if not self.is_whole(ruleset):
                return False
        return self._commit(0, new)

    def is_whole(self, ruleset: Ruleset) -> bool:
        """Report whether the table is there, made from this text, and no chain or rule was deleted.

        The generation is read first: what changes afterwards begins another one.
        """
        now = self.nf_tables.generation()
        if now == self._verified.of(ruleset):
            return True
        found = self.installed(ruleset)
        whole = found is not None and found.whole and found.fingerprint == ruleset.fingerprint
        self._verified.set(now if whole else 0, ruleset)
        return whole

    def installed(self, ruleset: Ruleset) -> TableState | None:
        """Ask the kernel for the table and the chains that the rule set has; return None when there is no table.

        The comment alone would not do: `nft flush table` leaves it there while all rules go. So each chain must have
        its hook and its number of rules. Raise FirewallUnusable when the kernel has no nf_tables.
        """
        steps = [messages.GET_TABLE, *(messages.get_chain(chain.name) for chain in ruleset.chains)]
        return _read(ruleset, *self.nf_tables.exchange(steps))

    def elements(self) -> frozenset[Element] | None:
        """Return the pods' elements, or None where there is no table, or one of an older version without their sets."""
        return listings.elements(self.dump, POD_SETS)

    def own(self) -> NodeFacts | None:
        """Return the node's own prefixes and addresses as the table has them, or None as `elements` does.

        They are read once for each time that the whole table was looked at (0.5 ms): commits of ours that begin no such
        look change elements of pods only.
        """
        looked_at = self._verified.looked_at
        if not looked_at or self._own[0] != looked_at:
            found = listings.prefixes(self.dump, OWN_SETS)
            self._own = looked_at, None if found is None else NodeFacts.of(found)
        return self._own[1]

    def facts(self) -> NodeFacts | None:
        """Return all that the table says of the node, or None as `elements` does."""
        return listings.facts(self.dump)

    def trusted(self) -> list[Prefix]:
        """Return the trusted prefixes."""
        return listings.prefixes(self.dump, TRUSTED_SETS) or []

    def misrouted(self) -> frozenset[Element]:
        """Return links with trusted sources that came by them lately, although the link does not lead back."""
        return listings.elements(self.dump, MISROUTED_SETS) or _NOTHING

    def update(self, facts: NodeFacts) -> None:
        """Replace what the table says of the node."""
        apply.update(facts)

    def dump(self, step: Step) -> list[Message] | None:
        """Ask for a listing, for those who read it; return None where there is nothing to list."""
        return self.nf_tables.dump(step)

    def change(self, add: Collection[Element] = (), delete: Collection[Element] = ()) -> None:
        """Delete and add elements of pods, whether or not they are there; raise FirewallUnusable when that fails.

        What is deleted goes first: it may have the key in a map of one that is added, or overlap its interval.
        """
        parts = [*(((), part) for part in messages.divided(delete)), *((part, ()) for part in messages.divided(add))]
        for added, deleted in parts:
            generation = self._verified.any
            if not (generation and self._commit(generation, added, deleted)):
                self._commit(0, added, deleted)

    def _commit(self, generation: int, add: Collection[Element], delete: Collection[Element] = ()) -> bool:
        """Change elements in one transaction; report whether the generation, if one is given, was still that one."""
        steps = messages.change(generation, add, delete)
        first, *others = self.nf_tables.transact(steps)
        if first.errno == errno.ERESTART:
            return False
        for number, answer in enumerate((first, *others)):
            if answer.errno == errno.ENOENT and not add:
                return True  # no table, or none with such sets: so no element either
            if answer.errno:
                raise FirewallUnusable(f"the kernel refuses '{steps[number].what}': {reason(answer)}; run as root")
        if generation and (after := begun(others[0])):
            self._verified.advance(generation, after)
        return True

    def passed_over(self, generation: int) -> None:
        """Note that a commit of ours has begun this generation, and left this table as it was.

        Or the next ADD would look at the whole table: 3 ms.
        """
        self._verified.advance(generation - 1, generation)

    def has_policies(self) -> bool:
        """Report whether there is a table of NetworkPolicies, which drops packets of links that it does not know."""
        (answer,) = self.nf_tables.exchange([messages.GET_POLICY_TABLE])
        return is_there(answer, POLICY_TABLE)


def _read(ruleset: Ruleset, table: Response, *chains: Response) -> TableState | None:
    if not is_there(table, TABLE):
        return None
    found = messages.table_and_chain_attributes(table.messages[0].body)
    older = found.get(messages.NFTA_TABLE_USERDATA, b"")  # of a version that had the comment there
    comment = _comment(dict(zip((chain.name for chain in ruleset.chains), chains, strict=True)).get(ABOUT))
    fingerprint, _, network = (messages.comment_of(older) or comment).partition(" ")
    awake = not any(found.get(messages.NFTA_TABLE_FLAGS, b""))  # NFT_TABLE_F_DORMANT takes all hooks away
    pairs = zip(ruleset.chains, chains, strict=True)
    damaged = tuple(chain.name for chain, answer in pairs if not _is_whole(ruleset, chain, answer))
    return TableState(
        fingerprint, network, awake and not damaged, damaged, rewritable=awake and bool(comment) and not older
    )


def _comment(chain: Response | None) -> str:
    """Return the comment of the chain that has the table's; empty where that is gone."""
    if chain is None or chain.errno:
        return ""
    found = messages.table_and_chain_attributes(chain.messages[0].body)
    return messages.comment_of(found.get(messages.NFTA_CHAIN_USERDATA, b""))


def _not_kept(found: TableState | None) -> str:
    if found and found.whole and not found.fingerprint:
        return (
            f"the kernel does not keep the comment of table inet {TABLE}, as Linux 5.10 and newer do; use one of those"
        )
    msg = f"table inet {TABLE} was changed {_TRIES} times while it was put in place"
    return f"{msg}; find out what writes the firewall"


def _is_whole(ruleset: Ruleset, chain: Chain, answer: Response) -> bool:
    """Report whether a chain is there, with its hook if it has one, and used as often as the rule set says.

    How often one of the node's own rules is used says nothing.
    """
    if answer.errno:
        return False
    found = messages.table_and_chain_attributes(answer.messages[0].body)
    uses = int.from_bytes(found[messages.NFTA_CHAIN_USE], "big")  # as all numbers in nf_tables' attributes
    counted = chain.of_node or uses == ruleset.uses(chain)
    return counted and (messages.NFTA_CHAIN_HOOK in found) == bool(chain.hook)


def _short(network: str) -> str:
    return network if len(network) <= _LONGEST_NAME else hashed(network)


def _short_fingerprint(ruleset: Ruleset) -> int:
    return int(ruleset.fingerprint[:8], 16)
