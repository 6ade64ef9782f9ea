"""What is wrong with a cluster's part in the clusterset: a registered reason, what it is about, and a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """Why something is not as it should be, for programs: the values are stable, as those of condition reasons are.

    docs/clusters.md explains each of them. What agents call the same has the same name there.
    """

    # the file
    CLUSTERSET_MISSING = "ClustersetMissing"
    CLUSTERSET_INVALID = "ClustersetInvalid"
    CLUSTER_NOT_LISTED = "ClusterNotListed"
    # the API server
    WATCH_FAILED = "WatchFailed"
    FACTS_UNKNOWN = "ClusterFactsUnknown"
    STATE_NOT_KEPT = "StateNotKept"
    API_UNREACHABLE = "ApiUnreachable"
    WRITE_FAILED = "WriteFailed"
    VALUE_REFUSED = "ValueRefused"
    # other programs of this cluster
    OBJECT_OF_OTHER = "ObjectOfOther"
    CHANGED_BY_OTHER = "ChangedByOther"
    OTHER_CONTROLLER = "OtherController"
    INTERNAL_ERROR = "InternalError"
    # what only `slash80 clusterset status` looks for
    CLUSTER_UNREACHABLE = "ClusterUnreachable"
    PROGRAM_MISSING = "ProgramMissing"
    PROGRAM_NOT_READY = "ProgramNotReady"
    STATE_MISSING = "StateMissing"
    UNSPECIFIED = "Unspecified"


class Problem(NamedTuple):
    """One thing that is wrong; `subject` is the object or the part that it is about."""

    reason: Reason
    subject: str
    message: str

    def __str__(self) -> str:
        """Return the sentence, for people."""
        return self.message


def sentences(problems: Iterable[Problem]) -> list[str]:
    """Return what is wrong as sentences, each once."""
    return list(dict.fromkeys(one.message for one in problems))


def documents(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Return what is wrong for programs, as JSON documents."""
    return [
        {"reason": one.reason.value, "subject": one.subject, "message": one.message} for one in dict.fromkeys(problems)
    ]
