"""The Kubernetes API as far as we need it: get, list, watch, patch, apply, create, delete, each with a bounded wait.

urllib3 and not a Kubernetes client: lightkube 1.0 brings twelve packages, and its watch waits without limit for a
server that has fallen silent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from urllib3 import BaseHTTPResponse, Timeout
from urllib3.exceptions import HTTPError

from slash80 import __version__
from slash80.cluster import stream
from slash80.cluster.connections import Connections
from slash80.cluster.credentials import ClientConfig
from slash80.cluster.objects.reading import Document
from slash80.cluster.stream import Event, Garbled

_PAGE = 250  # objects: a page of Pods is some 2 MB, of which Python makes ten times as much while it is read
_PAGES = 4000
_NOT_FOUND = 404
_MOST = 64 << 20  # bytes of an answer
_CHUNK = 64 << 10
_WAIT = Timeout(connect=5, read=20)
_SILENCE = Timeout(connect=5, read=100)  # bookmarks come every minute, so what is silent for longer is dead


class Unreachable(Exception):
    """The API server cannot be reached, does not answer in time, or answers what no API server does."""


class Refused(Exception):
    """The API server answered with an error status."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep the HTTP status and the server's words."""
        super().__init__(f"{status} {reason}")
        self.status = status


@dataclass(frozen=True, slots=True)
class Page:
    """Some objects of a list. The list is whole with the page that is the last, at that page's version."""

    items: list[Any]
    version: str
    last: bool


class Api:
    """One API server, for any number of threads."""

    def __init__(self, config: ClientConfig) -> None:
        """Open nothing yet."""
        self._config = config
        self._connections = Connections(config)

    def separate(self) -> Api:
        """Return a client of the same server with connections of its own, which can be closed alone."""
        return Api(self._config)

    def close(self) -> None:
        """Break off all requests, also those that wait for a silent server; they and later ones raise Unreachable."""
        self._connections.close()

    def get(self, path: str, **query: str) -> Document:
        """Return an object; raise Unreachable or Refused."""
        return self._document(self._request("GET", path, query=query))

    def pages(self, path: str, **query: str) -> Iterator[Page]:
        """Yield a list page by page; raise Unreachable or Refused, also between two pages."""
        following: dict[str, str] = {}
        for _ in range(_PAGES):
            page = self._page(self.get(path, limit=str(_PAGE), **query, **following))
            yield page[0]
            if page[0].last:
                return
            following = {"continue": page[1]}
        raise Unreachable(f"{self._config.server}: the list {path} does not end after {_PAGES} pages")

    def items(self, path: str, **query: str) -> list[Document]:
        """Return all objects of a list."""
        return [item for page in self.pages(path, **query) for item in page.items]

    def events(self, path: str, version: str, *, seconds: int, **query: str) -> Iterator[Event | Garbled]:
        """Begin a watch, and yield what changes from a version on until the server ends it after so many seconds.

        Raise Unreachable or Refused, now or later.
        """
        query |= {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": version}
        query["timeoutSeconds"] = str(seconds)
        return self._events(self._request("GET", path, query=query, timeout=_SILENCE))

    def patch(self, path: str, body: object, *, kind: str, **query: str) -> Document:
        """Change an object; `kind` is `merge`, `strategic-merge` or `json`."""
        return self._sent("PATCH", path, body, kind=f"application/{kind}-patch+json", query=query)

    def create(self, path: str, body: Document, **query: str) -> Document:
        """Add an object to a list, and return it as the server keeps it; Refused (409) where there is one already."""
        return self._sent("POST", path, body, kind="application/json", query=query)

    def apply(self, path: str, body: Document, *, manager: str, force: bool) -> Document:
        """Have the fields of `body`, and no others, set by `manager`, and return the object: a server-side apply.

        An object that does not exist is created. With `force` fields of other managers are taken over; without it one
        that has another value there is Refused (409). A `path` that ends in `/status` is that subresource.
        https://kubernetes.io/docs/reference/using-api/server-side-apply/
        """
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return self._sent("PATCH", path, body, kind="application/apply-patch+yaml", query=query)  # JSON is YAML

    def delete(self, path: str, *, uid: str) -> None:
        """Delete an object unless it is another one by now; one that does not exist any more is deleted already."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        try:
            self._sent("DELETE", path, options, kind="application/json", query={})
        except Refused as refused:
            if refused.status != _NOT_FOUND:
                raise

    def _sent(self, method: str, path: str, body: object, *, kind: str, query: Mapping[str, str]) -> Document:
        headers = {"Content-Type": kind}
        return self._document(self._request(method, path, body=json.dumps(body).encode(), headers=headers, query=query))

    def _page(self, document: Document) -> tuple[Page, str]:
        metadata, items = document.get("metadata"), document.get("items")
        if isinstance(metadata, dict) and (items is None or isinstance(items, list)):
            version, following = metadata.get("resourceVersion"), metadata.get("continue") or ""
            if isinstance(version, str) and version and isinstance(following, str):
                return Page(items or [], version, last=not following), following
        raise Unreachable(f"{self._config.server} answers, but not with a list as a Kubernetes API server does")

    def _events(self, response: BaseHTTPResponse) -> Iterator[Event | Garbled]:
        try:
            for event in stream.events(iter(lambda: response.read1(_CHUNK), b"")):
                if isinstance(event, Event) and event.kind == "ERROR":
                    raise _refusal(event.object)
                yield event
        except (HTTPError, OSError, ValueError) as error:
            raise Unreachable(f"{self._config.server}: the watch broke off: {error}") from error
        finally:
            response.close()

    def _document(self, response: BaseHTTPResponse) -> Document:
        try:
            body = response.read(_MOST + 1)
            if len(body) > _MOST:
                raise Unreachable(f"{self._config.server} answers with more than {_MOST} bytes")
            document = json.loads(body)
        except (HTTPError, OSError, RecursionError, ValueError) as error:
            raise Unreachable(f"{self._config.server}: the answer broke off: {error}") from error
        finally:
            response.release_conn()
        if not isinstance(document, dict):
            raise Unreachable(f"{self._config.server} answers, but not as a Kubernetes API server does")
        return document

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: Timeout | None = None,
        body: bytes | None = None,
    ) -> BaseHTTPResponse:
        url = f"{self._config.server}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            sent = {"Accept": "application/json", "User-Agent": f"slash80/{__version__}", **(headers or {})}
            response = self._connections.request(method, url, headers=sent, body=body, timeout=timeout or _WAIT)
            if response.status >= 400:
                raise Refused(response.status, _reason(response))
        except (HTTPError, OSError) as error:
            raise Unreachable(f"{self._config.server} cannot be reached: {error}") from error
        return response


def _refusal(status: Document) -> Refused:
    code, message = status.get("code"), status.get("message")
    return Refused(code if isinstance(code, int) else 500, message[:1000] if isinstance(message, str) else "")


def _reason(response: BaseHTTPResponse) -> str:
    """Return the message of a Status object, or what came instead of one."""
    body = response.read(_CHUNK)
    response.close()
    try:
        return str(json.loads(body)["message"])[:1000]
    except (LookupError, RecursionError, TypeError, ValueError):
        return body[:1000].decode("utf-8", "replace") or str(response.reason)
