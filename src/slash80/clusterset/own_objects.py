"""The program's Secret and state, which exist beforehand: RBAC gives no right to create an object of one name only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from slash80.cluster.api import Api, Refused
from slash80.cluster.objects.reading import Document, mapping, text
from slash80.clusterset import state
from slash80.errors import InvalidConfig

SECRET = "slash80-clusterset"  # noqa: S105 -- its name
_CONFLICT, _MISSING = 409, 404
_MOST = 1 << 20  # characters, of a ConfigMap or a Secret
_TRIES = 5
_APPLY = "apply manifests/clusterset"


class Key(Protocol):
    """A key with its certificate, as a Secret keeps both."""

    def data(self) -> dict[str, str]:
        """Return the `data` of the Secret."""


class OwnObjects:
    """Reads and writes both, in the namespace of the program."""

    def __init__(self, api: Api, namespace: str) -> None:
        """Ask nothing yet."""
        self._api = api
        self._secret = f"/api/v1/namespaces/{namespace}/secrets/{SECRET}"
        self._state = f"/api/v1/namespaces/{namespace}/configmaps/{state.NAME}"

    def secret(self) -> Mapping[str, str]:
        """Return the data of the Secret; raise InvalidConfig, Refused or Unreachable."""
        return _texts(self._existing(self._secret, f"Secret {SECRET}"))

    def filled(self, create: Callable[[], Key]) -> Mapping[str, str]:
        """Return the data of the Secret, and put a new key into one that is empty.

        Of several processes that do it at once one succeeds and all return the same: it is changed at the version only
        at which it was empty.
        """
        for _ in range(_TRIES):
            found = self._existing(self._secret, f"Secret {SECRET}")
            if data := {key: value for key, value in _texts(found).items() if value}:
                return data
            version = text(mapping(found, "metadata"), "resourceVersion")
            made = create().data()
            try:
                self._api.patch(self._secret, {"metadata": {"resourceVersion": version}, "data": made}, kind="merge")
            except Refused as refused:
                if refused.status != _CONFLICT:
                    raise
        raise InvalidConfig(f"Secret {SECRET} changes all the time, so no key can be put into it; see who writes it")

    def state(self) -> Mapping[str, str]:
        """Return the data of the state's ConfigMap; raise InvalidConfig, Refused or Unreachable."""
        return _texts(self._existing(self._state, f"ConfigMap {state.NAME}"))

    def keep(self, data: Mapping[str, str]) -> None:
        """Set these keys of the state; raise Refused or Unreachable."""
        self._api.patch(self._state, {"data": dict(data)}, kind="merge")

    def _existing(self, path: str, what: str) -> Document:
        try:
            return self._api.get(path)
        except Refused as refused:
            if refused.status != _MISSING:
                raise
            raise InvalidConfig(f"there is no {what}; {_APPLY}, which has it") from refused


def _texts(document: Document) -> dict[str, str]:
    data = mapping(document, "data")
    return {key: text(data, key, most=_MOST) for key in data}
