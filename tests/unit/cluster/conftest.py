"""An API server on loopback, and what talks to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.kube import FakeApi
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig, MemoryFiles


@pytest.fixture
def server() -> Iterator[FakeApi]:
    """Run a fake API server."""
    fake = FakeApi()
    yield fake
    fake.stop()


@pytest.fixture
def api(server: FakeApi, tmp_path: Path) -> Api:
    """Return a client of it, whose token lies in a file."""
    (tmp_path / "token").write_text("first\n")
    return Api(ClientConfig(server.start(), token_file=tmp_path / "token"))


@pytest.fixture
def held() -> Iterator[MemoryFiles]:
    """Keep files in memory for the time of the test."""
    with MemoryFiles() as files:
        yield files
