"""A person's kubeconfig: which API server, and how to sign in there."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from slash80.cluster.credentials import ClientConfig
from slash80.errors import InvalidConfig, shown

_DEFAULT = Path("~/.kube/config")


def load(environ: Mapping[str, str], folder: Path) -> ClientConfig:
    """Return the account that `kubectl` uses; what its file holds itself is laid into `folder`.

    Raise InvalidConfig without one, or when it signs in other than by token or certificate.
    """
    path = Path(environ.get("KUBECONFIG", "").split(os.pathsep)[0] or _DEFAULT).expanduser()
    try:
        document = yaml.safe_load(path.read_bytes())
        context = _named(document, "contexts", document["current-context"])["context"]
        cluster = _named(document, "clusters", context["cluster"])["cluster"]
        user = _named(document, "users", context["user"])["user"]
        return ClientConfig(
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
    """Return the path of a file that is named, relative to the kubeconfig, or held as base64."""
    if data := section.get(f"{key}-data"):
        handle, name = tempfile.mkstemp(prefix=f"{key}-", dir=folder)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64decode(data))
        return Path(name)
    return beside.parent / section[key] if key in section else None
