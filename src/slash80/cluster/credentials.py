"""Where the API server is and who we are there: a pod's service account, or a person's kubeconfig."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from slash80.errors import InvalidConfig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """An API server's URL, the authority that signs its certificate, and a token's or a certificate's files.

    The token is read again for each request, since the kubelet replaces it within the hour.
    """

    server: str
    authority: Path | None = None
    token_file: Path | None = None
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None

    def bearer(self) -> str:
        """Return the token of this moment; empty without one. Raise OSError when its file cannot be read."""
        return self.token_file.read_text().strip() if self.token_file else self.token


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> ClientConfig:
    """Return the account of the pod that this runs in; raise InvalidConfig outside a pod.

    Who has no kube-proxy yet, or does without, sets the two variables in the DaemonSet to a control-plane endpoint.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        msg = "there is no Kubernetes service account here: KUBERNETES_SERVICE_HOST or the token is missing"
        raise InvalidConfig(f"{msg}; run the agent as its DaemonSet does, or give --cni-only")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return ClientConfig(server, authority=folder / "ca.crt", token_file=folder / "token")
