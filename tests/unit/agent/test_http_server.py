"""The HTTP server on loopback under those who mean no good."""

import logging
import socket
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler
from threading import Thread

import pytest

from lab.waiting import wait_until
from slash80.agent import http_server
from slash80.agent.http_server import LoopbackServer


class Answering(BaseHTTPRequestHandler):
    """Says that all is well, or fails at a path."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/mistake":
            raise LookupError("a mistake")
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Log nothing."""


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    """Provide the address of a server that runs."""
    server = LoopbackServer(("127.0.0.1", 0), Answering)
    thread = Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield "127.0.0.1", server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def _get(address: tuple[str, int], path: str = "/") -> int:
    host, port = address
    with urllib.request.urlopen(f"http://{host}:{port}{path}") as answer:
        return int(answer.status)


def test_silent_connections_keep_no_probe_out(address: tuple[str, int]) -> None:
    """Of too many that say nothing the first ones are given up, so threads stay few, and who asks is answered."""
    with ExitStack() as stack:
        most = 3 * http_server._MOST
        silent = [stack.enter_context(socket.create_connection(address)) for _ in range(most)]
        assert 204 == _get(address)
        assert b"" == silent[0].recv(1)
        silent[-1].sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert silent[-1].recv(100).startswith(b"HTTP/1.0 204")


def test_connections_that_end_are_not_counted(address: tuple[str, int]) -> None:
    """However many come after each other, one that is slow is not given up for them."""
    with closing(socket.create_connection(address)) as slow:
        for _ in range(2 * http_server._MOST):
            assert 204 == _get(address)
        slow.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert slow.recv(100).startswith(b"HTTP/1.0 204")


def test_a_mistake_costs_one_answer_and_a_line(address: tuple[str, int], caplog: pytest.LogCaptureFixture) -> None:
    """The log names it, without a traceback, and the next request is answered."""
    with caplog.at_level(logging.WARNING), closing(socket.create_connection(address)) as asking:
        asking.sendall(b"GET /mistake HTTP/1.0\r\n\r\n")
        assert b"" == asking.recv(1)
        wait_until(lambda: "was cut short: LookupError: a mistake" in caplog.text)
    assert 204 == _get(address)
