"""The API client: what it asks, what it makes of refusals and silence."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from urllib3 import Timeout

from lab.kube import Document, FakeApi, namespace, node
from slash80.cluster import api as requests
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.credentials import ClientConfig
from slash80.cluster.stream import Event

NODES = "/api/v1/nodes"


def test_a_long_list_comes_in_pages(server: FakeApi, api: Api) -> None:
    """Each page says whether it is the last one, and at which version the list was so."""
    for number in range(5):
        server.put(NODES, node(f"n{number}"))

    pages = [*api.pages(NODES)]
    assert [[f"n{number}" for number in part] for part in ((0, 1), (2, 3), (4,))] == [
        [one["metadata"]["name"] for one in page.items] for page in pages
    ]
    assert [("6", False), ("6", False), ("6", True)] == [(page.version, page.last) for page in pages]
    assert [f"n{number}" for number in range(5)] == [one["metadata"]["name"] for one in api.items(NODES)]


def test_the_token_is_read_again_for_each_request(server: FakeApi, api: Api, tmp_path: Path) -> None:
    """The kubelet replaces the token's file every hour, so a token that was kept would expire."""
    api.get(NODES)
    (tmp_path / "token").write_text("second")
    api.get(NODES)

    assert ["Bearer first", "Bearer second"] == server.tokens


def test_a_refusal_has_the_servers_words(server: FakeApi, api: Api) -> None:
    """The error of a refused request has the server's message and its HTTP status."""
    server.faults = [403]
    with pytest.raises(Refused, match="403 as the test wants it") as caught:
        api.get(NODES)

    assert 403 == caught.value.status


def test_a_server_that_is_away_is_named(server: FakeApi, api: Api) -> None:
    """The error has the server's URL, for reads and for writes alike."""
    server.stop()
    calls: list[Callable[[], object]] = [
        lambda: api.get(NODES),
        lambda: api.patch(NODES, {}, kind="merge"),
        lambda: api.create(NODES, {}),
        lambda: api.apply(f"{NODES}/a", {}, manager="us", force=True),
        lambda: api.delete(f"{NODES}/a", uid="1"),
        lambda: [*api.events(NODES, "1", seconds=1)],
    ]
    for call in calls:
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:\d+ cannot be reached"):
            call()


