"""Which API server, how to reach it, and with which credentials."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

from slash80.errors import InvalidConfig

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True, slots=True)
class Credential:
    """A bearer token, a client certificate with its key, both, or nothing."""

    token: str = ""
    certificate: Path | None = None
    key: Path | None = None


class CredentialSource(Protocol):
    """Makes credentials that expire."""

    def current(self) -> Credential:
        """Return one that is valid; raise CniError or OSError."""

    def forget(self) -> None:
        """Make another one the next time, since the server has refused this one."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """An API server's URL, how its certificate is checked, a proxy on the way, and credentials.

    `authority` is a file of certificates, without which the system's are used; `tls_server_name` is the name in the
    server's certificate if it is not that of the URL. A token's file is read again for each request, since the kubelet
    replaces it within the hour.
    """

    server: str
    authority: Path | None = None
    tls_server_name: str = ""
    insecure: bool = False
    proxy: str = ""
    token_file: Path | None = None
    credential: Credential = Credential()
    source: CredentialSource | None = None

    def current(self) -> Credential:
        """Return the credentials of this moment. Raise CniError where they cannot be made, OSError by a file."""
        if self.token_file:
            return Credential(self.token_file.read_text().strip(), self.credential.certificate, self.credential.key)
        return self.source.current() if self.source else self.credential


class MemoryFiles:
    """Files in memory, which end with the block: OpenSSL takes certificates by a path only.

    So no key is on a disk, and nothing needs a folder for temporary files, which an image with the plugin alone lacks.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def add(self, name: str, content: bytes) -> Path:
        """Return the path of a new file, which only this process can open."""
        number = os.memfd_create(name, os.MFD_CLOEXEC)
        self._stack.callback(os.close, number)
        os.fchmod(number, 0o600)
        with os.fdopen(number, "wb", closefd=False) as file:
            file.write(content)
        return Path(f"/proc/self/fd/{number}")


def in_cluster(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> ClientConfig:
    """Return the configuration of the pod that this runs in; raise InvalidConfig outside of one.

    Where there is no kube-proxy, or not yet, the DaemonSet sets the two variables to a control-plane endpoint.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        msg = "there is no Kubernetes service account here: KUBERNETES_SERVICE_HOST or the token is missing"
        raise InvalidConfig(f"{msg}; run the agent as its DaemonSet does, or give --cni-only")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return ClientConfig(server, authority=folder / "ca.crt", token_file=folder / "token")
