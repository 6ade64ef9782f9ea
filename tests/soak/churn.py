"""Rounds of churn, each followed by clearing what kills have left, by the audit, and by the model's judgement."""

import re
import sys
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random

from lab import snapshot
from lab.waiting import wait_until
from soak import audit, model
from soak.model import ABSENT, Call, Effect, State
from soak.operations import Chooser, Operation, addresses
from soak.rounds import Crew, read
from soak.worker import Journal, Worker, now
from soak.world import SPOTS, TINY, World

REST = 30.0
ALLOWED = {  # what an ADD or CHECK may be refused for here, beside what the model judges
    "ADD": (
        model.REFUSED,
        "no free IPv4 address",
        "cannot be opened",
        "is not a network namespace",
        "exists already in the network namespace",
        "File exists",  # the stranger's default route in the same pod
        "is in use by",
        "so it cannot be given",
        "is gone",
        "vanished from",
        "something changed",
    ),
    "CHECK": (
        "has changed since ADD",
        "needs 'prevResult'",
        "No such device",  # the stranger's interface, which goes while it is looked at
        "cannot be opened",
        "is not a network namespace",
    ),
}
FLUSHED = ("was changed while it was put in place",)  # by nft itself, or by the nft of an ADD that was killed
LOST = ("was removed while it was in use", "check the space and the permissions")  # when the store is taken away


class Violation(Exception):
    """Something that must never be; the message tells all."""


