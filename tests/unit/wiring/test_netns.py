"""Opening a network namespace, as far as none has to be made or entered."""

import os
from pathlib import Path

import pytest

from slash80.errors import BadNetns, Failure
from slash80.wiring import netns

OWN = "/proc/thread-self/ns/net"


def test_host_namespace_is_code_8() -> None:
    """The guard can be lifted."""
    with pytest.raises(BadNetns, match="host's own"), netns.opened(OWN):
        pass
    with netns.opened(OWN, own_allowed=True) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), Path(OWN).stat())

    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


@pytest.mark.parametrize("path", ["/dev/null", "/", "/proc/thread-self/ns/mnt", "/proc/thread-self/status"])
def test_path_that_is_not_a_network_namespace_is_code_8(path: str) -> None:
    """The error names the path; another kind of namespace is refused too."""
    with pytest.raises(BadNetns, match=f"CNI_NETNS='{path}' is not a network namespace"), netns.opened(path):
        pass


def test_pipe_is_not_opened_as_a_namespace(tmp_path: Path) -> None:
    """Opening a pipe would block without limit."""
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(BadNetns), netns.opened(str(tmp_path / "pipe")):
        pass


@pytest.mark.parametrize("path", ["/nowhere", "/dev/null/x", "/a\0b", "/\ud800"])
def test_missing_namespace_path_is_code_999(path: str) -> None:
    """The sentence has the path in ASCII."""
    with pytest.raises(Failure, match="cannot be opened") as caught, netns.opened(path):
        pass

    assert (999, True) == (caught.value.code, ascii(path) in caught.value.msg)


def test_host_namespace_is_recognised_by_any_path() -> None:
    """Any path to it is recognised; another kind of namespace is not."""
    found = []
    for path in (OWN, "/proc/self/ns/net", "/proc/thread-self/ns/mnt"):
        with Path(path).open("rb") as file:
            found.append(netns.is_own(file.fileno()))

    assert [True, True, False] == found
