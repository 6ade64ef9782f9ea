"""What is wrong on a node: a registered reason, what it is about, and a sentence with the next step."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why something is not as it should be, for programs: the values are stable, as those of condition reasons are.

    docs/operations.md explains each of them to operators.
    """

    # settings and what a node gets from them
    SETTINGS_INVALID = "SettingsInvalid"
    SETTINGS_NOT_KEPT = "SettingsNotKept"
    NODE_FILE_INVALID = "NodeFileInvalid"
    NODE_UNKNOWN = "NodeUnknown"
    PREFIX_SOURCE_FAILED = "PrefixSourceFailed"
    PREFIX_UNUSABLE = "PrefixUnusable"
    PREFIX_OF_OTHER_NODE = "PrefixOfOtherNode"
    NO_PREFIX = "NoPrefix"
    # what other nodes say that is not accepted
    NODE_OBJECT_INVALID = "NodeObjectInvalid"
    NODE_ADDRESS_UNUSABLE = "NodeAddressUnusable"
    PREFIX_TOO_SHORT = "PrefixTooShort"
    PREFIX_OUTSIDE_CLUSTER = "PrefixOutsideCluster"
    PREFIX_OVERLAPS_SERVICES = "PrefixOverlapsServices"
    PREFIX_OVERLAPS_NODE = "PrefixOverlapsNode"
    PREFIX_HOLDS_NODE_ADDRESS = "PrefixHoldsNodeAddress"
    # the parts of the agent
    NODE_FAILED = "NodeFailed"
    ROUTES_FAILED = "RoutesFailed"
    ROUTE_CONFLICT = "RouteConflict"
    FIREWALL_FAILED = "FirewallFailed"
    CONFLIST_FAILED = "ConflistFailed"
    CONFLIST_SHADOWED = "ConflistShadowed"
    STATUS_FAILED = "StatusFailed"
    RIGHTS_UNRESTRICTED = "RightsUnrestricted"
    REPORT_FAILED = "ReportFailed"
    EXPOSE_FAILED = "ExposeFailed"
    POLICIES_FAILED = "PoliciesFailed"
    INTERNAL_ERROR = "InternalError"
    # the API server
    WATCH_FAILED = "WatchFailed"
    SERVICES_UNKNOWN = "ServicesUnknown"
    NAMESPACES_UNKNOWN = "NamespacesUnknown"
    POLICIES_UNKNOWN = "PoliciesUnknown"
    POLICY_INVALID = "PolicyInvalid"
    POLICY_REFUSED = "PolicyRefused"
    # other clusters
    CLUSTERSET_UNKNOWN = "ClustersetUnknown"
    CLUSTERSET_INVALID = "ClustersetInvalid"
    CLUSTERSET_NOT_KEPT = "ClustersetNotKept"
    CLUSTER_NOT_LISTED = "ClusterNotListed"
    MEMBER_REFUSED = "MemberRefused"
    CONNECTIONS_NOT_ENDED = "ConnectionsNotEnded"
    # what only `slash80 status` looks for
    CONFIGURATION_UNUSABLE = "ConfigurationUnusable"
    SOURCE_ADDRESS = "SourceAddress"
    TRUSTED_SOURCE = "TrustedSource"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong; `subject` is the prefix, node, file or path that it is about.

    A problem is the same as another one when all three are: what is logged, counted or reported once is identified so.
    """

    reason: Reason
    subject: str
    message: str

    def __str__(self) -> str:
        """Return the sentence, for people."""
        return self.message


def sentences(problems: Iterable[Problem]) -> list[str]:
    """Return what is wrong as sentences, each once: two parts may stumble over the same file."""
    return list(dict.fromkeys(problem.message for problem in problems))


def documents(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Return what is wrong for programs, as JSON documents."""
    return [
        {"reason": one.reason.value, "subject": one.subject, "message": one.message} for one in dict.fromkeys(problems)
    ]
