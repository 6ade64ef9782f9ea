"""Labels and label selectors: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/label-selector/."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from slash80.cluster.objects.reading import Unreadable, mapping, mappings, text, texts, within
from slash80.errors import shown
from slash80.policy.model import Labels, Operator, Requirement, Selector

_MOST = 1000  # labels of an object, which the API server limits by their bytes only (256 KiB with the annotations)
_CHARACTERS = 317  # of a key: a DNS name of 253, a slash and a name of 63; a value has 63
_SHARED = 4096  # different sets of labels: pods of one workload have one of them
_KEYED = {Operator.EXISTS, Operator.DOES_NOT_EXIST}
_NO_LABELS: Labels = MappingProxyType({})


def read_labels(parent: Mapping[str, Any], key: str = "labels") -> Labels:
    """Return the labels under a key; equal ones of different objects are one object, as pods by the thousand have them.

    Raise Unreadable.
    """
    found = _strings(parent, key)
    return _shared(tuple(sorted(found.items()))) if found else _NO_LABELS


def read_selector(parent: Mapping[str, Any], key: str) -> Selector | None:
    """Return the label selector under a key, None where it is missing or null; raise Unreadable.

    An empty one selects everything, a missing one says what its place says.
    """
    if parent.get(key) is None:
        return None
    document = mapping(parent, key)
    with within(key):
        labels = tuple(sorted(_strings(document, "matchLabels").items()))
        found = mappings(document, "matchExpressions", most=_MOST)
        requirements = []
        for number, one in enumerate(found):
            with within(f"matchExpressions[{number}]"):
                requirements.append(_requirement(one))
    return Selector(labels, tuple(sorted(requirements)))


def _requirement(document: Mapping[str, Any]) -> Requirement:
    key = text(document, "key", most=_CHARACTERS)
    if not key:
        raise Unreadable("key is missing")
    try:
        operator = Operator(text(document, "operator"))
    except ValueError as error:
        raise Unreadable(f"operator is {shown(document.get('operator'))}, which is not one of Kubernetes'") from error
    values = texts(document, "values", most=_MOST)
    if (operator in _KEYED) == bool(values):
        raise Unreadable(f"values is {shown(values)}, which {operator} does not take")
    return Requirement(key, operator, tuple(sorted(set(values))))


def _strings(parent: Mapping[str, Any], key: str) -> Mapping[str, str]:
    found = mapping(parent, key)
    if len(found) > _MOST:
        raise Unreadable(f"{key} has {len(found)} entries, of which at most {_MOST} are read")
    for name in found:
        with within(key):
            text(found, name, most=_CHARACTERS)
        if found[name] is None:
            raise Unreadable(f"{key} has null for {shown(name)}")
    return found


@lru_cache(_SHARED)
def _shared(labels: tuple[tuple[str, str], ...]) -> Labels:
    return {sys.intern(key): sys.intern(value) for key, value in labels}
