"""A person's kubeconfig."""

import base64
from pathlib import Path

import pytest

from slash80.cluster import kubeconfig
from slash80.errors import InvalidConfig

KUBECONFIG = """
current-context: me@lab
contexts: [{name: me@lab, context: {cluster: lab, user: me}}]
clusters: [{name: lab, cluster: {server: "https://[2001:db8::1]:6443", certificate-authority-data: %s}}]
users: [{name: me, user: %s}]
"""


def test_a_persons_account(tmp_path: Path) -> None:
    """What the file holds itself is laid out; other files are beside it."""
    ca = base64.b64encode(b"authority").decode()
    (tmp_path / "config").write_text(KUBECONFIG % (ca, "{client-certificate: me.crt, client-key-data: a2V5}"))
    found = kubeconfig.load({"KUBECONFIG": f"{tmp_path}/config:{tmp_path}/other"}, tmp_path)

    assert "https://[2001:db8::1]:6443" == found.server
    assert found.authority
    assert b"authority" == found.authority.read_bytes()
    assert (tmp_path / "me.crt", "") == (found.certificate, found.bearer())
    assert found.key
    assert (b"key", 0o600) == (found.key.read_bytes(), found.key.stat().st_mode & 0o777)


@pytest.mark.parametrize("text", ["", "[]", "current-context: gone", "a: [", KUBECONFIG % ("%%%", "{token: x}")])
def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    """With the next step."""
    (tmp_path / "config").write_text(text)
    with pytest.raises(InvalidConfig, match="kubectl version"):
        kubeconfig.load({"KUBECONFIG": str(tmp_path / "config")}, tmp_path)
    with pytest.raises(InvalidConfig, match="set KUBECONFIG"):
        kubeconfig.load({"KUBECONFIG": str(tmp_path / "none")}, tmp_path)
