"""Which prefixes a node hands addresses out of: for each family, those of the first source that has any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slash80.addressing.family import FAMILIES, Family, Prefix, family_of
from slash80.desired.problems import Problem, Reason
from slash80.desired.spans import span
from slash80.settings import values

_MOST = 192  # prefixes of a family; node.json has room for 64 more, which drain


@dataclass(frozen=True, slots=True)
class PrefixReport:
    """What a source of prefixes said when it was last asked.

    `problem` is why it could not be asked or understood. A source that is asked in the background, as a cloud's API is,
    then still reports the prefixes that it had, which are `age` seconds old: a node must not lose its prefixes because
    a metadata service is away.
    """

    source: str
    prefixes: tuple[Prefix, ...] = ()
    problem: Problem | None = None
    age: float = 0.0


@dataclass(frozen=True, slots=True)
class Chosen:
    """A family's prefixes, and which source they are from."""

    source: str
    prefixes: tuple[Prefix, ...]


def choose(reports: Sequence[PrefixReport], order: Sequence[str]) -> tuple[dict[Family, Chosen], list[Problem]]:
    """Return each family's prefixes, and a problem for each report that cannot be used.

    A cluster may have IPv4 from `spec.podCIDRs` and IPv6 from elsewhere, so a source may answer for one family only.
    """
    by_name: Mapping[str, PrefixReport] = {report.source: report for report in reports}
    chosen: dict[Family, Chosen] = {}
    problems: list[Problem] = []
    for name in order:
        report = by_name.get(name, PrefixReport(name))
        if report.problem:
            problems.append(_of_source(report, report.problem))
        usable = []
        for prefix in report.prefixes:
            try:
                usable.append(values.prefix(prefix, prefix.version))
            except ValueError as error:
                message = f"source {name}: {prefix} cannot be used: {error}"
                problems.append(Problem(Reason.PREFIX_UNUSABLE, str(prefix), message))
        for family in FAMILIES:
            of_family = _apart(name, [prefix for prefix in usable if family_of(prefix) is family], problems)
            if of_family and family not in chosen:
                chosen[family] = Chosen(name, of_family)
    return chosen, problems


def _apart(source: str, prefixes: Sequence[Prefix], problems: list[Problem]) -> tuple[Prefix, ...]:
    """Leave out what lies in another one of these prefixes, and what is more than a node may have."""
    inside, reached = set[Prefix](), -1
    for (_, last), prefix in sorted(((span(prefix), prefix) for prefix in set(prefixes)), key=_widest_first):
        if last <= reached:
            inside.add(prefix)
        reached = max(last, reached)
    kept = [prefix for prefix in dict.fromkeys(prefixes) if prefix not in inside]
    for prefix in [*dict.fromkeys(one for one in prefixes if one in inside), *kept[_MOST:]]:
        why = "it lies in another one" if prefix in inside else f"a node has {_MOST} at most"
        problems.append(Problem(Reason.PREFIX_UNUSABLE, str(prefix), f"source {source}: {prefix} is ignored: {why}"))
    return tuple(kept[:_MOST])


def _widest_first(one: tuple[tuple[int, int], Prefix]) -> tuple[int, int]:
    (first, last), _ = one
    return first, -last


def _of_source(report: PrefixReport, problem: Problem) -> Problem:
    message = f"source {report.source}: {problem.message}"
    if report.prefixes:
        message += f"; its prefixes of {report.age:.0f} s ago stay in use"
    return Problem(problem.reason, problem.subject, message)
