"""Credentials of a pod."""

from pathlib import Path

import pytest

from slash80.cluster import credentials
from slash80.errors import InvalidConfig


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_a_pods_account(tmp_path: Path, host: str, server: str) -> None:
    """The kubelet says where, and lays token and authority into a folder."""
    (tmp_path / "token").write_text("secret\n")
    found = credentials.in_cluster({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)

    assert (server, "secret", tmp_path / "ca.crt") == (found.server, found.current().token, found.authority)


def test_outside_of_a_pod_there_is_none(tmp_path: Path) -> None:
    """The message says how to do without."""
    for environ in ({}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}):
        with pytest.raises(InvalidConfig, match="--cni-only"):
            credentials.in_cluster(environ, tmp_path)
