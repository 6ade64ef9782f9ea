"""Holds many watches as so many agents do, each with a connection of its own: watchers ACCEPT COUNT PATH...

The paths are taken in turn. For each line of standard input the bytes that have come so far are printed.
"""

import selectors
import socket
import ssl
import sys
from collections.abc import Sequence

from bench.kube_server import ADDRESS, PORT, TOKEN

_CHUNK = 1 << 16


def main(accept: str, count: int, paths: Sequence[str]) -> None:
    """Open all watches, and read what comes until standard input ends."""
    selector, context = selectors.DefaultSelector(), ssl._create_unverified_context()  # noqa: SLF001 -- the documented way
    for number in range(count):
        selector.register(_opened(context, paths[number % len(paths)], accept), selectors.EVENT_READ)
    selector.register(sys.stdin, selectors.EVENT_READ)
    received = 0
    print("open", flush=True)
    while True:
        for key, _ in selector.select():
            if isinstance(key.fileobj, ssl.SSLSocket):
                received += _read(key.fileobj)
            elif sys.stdin.readline():
                print(received, flush=True)
            else:
                return


def _opened(context: ssl.SSLContext, path: str, accept: str) -> ssl.SSLSocket:
    """Return a socket on which a watch has been answered."""
    watch = context.wrap_socket(socket.create_connection((ADDRESS, PORT)))
    head = [f"GET {path} HTTP/1.1", "Host: kubernetes", f"Authorization: Bearer {TOKEN}", f"Accept: {accept}"]
    watch.sendall("\r\n".join([*head, "", ""]).encode())
    answer = watch.recv(_CHUNK)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"{path}: {answer[:500]!r}")
    watch.settimeout(0)
    return watch


def _read(watch: ssl.SSLSocket) -> int:
    """Return how many bytes could be read, until nothing is left that was decrypted already."""
    received = 0
    while True:
        try:
            more = len(watch.recv(_CHUNK))
        except ssl.SSLWantReadError:
            return received
        if not more:
            raise RuntimeError("a watch has ended")
        received += more


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3:])