@dataclass
class Tally:
    """What was done so far."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    operations: int = 0
    rounds: int = 0
    kills: int = 0
    deaths: int = 0
    cleared: int = 0
    pings: int = 0
    lost: int = 0


class Churn:
    """One node's life."""

    def __init__(self, world: World, seed: str, *, frozen: float, kill_every: float, losing: float) -> None:
        self._world, self._seed, self._frozen, self._kill_every = world, seed, frozen, kill_every
        self._losing = losing
        self._states: dict[str, State] = dict.fromkeys(SPOTS, ABSENT)
        self._results: dict[str, dict[str, object]] = {}  # by operation
        self._history: dict[str, deque[str]] = {name: deque(maxlen=40) for name in SPOTS}
        self._held: dict[str, tuple[float, str]] = {}  # address: when an attachment had it for certain, and which
        self._lost = 0.0
        self.tally = Tally()

    def begin(self) -> None:
        """Add and remove one pod, so that all is there that stays; keep how the node looks."""
        self._single("ADD", "c0/eth0", "begin.1")
        self._single("DEL", "c0/eth0", "begin.2")
        self._rules = audit.rules(self._world)
        self._before = _whole(self._world)

    def round(self, operations: int) -> None:
        """Churn, clear, look, judge."""
        name = f"{self._seed}.{self.tally.rounds}"
        random = Random(name)
        losing = random.random() < self._losing
        crew = Crew(self._world, name, losing=losing, frozen=self._frozen)
        crew.run(operations, self._kill_every)
        self._count(crew)
        calls = crew.calls
        if any(call.verb in {"lose", "damage"} for call in calls):
            self._lost, self.tally.lost = now(), self.tally.lost + 1
        try:
            self._judge_outcomes(calls, losing=losing)
            calls += self._clear(name, random, calls, losing=losing)
            picture = self._audit()
            self._judge_states(calls, picture, losing=losing)
            self._judge_rest(calls, picture)
            self._ping(random, picture)
        except Violation as violation:
            self._tell(calls, violation)
            raise
        if crew.leaks:
            raise Violation(f"a worker has left open: {crew.leaks}")

    def end(self) -> None:
        """Remove everything; the node must look as in the beginning."""
        for number, name in enumerate(SPOTS):
            self._single("DEL", name, f"end.{number}")
        picture = audit.take(self._world)
        left = snapshot.difference(self._before, _whole(self._world))
        # of networks that had no pod in the beginning
        left = [line for line in left if "unreachable" not in line and "/ set own" not in line]
        if picture.rows or picture.held or left:
            raise Violation(f"left in the end: {picture.rows} {picture.held} {left}")

    def _count(self, crew: Crew) -> None:
        tally = self.tally
        tally.rounds, tally.operations, tally.kills = (
            tally.rounds + 1,
            tally.operations + len(crew.calls),
            tally.kills + crew.kills,
        )
        for call in crew.calls:
            outcome = "killed" if call.end is None else "ok" if call.code == 0 else f"code {call.code}"
            tally.deaths += call.end is None
            tally.outcomes[call.verb + (" frozen" if "frozen" in call.record else ""), outcome] += 1
            if "ips" in (call.answer or ()):
                self._results[call.number] = call.answer

    def _judge_outcomes(self, calls: list[Call], *, losing: bool) -> None:
        """See that whatever failed had a reason to."""
        flushed = any(call.verb == "flush" for call in calls)
        for call in calls:
            if call.end is None or call.code == 0:
                continue
            allowed = ALLOWED.get(call.verb, ()) + (LOST if losing else ()) + (FLUSHED if flushed else ())
            if not any(words in call.message for words in allowed):
                raise Violation(f"failed without reason: {call}")

    def _clear(self, name: str, random: Random, calls: list[Call], *, losing: bool) -> list[Call]:
        """Have a DEL, an ADD or a GC clear what was killed half way, as a runtime would; give these calls."""
        renewed = {call.record["pod"] for call in calls if call.verb == "renew"} | set(self._world.mend())
        if renewed:
            wait_until(lambda: not self._dying(renewed))
        picture = audit.take(self._world)
        suspects = audit.loose(picture)
        killed = {str(call.record["spot"]) for call in calls if call.end is None and call.record.get("spot")}
        killed |= {gone for call in calls if call.end is None for gone in call.record.get("gone", ())}
        expected = killed | {spot.name for spot in SPOTS.values() if spot.pod in renewed}
        if not losing and (wrong := suspects - expected):
            raise Violation(f"kernel and store differ about {sorted(wrong)}, without any killed call")
        if losing:  # what a kill left is read back as ready, since nothing tells that it is not
            suspects |= killed
        self.tally.cleared += len(suspects)
        flushed = any(call.verb == "flush" for call in calls)
        operations = self._clearings(name, random, sorted(suspects & set(SPOTS)), losing=losing, flushed=flushed)
        if not operations:
            return []
        path = self._world.logs / "clear"
        journal = Journal(path)
        worker = Worker(self._world, journal)
        chooser = Chooser(self._world, random, name, losing=False, frozen=0)
        for operation in operations:
            worker.perform(operation, *chooser.call(operation))
        journal.close()
        cleared, _ = read(path)
        path.unlink()
        self._results |= {call.number: call.answer for call in cleared if "ips" in (call.answer or ())}
        self._judge_outcomes(cleared, losing=False)
        return cleared

    def _clearings(
        self, name: str, random: Random, suspects: list[str], *, losing: bool, flushed: bool
    ) -> list[Operation]:
        found, gone = [], []
        for number, spot in enumerate(suspects):
            kind = random.choice(["DEL", "DEL without netns"] if losing else ["DEL", "ADD", "GC"])
            if kind == "GC":
                gone.append(spot)
            else:
                found.append(Operation(f"{name}.clear.{number}", kind, spot))
        networks = {SPOTS[spot].network: spot for spot in gone}
        for network, spot in networks.items():
            mine = [other for other in gone if SPOTS[other].network == network]
            found.append(Operation(f"{name}.clear.{network}", "GC some", spot, gone=mine))
        if flushed:  # only an ADD puts the firewall back
            found += [Operation(f"{name}.clear.flush.{kind}", kind, "c0/eth0") for kind in ("DEL", "ADD")]
        return found

    def _dying(self, pods: set[int]) -> bool:
        """Whether links are left whose pod's end is in a namespace that was deleted."""
        picture = audit.take(self._world)
        hosts = {name: audit.owner(link) for name, link in picture.links.items()}
        spots = [SPOTS[owner] for owner in hosts.values() if owner in SPOTS]
        macs = {spot.name: picture.pods[spot.pod].macs.get(spot.ifname) for spot in spots if spot.pod in pods}
        return any(mac is None for mac in macs.values())

    def _audit(self) -> audit.Picture:
        picture = audit.take(self._world)
        found = audit.problems(picture, self._world)
        if (rules := audit.rules(self._world)) != self._rules:
            found.append(f"the rules changed:\n{rules}")
        if found:
            raise Violation("\n".join(found))
        return picture

    def _judge_states(self, calls: list[Call], picture: audit.Picture, *, losing: bool) -> None:
        for name, effects in model.effects_of(calls, losing=losing).items():
            self._history[name].extend(str(effect.call) for effect in sorted(effects, key=lambda effect: effect.begin))
            try:
                states = model.possible(self._states[name], effects)
            except model.Impossible as impossible:
                words = f"{name}, {self._states[name] or 'absent'} before: {impossible.what}"
                raise Violation(f"{words}; it was one of {sorted(impossible.states)}") from impossible
            self._states[name] = self._observed(name, states, picture)

    def _observed(self, name: str, states: set[State], picture: audit.Picture) -> State:
        """Return which of the possible states it is."""
        row = picture.rows.get(name)
        if row is None:
            if ABSENT not in states:
                raise Violation(f"{name} must be attached by {sorted(states)}, but is gone")
            return ABSENT
        attached = [state for state in states if state and not state.startswith(model.TERMINATING)]
        unknown = [token for token in attached if token not in self._results]
        told = [t for t in attached if t in self._results and row_matches(row, self._results[t])]
        if not told + unknown:
            raise Violation(f"{name} is attached with {row['ipv4']} {row['ipv6']}, but must be one of {sorted(states)}")
        if not told:
            # of several that were killed, the one whose answer was kept, which later calls hold against the kernel
            kept = self._world.recall(SPOTS[name])
            return kept[0] if kept and kept[0] in unknown and row_matches(row, kept[1]) else unknown[0]
        pod, spot = picture.pods[SPOTS[name].pod], SPOTS[name]
        if wrong := audit.differences(pod, spot.ifname, self._results[told[0]]):
            raise Violation(f"{name} is not what {told[0]} answered: {wrong}")
        return told[0]

    def _judge_rest(self, calls: list[Call], picture: audit.Picture) -> None:
        """See that no address went to another attachment within 30 s.

        Those that were asked for need no rest, and where all are used up others get none either.
        """
        given = [call for call in calls if call.end is not None and "ips" in (call.answer or ())]
        for call in sorted(given, key=lambda call: call.begin):
            assert call.end is not None
            for address in addresses(call.answer):
                last, owner = self._held.get(address, (-REST, ""))
                excused = call.record.get("asked") == address or SPOTS[str(call.record["spot"])].network == TINY
                if call.end - last < REST and last > self._lost and not excused:
                    raise Violation(f"{address} was held {call.end - last:.1f} s before by {owner}; given by {call}")
                self._held[address] = (call.end, f"{call.record['spot']} ({call.number})")
        names = {str(row["host_ifname"]): name for name, row in picture.rows.items()}
        self._held |= {address: (now(), names[holder]) for address, holder in picture.held.items()}
        self._held = {address: known for address, known in self._held.items() if known[0] > now() - REST}
        kept = set(self._states.values())
        self._results = {number: result for number, result in self._results.items() if number in kept}

    def _ping(self, random: Random, picture: audit.Picture) -> None:
        """See that some of those attached answer, where the answer leaves by the interface that was asked."""
        for name in random.sample(sorted(picture.rows), min(3, len(picture.rows))):
            pod = picture.pods[SPOTS[name].pod]
            for family, default in (("ipv4", "0.0.0.0/0"), ("ipv6", "::/0")):
                address = picture.rows[name][family]
                if not address or [route[0] for route in pod.routes if route[1] == default] != [SPOTS[name].ifname]:
                    continue
                self.tally.pings += 1
                said = self._world.host.command("ping", "-n", "-c1", "-W2", address, check=False)
                if "1 received" not in said:
                    raise Violation(f"{name} does not answer at {address}")

    def _single(self, kind: str, spot: str, number: str) -> None:
        path = self._world.logs / "single"
        journal = Journal(path)
        operation = Operation(number, kind, spot)
        chooser = Chooser(self._world, Random(number), number, losing=False, frozen=0)
        Worker(self._world, journal).perform(operation, *chooser.call(operation))
        journal.close()
        (call,), _ = read(path)
        path.unlink()
        if call.code:
            raise Violation(str(call))

    def _tell(self, calls: list[Call], violation: Violation) -> None:
        """Add to a violation what was last done to the attachments that it names, and what else was done meanwhile."""
        for name in SPOTS:
            if not re.search(rf"\b{name}\b", str(violation)):
                continue
            effects: list[Effect] = model.effects_of(calls, losing=True)[name]
            lines = [*self._history[name], *(str(e.call) for e in sorted(effects, key=lambda e: e.begin))]
            violation.add_note(f"{name}:\n  " + "\n  ".join(dict.fromkeys(lines[-60:])))
        for call in calls:
            if f"'{call.number}'" in str(violation):
                first, last = call.begin - 0.1, call.end or call.begin + 1
                near = [c for c in calls if c.begin < last and (c.end or c.begin + 1) > first]
                lines = [str(c) for c in sorted(near, key=lambda c: c.begin)]
                violation.add_note(f"around {call.number}:\n  " + "\n  ".join(lines))


def _whole(world: World) -> snapshot.Snapshot:
    """Picture the whole node, without the table's comment, which names the network whose ADD put it there."""
    return frozenset(line for line in snapshot.take(world.host) if " comment " not in line)


def row_matches(row: dict[str, object], result: dict[str, object]) -> bool:
    """Whether a row has the addresses of a result."""
    return {row[family] for family in ("ipv4", "ipv6") if row[family]} == set(addresses(result))


def rate(operations: int, since: float) -> float:
    """Return operations per second."""
    return operations / max(0.001, time.monotonic() - since)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
