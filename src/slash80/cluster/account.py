"""Where the API server is and who we are there: a pod's service account, or a person's kubeconfig."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from slash80.errors import InvalidConfig, shown

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_KUBECONFIG = Path("~/.kube/config")


@dataclass(frozen=True, slots=True)
class Account:
    """An API server's URL, the authority that signs its certificate, and a token's or a certificate's files.

    The token is read anew for each request, since the kubelet replaces it within the hour.
    """

    server: str
    authority: Path | None = None
    token_file: Path | None = None
    token: str = ""
    certificate: Path | None = None
    key: Path | None = None

    def bearer(self) -> str:
        """Give the token of this moment; empty without one. Raise OSError when its file cannot be read."""
        return self.token_file.read_text().strip() if self.token_file else self.token


def of_pod(environ: Mapping[str, str], folder: Path = SERVICE_ACCOUNT) -> Account:
    """Give the account of the pod that this runs in; raise InvalidConfig when it runs in none.

    Who has no kube-proxy yet, or does without, sets the two variables in the DaemonSet to a control-plane endpoint.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST", ""), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (folder / "token").exists():
        msg = "there is no Kubernetes service account here: KUBERNETES_SERVICE_HOST or the token is missing"
        raise InvalidConfig(f"{msg}; run the agent as its DaemonSet does, or give --cni-only")
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Account(server, authority=folder / "ca.crt", token_file=folder / "token")


def of_person(environ: Mapping[str, str], folder: Path) -> Account:
    """Give the account that `kubectl` uses; what its file holds itself is laid into `folder`.

    Raise InvalidConfig when there is none or it signs in in another way than by token or certificate.
    """
    path = Path(environ.get("KUBECONFIG", "").split(os.pathsep)[0] or _KUBECONFIG).expanduser()
    try:
        document = yaml.safe_load(path.read_bytes())
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"]
        return Account(
            server=cluster["server"],
            authority=_file(cluster, "certificate-authority", beside=path, folder=folder),
            token=user.get("token", ""),
            token_file=Path(user["tokenFile"]) if "tokenFile" in user else None,
            certificate=_file(user, "client-certificate", beside=path, folder=folder),
            key=_file(user, "client-key", beside=path, folder=folder),
        )
    except OSError as error:
        raise InvalidConfig(f"kubeconfig {path} cannot be read: {error.strerror}; set KUBECONFIG") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError, StopIteration, binascii.Error) as error:
        msg = f"kubeconfig {path} has no usable current context: {shown(str(error))}"
        raise InvalidConfig(f"{msg}; try it with kubectl version") from error


def _named(document: Mapping[str, Any], kind: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(entry for entry in document[kind] if entry["name"] == name)
    return found


def _file(section: Mapping[str, Any], key: str, *, beside: Path, folder: Path) -> Path | None:
    """Give the path of a file that is named, relative to the kubeconfig, or held as base64."""
    if data := section.get(f"{key}-data"):
        handle, name = tempfile.mkstemp(prefix=f"{key}-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64decode(data))
        return Path(name)
    return beside.parent / section[key] if key in section else None
