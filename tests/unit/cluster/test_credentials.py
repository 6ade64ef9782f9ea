"""Credentials of a pod, and the files that hold those of a kubeconfig."""

import os
from pathlib import Path

import pytest

from slash80.cluster import credentials
from slash80.cluster.credentials import MemoryFiles
from slash80.errors import InvalidConfig


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pod_signs_in_with_the_account_that_the_kubelet_mounts(tmp_path: Path, host: str, server: str) -> None:
    """Server, token and authority come from the variables and the folder that Kubernetes gives each pod."""
    (tmp_path / "token").write_text("secret\n")
    found = credentials.in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)

    assert (server, "secret", tmp_path / "ca.crt") == (found.server, found.current().token, found.authority)


def test_outside_of_a_pod_the_error_names_variable_and_option(tmp_path: Path) -> None:
    """The message names what a pod would have, and the option with which the agent does without the API."""
    for environ in ({}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}):
        with pytest.raises(InvalidConfig, match=r"KUBERNETES_SERVICE_HOST .*--cni-only"):
            credentials.in_cluster(environ, tmp_path)


def test_files_in_memory_need_no_folder_and_end_with_the_block() -> None:
    """They are descriptors of this process, which a program that it starts does not get, and which are closed."""
    with MemoryFiles() as held:
        path = held.add("key", b"secret")
        assert (Path("/proc/self/fd"), b"secret") == (path.parent, path.read_bytes())
        assert not os.get_inheritable(int(path.name))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(int(path.name))
