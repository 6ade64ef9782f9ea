"""What the API server takes of what is written: the version of the Multi-Cluster Services API, and known values.

The Kubernetes of an exporting cluster may be newer than this one's. Of what a Service has, only `trafficDistribution`
has values that came later, and one that is not known would have the whole Service refused.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace

from slash80.cluster.objects.reading import Document
from slash80.clusterset.documents import Desired

_FIELD = "trafficDistribution"
# What means the same for older Kubernetes: PreferSameZone is the later name, known by default from 1.34 on (KEP-3015).
_INSTEAD = {"PreferSameZone": "PreferClose"}
_Value = tuple[str, str]  # a kind of object, and its trafficDistribution


@dataclass(slots=True)
class Served:
    """At which version the API is served, and what was refused, with the sentence for people."""

    version: str
    refused: dict[_Value, str] = field(default_factory=dict)

    def taken(self, one: Desired) -> Desired:
        """Return an object with a `trafficDistribution` that was not refused, or without any."""
        while (found := _value(one.body)) and found in self.refused and one.body:
            spec = {key: value for key, value in one.body["spec"].items() if key != _FIELD}
            instead = {_FIELD: _INSTEAD[found[1]]} if found[1] in _INSTEAD else {}
            one = replace(one, body=one.body | {"spec": spec | instead})
        return one

    def refuse(self, body: Document | None, why: str) -> str:
        """Return what is left out from now on of such an object, which was refused; empty where that is not why."""
        found = _value(body)
        if found is None or found in self.refused or _FIELD not in why:
            return ""
        what = f"The API server refuses {_FIELD} {found[1]} in a {found[0]}, so it is left out: {why}"
        self.refused[found] = f"{what}; use another one in the Service that is exported."
        return self.refused[found]

    def only(self, values: Collection[str]) -> None:
        """Forget what was refused and is not wanted any more: nothing is wrong with it then."""
        self.refused = {
            found: why for found, why in self.refused.items() if found[1] in values or _older(found[1], values)
        }


def _older(value: str, values: Collection[str]) -> bool:
    return any(_INSTEAD.get(one) == value for one in values)


def _value(body: Document | None) -> _Value | None:
    found = ((body or {}).get("spec") or {}).get(_FIELD)
    return (body["kind"], found) if body and found else None
