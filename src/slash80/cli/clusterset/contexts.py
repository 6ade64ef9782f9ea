"""The clusters that a command is for, one after the other: one that fails does not stop the others."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from slash80.cluster import kubeconfig
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.credentials import MemoryFiles
from slash80.cluster.objects.reading import Document, Unreadable
from slash80.errors import CniError

NAMESPACE = "slash80-system"
CONFIG_MAPS = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_FORBIDDEN = {401, 403}
_NOT_FOUND = 404
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """What came of one cluster: a result, or the sentence that says what failed."""

    context: str
    result: T | None
    problem: str = ""


def each(chosen: argparse.Namespace, work: Callable[[str, Api], T]) -> Iterator[Outcome[T]]:
    """Do something with each cluster, once where a context is named twice."""
    for context in dict.fromkeys(chosen.contexts):
        try:
            with opened(chosen, context) as api:
                yield Outcome(context, work(context, api))
        except (CniError, OSError, Refused, Unreachable, Unreadable) as error:
            yield Outcome(context, None, _sentence(context, error))


@contextmanager
def opened(chosen: argparse.Namespace, context: str) -> Iterator[Api]:
    """Return the API of a context; raise CniError."""
    environ = dict(os.environ)
    if chosen.kubeconfig:
        environ["KUBECONFIG"] = str(chosen.kubeconfig)
    with MemoryFiles() as held:
        api = Api(kubeconfig.load(environ, held, context=context))
        try:
            yield api
        finally:
            api.close()


def found(api: Api, path: str) -> Document | None:
    """Return an object; None where it does not exist."""
    try:
        return api.get(path)
    except Refused as refused:
        if refused.status == _NOT_FOUND:
            return None
        raise


def listed(api: Api, path: str, **query: str) -> list[Document]:
    """Return the objects of a list; none where there is not such a kind."""
    try:
        return api.items(path, **query)
    except Refused as refused:
        if refused.status == _NOT_FOUND:
            return []
        raise


def _sentence(context: str, error: Exception) -> str:
    if isinstance(error, Refused):
        then = "sign in as a user with that right" if error.status in _FORBIDDEN else "try again"
        return f"the API server refuses: {error}; {then}"
    if isinstance(error, Unreachable):
        return f"{error}; try kubectl --context {context} version"
    if isinstance(error, Unreadable):
        return f"an object has an unexpected form: {error}; look at it with kubectl --context {context}"
    return str(error)
