"""The API client: what it asks, what it makes of refusals and silence."""

import socket
import threading
from pathlib import Path

import pytest

from lab.kube import FakeApi, node
from slash80.cluster.account import Account
from slash80.cluster.api import Api, Refused, Unreachable

NODES = "/api/v1/nodes"


def test_long_list_is_read_in_pages(server: FakeApi, api: Api) -> None:
    """All objects of all pages are returned, with the version of the list."""
    for number in range(5):
        server.put(NODES, node(f"n{number}"))

    found, version = api.items(NODES)
    assert [f"n{number}" for number in range(5)] == [one["metadata"]["name"] for one in found]
    assert "6" == version
    assert 3 == len(server.seen)


def test_token_is_read_for_each_request(server: FakeApi, api: Api, tmp_path: Path) -> None:
    """The kubelet replaces the token, so each request reads its file."""
    api.get(NODES)
    (tmp_path / "token").write_text("second")
    api.get(NODES)

    assert ["Bearer first", "Bearer second"] == server.tokens


def test_refusal_has_the_status_and_words_of_the_server(server: FakeApi, api: Api) -> None:
    """A refused request carries the server's status and message."""
    server.faults = [403]
    with pytest.raises(Refused, match="403 as the test wants it") as caught:
        api.get(NODES)

    assert 403 == caught.value.status


def test_unreachable_server_is_named(server: FakeApi, api: Api) -> None:
    """Each verb names the URL of a server that does not answer."""
    server.stop()
    for call in (lambda: api.get(NODES), lambda: api.patch(NODES, {}, kind="merge"), lambda: [*api.events(NODES, "1")]):
        with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:\d+ cannot be reached"):
            call()


def test_answer_that_is_not_from_an_api_server_is_refused(tmp_path: Path) -> None:
    """An answer that is not a JSON object, or not HTTP, is an error."""
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


def test_unreadable_token_is_named(server: FakeApi, api: Api, tmp_path: Path) -> None:
    """A token file that cannot be read is an error like an unreachable server."""
    (tmp_path / "token").unlink()
    with pytest.raises(Unreachable, match="No such file"):
        api.get(NODES)
