"""Conditions of an object's status: https://kubernetes.io/docs/reference/generated/kubernetes-api/v1.34/#condition-v1-meta."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slash80.cluster.objects.reading import Document, mappings, text

_TYPE, _REASON, _MESSAGE, _TIME = 316, 1024, 32768, 64  # characters, as the API bounds them
TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"


@dataclass(frozen=True, slots=True)
class Condition:
    """What is so of an object. `since` is when its status became what it is, in RFC 3339."""

    type: str
    status: str
    reason: str
    message: str
    generation: int = 0
    since: str = ""

    def document(self) -> Document:
        """Return it as the API has it."""
        return {
            "type": self.type,
            "status": self.status,
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": self.generation,
            "lastTransitionTime": self.since,
        }


def read_conditions(status: Mapping[str, Any]) -> tuple[Condition, ...]:
    """Read the conditions of a status."""
    return tuple(
        Condition(
            text(one, "type", most=_TYPE),
            text(one, "status", most=_TYPE),
            text(one, "reason", most=_REASON),
            text(one, "message", most=_MESSAGE),
            one["observedGeneration"] if type(one.get("observedGeneration")) is int else 0,
            text(one, "lastTransitionTime", most=_TIME),
        )
        for one in mappings(status, "conditions")
    )