@contextmanager
def answering(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n") -> Iterator[Api]:
    """Run a server that gives one answer, and return a client of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def once() -> None:
            with listener.accept()[0] as one:
                one.recv(4096)
                one.sendall((head % len(body) if head else b"") + body)

        server = threading.Thread(target=once)
        server.start()
        yield Api(ClientConfig(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        server.join()


@pytest.mark.parametrize("body", [b"[]", b"<", b"[" * 99_999])
def test_something_else_that_answers_is_not_an_api_server(body: bytes) -> None:
    """An answer that is not a JSON object is named as such."""
    with answering(body) as client, pytest.raises(Unreachable):
        client.get(NODES)


def test_what_does_not_speak_http_is_not_an_api_server() -> None:
    """The greeting of a mail server is reported like an API server that cannot be reached."""
    with answering(b"220 smtp\r\n", head=b"") as client, pytest.raises(Unreachable):
        client.get(NODES)


def test_a_token_that_cannot_be_read_is_told(server: FakeApi, api: Api, tmp_path: Path) -> None:
    """The error names the file, and is of the same kind as that of a server that cannot be reached."""
    (tmp_path / "token").unlink()
    with pytest.raises(Unreachable, match=r"No such file.*/token"):
        api.get(NODES)


def sockets(api: Api) -> list[float | None]:
    """Return how long each open socket of a client waits for the server."""
    return [one.gettimeout() for one in api._connections._sockets]


def test_no_request_waits_without_limit(server: FakeApi, api: Api) -> None:
    """A connection waits for the server for 20 s; that of a watch for 100, since bookmarks come every minute."""
    api.get(NODES)
    assert [20] == sockets(api)

    watching = api.separate()
    events = watching.events(NODES, "1", seconds=600)
    assert [100] == sockets(watching)
    watching.close()
    with pytest.raises(Unreachable):
        next(events)


@pytest.mark.parametrize("silent", ["limit=", "watch=1"])
def test_a_server_that_falls_silent_is_given_up(
    server: FakeApi, api: Api, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has taken the request and never answers, as a machine does that has lost its disk."""
    for name in ("_WAIT", "_SILENCE"):
        monkeypatch.setattr(requests, name, Timeout(connect=5, read=0.05))
    server.mute = {silent}
    with pytest.raises(Unreachable, match="timed out"):
        _ = [*api.pages(NODES)] if silent == "limit=" else [*api.events(NODES, "1", seconds=600)]


def test_a_watch_that_falls_silent_is_given_up(server: FakeApi, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has sent an event and then nothing, as a network does that has lost the way back."""
    monkeypatch.setattr(requests, "_SILENCE", Timeout(connect=5, read=1))
    server.put(NODES, node("a"))
    events = api.events(NODES, "0", seconds=600)

    assert Event("ADDED", server.objects[NODES]["a"]) == next(events)
    with pytest.raises(Unreachable, match="timed out"):
        next(events)


def test_a_client_that_is_closed_asks_for_nothing_more(server: FakeApi, api: Api) -> None:
    """Later requests fail before they are sent."""
    api.get(NODES)
    api.close()
    with pytest.raises(Unreachable):
        api.get(NODES)
    assert 1 == len(server.seen)


def test_a_kept_connection_that_the_server_has_just_closed_is_replaced() -> None:
    """The server may close it at the moment of the next request, which is then sent once more."""
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as one:
                one.recv(4096)
                one.sendall(answer)
                one.recv(4096)  # the second request, which is not answered
            with listener.accept()[0] as one:
                one.recv(4096)
                one.sendall(answer)

        server = threading.Thread(target=serve)
        server.start()
        client = Api(ClientConfig(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        assert {} == client.get("/a") == client.get("/b")
        server.join()


@pytest.mark.parametrize(
    "page", ["{}", '{"metadata": {}}', '{"metadata": {"resourceVersion": "1"}, "items": {}}', '{"items": []}']
)
def test_what_is_not_a_list_is_not_taken_for_an_empty_one(page: str) -> None:
    """Every object would seem deleted."""
    with answering(page.encode()) as client, pytest.raises(Unreachable, match="not with a list"):
        client.items(NODES)


def test_answers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One of more than 64 MiB comes from no API server, and would fill the memory."""
    monkeypatch.setattr(requests, "_MOST", 10)
    with answering(b'{"a": "0123456789"}') as client, pytest.raises(Unreachable, match="more than 10 bytes"):
        client.get(NODES)


def test_a_list_that_never_ends_is_given_up(server: FakeApi, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server whose pages lead in a circle must not be asked for ever."""
    monkeypatch.setattr(requests, "_PAGES", 2)
    for number in range(5):
        server.put(NODES, node(f"n{number}"))
    with pytest.raises(Unreachable, match="does not end after 2 pages"):
        api.items(NODES)


SLICES = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices"


def _slice(*addresses: str, **labels: str) -> Document:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "web", "namespace": "shop", "labels": labels},
        "addressType": "IPv6",
        "endpoints": [{"addresses": [address]} for address in addresses],
        "ports": [],
    }


@pytest.fixture
def shop(server: FakeApi) -> FakeApi:
    """Have a namespace with an empty list of EndpointSlices."""
    server.objects["/apis/discovery.k8s.io/v1/endpointslices"] = {}
    server.put("/api/v1/namespaces", namespace("shop"))
    return server


def test_an_object_is_created_once(shop: FakeApi, api: Api) -> None:
    """The answer to a creation is the object as the server keeps it; a second creation is refused as a conflict."""
    created = api.create(SLICES, _slice("2001:db8::1"))

    assert created == api.get(f"{SLICES}/web")
    assert created["metadata"]["uid"]
    with pytest.raises(Refused, match="409"):
        api.create(SLICES, _slice("2001:db8::1"))


def test_an_apply_sets_its_own_fields_and_takes_back_those_that_it_leaves_out(shop: FakeApi, api: Api) -> None:
    """A label that one apply sets and the next one does not is gone; a label of another manager stays."""
    api.apply(f"{SLICES}/web", _slice("2001:db8::1", ours="1", former="1"), manager="us", force=False)
    api.apply(f"{SLICES}/web", {**_slice("2001:db8::1", theirs="1")}, manager="them", force=False)
    after = api.apply(f"{SLICES}/web", _slice("2001:db8::2", ours="2"), manager="us", force=True)

    assert {"ours": "2", "theirs": "1"} == after["metadata"]["labels"]
    assert [{"addresses": ["2001:db8::2"]}] == after["endpoints"]
    assert f"PATCH {SLICES}/web?fieldManager=us&force=true" in shop.seen


def test_an_apply_that_is_not_forced_leaves_what_another_manager_has_set(shop: FakeApi, api: Api) -> None:
    """A field that has another manager and another value is refused as a conflict, and stays as it was."""
    api.apply(f"{SLICES}/web", _slice("2001:db8::1"), manager="them", force=False)
    with pytest.raises(Refused, match="409"):
        api.apply(f"{SLICES}/web", _slice("2001:db8::2"), manager="us", force=False)

    assert [{"addresses": ["2001:db8::1"]}] == api.get(f"{SLICES}/web")["endpoints"]


def test_the_status_is_applied_by_its_own_path(shop: FakeApi, api: Api) -> None:
    """An apply to the status subresource changes nothing else of the object, and needs the object."""
    path = "/apis/multicluster.x-k8s.io/v1beta1/namespaces/shop/serviceexports/web"
    shop.objects["/apis/multicluster.x-k8s.io/v1beta1/serviceexports"] = {}
    body = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": {"name": "web"}}
    status = {"status": {"conditions": [{"type": "Valid", "status": "True"}]}}
    with pytest.raises(Refused, match="404"):
        api.apply(f"{path}/status", body | status, manager="us", force=True)
    api.apply(path, body | {"spec": {"exportedLabels": {"a": "b"}}}, manager="them", force=True)
    after = api.apply(f"{path}/status", body | status | {"spec": {}}, manager="us", force=True)

    assert {"exportedLabels": {"a": "b"}} == after["spec"]
    assert status["status"] == after["status"]


def test_only_the_object_that_was_meant_is_deleted(shop: FakeApi, api: Api) -> None:
    """One that has come in its place since has another uid, and stays; deleting it twice changes nothing."""
    uid = api.create(SLICES, _slice("2001:db8::1"))["metadata"]["uid"]
    with pytest.raises(Refused, match="409"):
        api.delete(f"{SLICES}/web", uid="another")
    api.delete(f"{SLICES}/web", uid=uid)
    api.delete(f"{SLICES}/web", uid=uid)

    assert not shop.objects["/apis/discovery.k8s.io/v1/endpointslices"]
