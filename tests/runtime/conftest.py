"""One node for all tests of this tier, from the plugin and the tools that the environment names."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.containerd import SOCKET, containerd
from runtime.cri import Cri
from runtime.images import compile_pause
from runtime.internet import internet
from runtime.node import PREFIX, Node
from runtime.release import DEBIAN, NEWEST, Release, release
from runtime.sandbox import Sandbox, sandbox


def _directory(variable: str, meaning: str) -> Path:
    value = os.environ.get(variable, "")
    if not value or not Path(value).is_dir():
        pytest.fail(f"{variable}={value!r} must name {meaning}; `make runtime` sets it", pytrace=False)
    return Path(value).resolve()


@pytest.fixture(scope="session")
def root() -> Path:
    """Find what `make install` laid out."""
    return _directory("SLASH80_ROOT", "the DESTDIR of `make install`")


@pytest.fixture(scope="session")
def tools() -> Path:
    """Find crictl, cnitool and the reference plugins."""
    return _directory("SLASH80_TOOLS", "the directory with crictl, cnitool and loopback")


@pytest.fixture(scope="session", params=[DEBIAN, NEWEST], ids="containerd-{}".format)
def containerd_release(request: pytest.FixtureRequest, tools: Path) -> Release:
    """Choose the runtime; a test that fits one only asks for that one by its version."""
    return release(request.param, tools)


@pytest.fixture(scope="session")
def box(containerd_release: Release, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """Make a machine within the machine, for each release its own.

    SIGTERM ends the tests as Ctrl-C does, so that it is removed.
    """
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    with sandbox(compile_pause(tmp_path_factory.mktemp("pause"))) as made:
        yield made
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def session_node(box: Sandbox, root: Path, tools: Path, containerd_release: Release) -> Iterator[Node]:
    """Make the node."""
    example = json.loads((root / "usr/share/slash80/05-slash80.conflist").read_text())
    with internet(box, [PREFIX[6]]), containerd(box, root, tools, containerd_release) as daemon:
        yield Node(box, daemon, Cri(box, tools / "crictl", SOCKET), example)


@pytest.fixture
def node(session_node: Node, request: pytest.FixtureRequest) -> Iterator[Node]:
    """Provide the node without pods and with the shipped configuration; a failure shows containerd's errors."""
    log = session_node.daemon.log
    begin = log.stat().st_size
    try:
        session_node.use(session_node.conflist())
        yield session_node
        with session_node.pods(0):
            pass
    finally:
        lines = log.read_bytes()[begin:].decode(errors="replace").splitlines()
        complaints = [line for line in lines if "level=error" in line or "level=fatal" in line]
        request.node.add_report_section("teardown", "containerd", "\n".join(complaints[-5:]))
