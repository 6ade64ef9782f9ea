"""The API client: what it asks, what it makes of refusals and silence."""

import socket
import threading
from pathlib import Path

import pytest

from lab.kube import FakeApi, node
from slash80.cluster.account import Account
from slash80.cluster.api import Api, Refused, Unreachable

NODES = "/api/v1/nodes"


def test_a_long_list_comes_in_pages(server: FakeApi, api: Api) -> None:
    """All objects are there, with the version of the list."""
    for number in range(5):
        server.put(NODES, node(f"n{number}"))

    found, version = api.items(NODES)
    assert [f"n{number}" for number in range(5)] == [one["metadata"]["name"] for one in found]
    assert "6" == version
    assert 3 == len(server.seen)


def test_the_token_is_read_anew_for_each_request(server: FakeApi, api: Api, tmp_path: Path) -> None:
    """The kubelet replaces it."""
    api.get(NODES)
    (tmp_path / "token").write_text("second")
    api.get(NODES)

    assert ["Bearer first", "Bearer second"] == server.tokens


def test_a_refusal_has_the_servers_words(server: FakeApi, api: Api) -> None:
    """And its status."""
    server.faults = [403]
    with pytest.raises(Refused, match="403 as the test wants it") as caught:
        api.get(NODES)

    assert 403 == caught.value.status


def test_a_server_that_is_away_is_named(server: FakeApi, api: Api) -> None:
    """With its URL, by each verb."""
    server.stop()
    for call in (lambda: api.get(NODES), lambda: api.patch(NODES, {}, kind="merge"), lambda: [*api.events(NODES, "1")]):
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:\d+ cannot be reached"):
            call()


def test_something_else_that_answers_is_no_api_server(tmp_path: Path) -> None:
    """What is no JSON object, or no HTTP at all."""
    for answer in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n<",
        b"220 smtp\r\n",
    ):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = Api(Account(f"http://127.0.0.1:{listener.getsockname()[1]}"))

            def once(answer: bytes = answer, listener: socket.socket = listener) -> None:
                with listener.accept()[0] as one:
                    one.recv(4096)
                    one.sendall(answer)

            threading.Thread(target=once).start()
            with pytest.raises(Unreachable):
                client.get(NODES)


def test_a_token_that_cannot_be_read_is_told(server: FakeApi, api: Api, tmp_path: Path) -> None:
    """As is everything that keeps the server from being asked."""
    (tmp_path / "token").unlink()
    with pytest.raises(Unreachable, match="No such file"):
        api.get(NODES)
