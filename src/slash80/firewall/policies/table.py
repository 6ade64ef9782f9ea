"""The policies' table in the kernel: read back, replaced, changed, and taken away.

What changes what packets meet is called under the firewall's lock of the state directory: the controller, which alone
writes sets, chains and verdicts, and ADD, which gives its own new interface a verdict before that has a link.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from itertools import islice

from slash80.errors import FirewallUnusable
from slash80.firewall import apply
from slash80.firewall import messages as nf
from slash80.firewall.apply import Refused
from slash80.firewall.nf_tables import NfTables, begun, is_there, reason
from slash80.firewall.policies import layout, messages, reading, rendering
from slash80.firewall.policies.changes import Changes
from slash80.firewall.policies.layout import TABLE
from slash80.firewall.policies.messages import Change
from slash80.firewall.records import ABOUT
from slash80.netlink.codec import Message, Response, Step
from slash80.policy.diff import apply_plan, diff
from slash80.policy.direction import Direction
from slash80.policy.records import Dispatched, Plan, PolicyRules

_WHAT = "the table of NetworkPolicies"
_STATE = [nf.GET_POLICY_TABLE, *(nf.get_chain(name, TABLE) for name in (ABOUT, layout.BASE_CHAIN, *Direction))]
_NEXT = "the table is put in place again"
_AT_ONCE = 1000  # keys that one message has room for


@dataclass(frozen=True, slots=True)
class _Named:
    """Names of chains and sets."""

    chains: AbstractSet[str] = frozenset()
    sets: AbstractSet[str] = frozenset()

    def and_also(self, other: _Named) -> _Named:
        return _Named(self.chains | other.chains, self.sets | other.sets)

    def without(self, other: _Named) -> _Named:
        return _Named(self.chains - other.chains, self.sets - other.sets)


class PolicyTable:
    """The table of the network namespace in which it is first asked for; for one thread.

    `mark` is the bit of connections that were ended; without one they go on.
    """

    def __init__(
        self, mark: int | None = None, changes: Changes | None = None, nf_tables: NfTables | None = None
    ) -> None:
        """Open nothing yet; into `changes` a monitor writes what it reads of commits, see `is_intact`.

        Whose `nf_tables` it is given may close them; else they are its own.
        """
        self._mark, self._changes, self.nf_tables = mark, changes or Changes(), nf_tables or NfTables()
        self._looked_at = 0  # the generation at which the table was last found intact
        self._left = _Named()  # that could not be deleted yet

    def close(self) -> None:
        """Close the socket; the next question opens another."""
        self.nf_tables.close()

    def read(self) -> PolicyRules | None:
        """Return what is in force, chains by their names alone.

        What was left to be deleted is part of it. None where there is no table, or one of another layout or mark, or
        that another program has emptied: `replace` it. Raise FirewallUnusable when the kernel cannot be asked.
        """
        answers = self.nf_tables.exchange(_STATE)
        if _comment(answers) != layout.comment(self._mark):
            return None
        found = reading.rules(self.dump)
        if found:
            chains, _ = reading.names(self.dump)
            self._left = _Named(chains - found.chains.keys())
        return found

    def is_intact(self, rules: PolicyRules) -> bool:
        """Report whether no other program has changed the table since these rules were put in force; `replace` it else.

        By what the monitor has read, and should it have missed something, by the first chains and the names of all
        chains and sets: 2 ms with 250 pods, or one question when nothing at all was committed since the last time.
        """
        if self._changes.of_others():
            return False
        now = self.nf_tables.generation()
        if now == self._looked_at:
            return True
        answers = self.nf_tables.exchange(_STATE)
        if _comment(answers) != layout.comment(self._mark):
            return False
        chains, sets = reading.names(self.dump)
        intact = chains - self._left.chains == rules.chains.keys() and sets - self._left.sets == rules.sets.keys()
        self._looked_at = now if intact else 0
        return intact

    def replace(self, rules: PolicyRules) -> None:
        """Put the whole table in the place of one that may be there, in one transaction; raise FirewallUnusable.

        What it had and is not wanted is left; see `sweep`.
        """
        others = self._changes.of_others()
        if not self._rewrite(rules):
            self._run(rendering.whole(rules, self._mark))
            self._left = _Named()
        self._changes.undone(others)

    def _rewrite(self, rules: PolicyRules) -> bool:
        """Write all rules of the table that is there again, if it can be read, and have its sets say what they should.

        So a packet that is under way finds its pod in the map, and its peer in the set, if the old and the new rules
        allow it. In a table that is deleted it would find neither.
        """
        table, about = self.nf_tables.exchange(_STATE[:2])
        if not (is_there(table, TABLE) and is_there(about, TABLE) and _is_of_now(table)):
            return False
        found = reading.contents(self.dump)
        if found is None:
            return False
        plan = diff(found, rules)
        try:
            self._prepare(plan)
            self._run(rendering.rewritten(apply_plan(found, _prepared(plan)), rules, self._mark))
        except Refused:  # another program's chain or set has one of the names
            return False
        self._left = _Named(plan.old_chains, plan.old_sets)
        return True

    def refusal(self, rules: PolicyRules) -> str:
        """Return why the kernel would refuse to `replace` the table by one with these rules; empty if it would not."""
        try:
            apply.would_load(rendering.whole(rules, self._mark), _WHAT)
        except FirewallUnusable as error:  # also one for which it takes too long
            return str(error)
        return ""

    def apply(self, plan: Plan) -> None:
        """Change what packets meet in one transaction; raise FirewallUnusable when it is refused, and all is as before.

        Chains and sets that are old decide nothing any more, and are left; see `sweep`.
        """
        self._prepare(plan)
        new, old = _Named(plan.new_chains.keys(), plan.new_sets.keys()), _Named(plan.old_chains, plan.old_sets)
        self._left = self._left.and_also(new)  # if what leads there is refused
        rest = replace(plan, new_sets={}, new_chains={})
        present = self._present([*plan.verdicts, *plan.forgotten])
        changes = _encoded(rest, present)
        if changes is not None:
            self._commit(changes)
        elif script := rendering.additions(rest, present):
            self._run(script)
        self._left = self._left.and_also(old).without(new)

    def _prepare(self, plan: Plan) -> None:
        """Load the sets and chains that are new, to which nothing leads yet.

        In a transaction of its own: for a packet that is under way a chain of the next generation has no rules, and it
        would pass if a map led it there.
        """
        if script := rendering.additions(_prepared(plan), {}):
            self._run(script)

    def sweep(self) -> None:
        """Delete the chains and sets that were left, to which nothing leads any more; raise FirewallUnusable.

        It needs no lock, since it changes nothing for any packet: those that may be under way in them are waited for.
        """
        if not self.left:
            return
        _wait()
        try:
            self._run(rendering.removals(self._left.chains, self._left.sets))
        except Refused:
            # Before Linux 6.2 a chain to which an element of a map led is in use until a moment after that is gone: the
            # kernel frees such elements when the transaction is over. Or a key leads there that is in no one's rules.
            self._forget_undone()
            return
        self._left = _Named()

    def _forget_undone(self) -> None:
        """Delete keys that lead to what was left: each is of an ADD that was undone before the writer saw its record.

        No ADD leads there any more, and no pod that is attached.
        """
        leading = islice(reading.leading(self.dump, self._left.chains), _AT_ONCE)
        found = dict.fromkeys(leading, "")
        self._commit(_of_verdicts(Plan(forgotten=frozenset(found)), found))

    @property
    def left(self) -> bool:
        """Whether chains or sets wait to be deleted, which `sweep` does."""
        return self._left != _Named()

    def dispatch(self, verdicts: Mapping[Dispatched, str]) -> Mapping[Dispatched, str] | None:
        """Set for each key that has none a verdict, whose chain has to be there; by netlink alone, for ADD.

        The controller may have been faster, and would not know that a key has another verdict than its own.

        Return the verdicts that were there already. None without a table of this layout, with whatever mark; one that
        lost its rules does not count. It takes two exchanges of 20 us each. Raise FirewallUnusable when the kernel
        refuses, and nothing has changed.
        """
        keys = list(verdicts)
        answers = self.nf_tables.exchange([*_STATE, *_questions(keys)])
        if not _comment(answers[: len(_STATE)]).startswith(layout.LAYOUT):
            return None
        present = _read(keys, answers[len(_STATE) :])
        missing = {key: verdict for key, verdict in verdicts.items() if key not in present}
        self._commit(_of_verdicts(Plan(verdicts=missing), {}))
        return present

    def remove(self) -> None:
        """Delete the table, if it is there; raise FirewallUnusable.

        Its rules go first, by themselves: a packet that is in them would miss its pod in a map that is deleted, and the
        rule behind that drops it.
        """
        self._run(rendering.EMPTYING)
        _wait()
        self._run(rendering.REMOVAL)
        self._left = _Named()

    def dump(self, step: Step) -> list[Message] | None:
        """Ask for a listing, for those who read it; return None where there is nothing to list."""
        return self.nf_tables.dump(step)

    def _present(self, keys: list[Dispatched]) -> dict[Dispatched, str]:
        """Return those of the keys that are in the maps, with their verdicts; 10 us each."""
        return _read(keys, self.nf_tables.exchange(_questions(keys)))

    def _commit(self, changes: list[Change]) -> None:
        """Change elements in one transaction."""
        if not changes:
            return
        steps = messages.transaction(changes)
        with self._changes.ours():
            answers = self.nf_tables.transact(steps)
            for step, answer in zip(steps, answers, strict=True):
                if answer.errno:
                    raise Refused(f"the kernel refuses '{step.what}': {reason(answer)}; {_NEXT}")
            if generation := begun(answers[1]):
                self._changes.own(generation)

    def _run(self, script: str) -> None:
        """Have nft load a script."""
        with self._changes.ours():
            before = self.nf_tables.generation()
            apply.load(script, _WHAT)
            self._changes.own_within(before, self.nf_tables.generation())


def _comment(answers: Sequence[Response]) -> str:
    """Return what the table says of itself; empty where it is missing, or its chains have lost the hook or rules."""
    if not all(is_there(answer, TABLE) for answer in answers):
        return ""
    table, about, *chains = (answer.messages[0].body for answer in answers)
    whole = messages.is_awake(table) and all(map(messages.is_whole, chains))
    return messages.comment_of_chain(about) if whole else ""


def _is_of_now(table: Response) -> bool:
    """Report whether a table's rules can be written again: it is awake, and not one with a comment of its own.

    Those older versions make, and by it would take the new rules for theirs, should one be installed again.
    """
    body = table.messages[0].body
    return messages.is_awake(body) and not messages.has_comment(body)


def _wait() -> None:
    from slash80.firewall import grace  # noqa: PLC0415 -- an ADD deletes nothing

    grace.wait()


def _prepared(plan: Plan) -> Plan:
    return Plan(new_sets=plan.new_sets, new_chains=plan.new_chains)


def _questions(keys: Iterable[Dispatched]) -> list[Step]:
    return [messages.get_element(rendering.key_of(key)) for key in keys]


def _read(keys: Iterable[Dispatched], answers: Iterable[Response]) -> dict[Dispatched, str]:
    """Return those of the keys that the kernel has found, with their verdicts."""
    found = {}
    for key, answer in zip(keys, answers, strict=True):
        for _, chain in messages.verdicts_of(layout.map_of(key), answer.messages):
            found[key] = layout.verdict_of(chain)
    return found


def _encoded(plan: Plan, present: Mapping[Dispatched, str]) -> list[Change] | None:
    """Return a plan's elements as messages have them; None where they are too many for one datagram, or ranges.

    An interval set has two elements for each range, which nft knows how to write.
    """
    changes: list[Change] = []
    for verb, members in (("add", plan.added), ("add", plan.deleted), ("delete", plan.deleted)):
        for name, changed in members.items():
            if layout.set_of(name).properties:
                return None
            changes.append((verb, name, [messages.member(rendering.element_of(name, one)) for one in changed]))
    changes += _of_verdicts(plan, present)
    size = sum(len(element) for _, _, elements in changes for element in elements)
    return [change for change in changes if change[2]] if size <= messages.LARGEST else None


def _of_verdicts(plan: Plan, present: Mapping[Dispatched, str]) -> list[Change]:
    """Return the changes of the maps: a key has to be deleted before it gets another verdict."""
    gone, new = rendering.flips(plan, present)
    deleted, added = defaultdict(list), defaultdict(list)
    for key in gone:
        element = rendering.key_of(key)
        deleted[element.set_name].append(messages.member(element))
    for key, verdict in new.items():
        element = rendering.key_of(key)
        added[element.set_name].append(messages.verdict(element, layout.chain_of(verdict)))
    return [*(("delete", *one) for one in deleted.items()), *(("add", *one) for one in added.items())]
