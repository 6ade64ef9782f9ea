"""The direction of what a policy judges, apart from all that Kubernetes says: an ADD loads this and not the rest."""

from __future__ import annotations

from enum import StrEnum


class Direction(StrEnum):
    """Whether a policy judges what its pods send or what they receive."""

    INGRESS = "ingress"
    EGRESS = "egress"
