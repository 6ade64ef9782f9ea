"""Opening a network namespace, as far as none has to be made or entered."""

import os
from pathlib import Path

import pytest

from slash80.errors import BadNetns, Failure
from slash80.wiring import netns

OWN = "/proc/thread-self/ns/net"


def test_the_hosts_own_namespace_is_refused() -> None:
    """It is code 8; the guard can be lifted."""
    with pytest.raises(BadNetns, match="host's own"), netns.opened(OWN):
        pass
    with netns.opened(OWN, own_allowed=True) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), Path(OWN).stat())

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("path", ["/dev/null", "/", "/proc/thread-self/ns/mnt", "/proc/thread-self/status"])
def test_what_is_no_network_namespace_is_refused(path: str) -> None:
    """It is code 8, naming the path; another kind of namespace is none either."""
    with pytest.raises(BadNetns, match=f"CNI_NETNS='{path}' is not a network namespace"), netns.opened(path):
        pass


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    """Opening one would wait for ever."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BadNetns), netns.opened(str(tmp_path / "pipe")):
        pass


@pytest.mark.parametrize("path", ["/nowhere", "/dev/null/x", "/a\0b", "/\ud800"])
def test_a_path_that_is_not_there_is_a_failure(path: str) -> None:
    """It is code 999, and the sentence has the path in ASCII."""
    with pytest.raises(Failure, match="cannot be opened") as caught, netns.opened(path):
        pass

    assert (999, True) == (caught.value.code, ascii(path) in caught.value.msg)


def test_the_hosts_own_namespace_is_known_by_any_path() -> None:
    """Whatever led to it; another kind of namespace is another thing."""
    found = []
    for path in (OWN, "/proc/self/ns/net", "/proc/thread-self/ns/mnt"):
        with Path(path).open("rb") as file:
            found.append(netns.is_own(file.fileno()))

    assert [True, True, False] == found
