"""Which members of the clusterset this node trusts: all but its own cluster, as far as a prefix is the member's own.

The file is checked by itself when it is read. What is looked for here depends on the cluster and the node: a member
that is this cluster, whose prefixes must not become trusted from outside, and prefixes that would make something else
trusted than another cluster's pods. What other Nodes say plays no part: a kubelet could have the file refused on every
node.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slash80.addressing.family import Prefix
from slash80.cluster.objects.configmap import CLUSTERSET
from slash80.desired.problems import Problem, Reason
from slash80.desired.spans import Union, span

if TYPE_CHECKING:
    from slash80.settings.clusterset import Clusterset, Member

_MOST = 8_000  # prefixes of other members: node.json has no room for more


@dataclass(frozen=True, slots=True)
class Ours:
    """What is this cluster's: its pods' prefixes and Services, and the subnets of this node's links and of nodes."""

    pods: tuple[Prefix, ...] = ()
    services: tuple[Prefix, ...] = ()
    links: tuple[Prefix, ...] = ()


@dataclass(frozen=True, slots=True)
class MemberTrust:
    """Another member, its prefixes, and why they are not trusted; empty where they are."""

    id: str
    prefixes: tuple[Prefix, ...]
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Trust:
    """A clusterset as this node has it: its name, the member that is this cluster, and the others."""

    name: str = ""
    here: str = ""
    members: tuple[MemberTrust, ...] = ()

    @property
    def prefixes(self) -> tuple[Prefix, ...]:
        """The prefixes that are trusted."""
        return tuple(prefix for one in self.members if not one.refusal for prefix in one.prefixes)


NO_TRUST = Trust()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is trusted, the clusterset that it follows from, and what is wrong."""

    trust: Trust = NO_TRUST
    clusterset: Clusterset | None = None
    problems: tuple[Problem, ...] = ()


def decide(clustersets: Sequence[Clusterset], ours: Ours) -> Decision:
    """Return what follows from the first that fits this cluster: the file's of now, then the last good one."""
    problems = []
    for number, one in enumerate(clustersets):
        if why := next(_unfit(one, ours), ""):
            problems.append(invalid(why, kept=number + 1 < len(clustersets)))
            continue
        trust = _trusted(one, ours)
        return Decision(trust, one, (*problems, *_problems(one, trust, ours)))
    return Decision(problems=tuple(problems))


def invalid(message: str, *, kept: bool) -> Problem:
    """Return the problem that the file of now cannot be used; `kept` is whether an earlier one stays in force."""
    stays = "the last good file stays in force" if kept else "no earlier one is known, so no member is trusted"
    return Problem(Reason.CLUSTERSET_INVALID, CLUSTERSET, f"{message}; {stays}")


def _unfit(clusterset: Clusterset, ours: Ours) -> Iterator[str]:
    """Yield why the whole file cannot be this cluster's: two entries contradict each other, or the cluster."""
    services = Union(ours.services)
    for member in clusterset.members:
        if prefix := next((one for one in member.prefixes if services.meets(*span(one))), None):
            yield (
                f"member {member.id!r} of clusterset {clusterset.name} has the prefix {prefix}, in which this "
                "cluster's Services have their addresses; list only prefixes of pods there"
            )
    here = _here(clusterset, ours)
    if len(here) > 1:
        (one, its), (other, theirs), *_ = here
        yield (
            f"members {one.id!r} ({its}) and {other.id!r} ({theirs}) of clusterset {clusterset.name} both have "
            "prefixes of this cluster's pods; correct one of the two entries"
        )
    count = sum(len(one.prefixes) for one in clusterset.members)
    if count > _MOST:
        have = f"the members of clusterset {clusterset.name} have {count} prefixes"
        yield f"{have}, of which {_MOST} can be trusted; list fewer and shorter ones"


def _here(clusterset: Clusterset, ours: Ours) -> list[tuple[Member, Prefix]]:
    """Return the members that have prefixes of this cluster's pods, each with the first one."""
    pods = Union(ours.pods)
    found = [
        (one, next((prefix for prefix in one.prefixes if pods.meets(*span(prefix))), None))
        for one in clusterset.members
    ]
    return [(one, prefix) for one, prefix in found if prefix is not None]


def _trusted(clusterset: Clusterset, ours: Ours) -> Trust:
    here = next((one.id for one, _ in _here(clusterset, ours)), "")
    others = (one for one in clusterset.members if one.id != here)
    links = sorted((*span(one), one) for one in ours.links)
    refusal = "" if here else "this cluster is not a member"
    members = tuple(MemberTrust(one.id, one.prefixes, refusal or _why_not(one, links)) for one in others)
    return Trust(clusterset.name, here, members)


def _why_not(member: Member, links: Sequence[tuple[int, int, Prefix]]) -> str:
    """Return why a member is not trusted on this node; empty where it is.

    A prefix within a link's subnet is the member's own: clouds route prefixes of pods out of the subnet that all share.
    """
    for prefix in member.prefixes:
        first, last = span(prefix)
        for low, high, link in links:
            if first <= low and high <= last:
                return f"its prefix {prefix} holds {link}, where this cluster's own nodes are"
    return ""


def _problems(clusterset: Clusterset, trust: Trust, ours: Ours) -> Iterator[Problem]:
    if not trust.here:
        pods = ", ".join(map(str, ours.pods)) or "none is known"
        message = (
            f"clusterset {clusterset.name} has no member with a prefix of this cluster's pods ({pods}), so this "
            "cluster is not a member and trusts none; add its prefixes to its entry"
        )
        yield Problem(Reason.CLUSTER_NOT_LISTED, CLUSTERSET, message)
        return
    for one in trust.members:
        if one.refusal:
            message = f"member {one.id!r} of clusterset {clusterset.name} is not trusted on this node: {one.refusal}"
            yield Problem(Reason.MEMBER_REFUSED, one.id, f"{message}; correct its entry")
