"""Accounts: a pod's and a person's."""

import base64
from pathlib import Path

import pytest

from slash80.cluster import account
from slash80.errors import InvalidConfig

KUBECONFIG = """
current-context: me@lab
contexts: [{name: me@lab, context: {cluster: lab, user: me}}]
clusters: [{name: lab, cluster: {server: "https://[2001:db8::1]:6443", certificate-authority-data: %s}}]
users: [{name: me, user: %s}]
"""


@pytest.mark.parametrize(
    ("host", "server"), [("10.96.0.1", "https://10.96.0.1:443"), ("fd00::1", "https://[fd00::1]:443")]
)
def test_account_of_a_pod_comes_from_its_mounted_folder(tmp_path: Path, host: str, server: str) -> None:
    """The kubelet's variables name the server, and token and authority are in the mounted folder."""
    (tmp_path / "token").write_text("secret\n")
    found = account.of_pod({"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": "443"}, tmp_path)

    assert (server, "secret", tmp_path / "ca.crt") == (found.server, found.bearer(), found.authority)


def test_account_outside_of_a_pod_is_refused(tmp_path: Path) -> None:
    """The message says how to work without the API."""
    for environ in ({}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}):
        with pytest.raises(InvalidConfig, match="--cni-only"):
            account.of_pod(environ, tmp_path)


def test_account_of_a_person_comes_from_a_kubeconfig(tmp_path: Path) -> None:
    """Inline data is used directly; file names are relative to the kubeconfig."""
    ca = base64.b64encode(b"authority").decode()
    (tmp_path / "config").write_text(KUBECONFIG % (ca, "{client-certificate: me.crt, client-key-data: a2V5}"))
    found = account.of_person({"KUBECONFIG": f"{tmp_path}/config:{tmp_path}/other"}, tmp_path)

    assert "https://[2001:db8::1]:6443" == found.server
    assert found.authority
    assert b"authority" == found.authority.read_bytes()
    assert (tmp_path / "me.crt", "") == (found.certificate, found.bearer())
    assert found.key
    assert (b"key", 0o600) == (found.key.read_bytes(), found.key.stat().st_mode & 0o777)


@pytest.mark.parametrize("text", ["", "[]", "current-context: gone", "a: [", KUBECONFIG % ("%%%", "{token: x}")])
def test_unusable_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    """The error names the kubeconfig and the next step."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(InvalidConfig, match="kubectl version"):
        account.of_person({"KUBECONFIG": str(tmp_path / "config")}, tmp_path)
    with pytest.raises(InvalidConfig, match="set KUBECONFIG"):
        account.of_person({"KUBECONFIG": str(tmp_path / "none")}, tmp_path)
