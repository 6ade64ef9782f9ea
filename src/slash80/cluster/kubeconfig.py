"""A person's kubeconfig, read as kubectl reads it: which API server, and how to sign in there.

Source: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/. What kubectl would obey
and this does not is refused by name, never ignored.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from slash80.cluster import exec_plugin
from slash80.cluster.credentials import ClientConfig, Credential, MemoryFiles
from slash80.cluster.exec_plugin import ExecPlugin
from slash80.cluster.objects.reading import Unreadable, mapping, mappings, text
from slash80.errors import InvalidConfig, shown

DEFAULT = Path("~/.kube/config")
_LONGEST = 4 << 20  # characters of a certificate or of a bundle of them
_UNSUPPORTED = {
    "auth-provider": "Kubernetes has removed it; sign in by an exec plugin: the cloud's tool or kubelogin writes that",
    "username": "use a token, a client certificate or an exec plugin",
    "as": "impersonation is not supported; choose a context without it",
    "as-uid": "impersonation is not supported; choose a context without it",
    "as-groups": "impersonation is not supported; choose a context without it",
    "as-user-extra": "impersonation is not supported; choose a context without it",
}


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    document: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Section:
    """A cluster's or a user's part of a kubeconfig. Relative paths in it begin at the folder of its own file."""

    what: str
    values: Mapping[str, Any]
    home: Path = Path()

    def text(self, key: str) -> str:
        return text(self.values, key, most=_LONGEST)

    def path(self, key: str) -> Path | None:
        return self.home / value if (value := self.text(key)) else None

    def file(self, key: str, held: MemoryFiles) -> Path | None:
        """Return the path of a file that is named, or that is held as base64 and becomes one of `held`."""
        if not (data := self.text(f"{key}-data")):
            return self.path(key)
        return held.add(key, _decoded(f"{self.what}: {key}-data", data))


def load(environ: Mapping[str, str], held: MemoryFiles, *, context: str = "") -> ClientConfig:
    """Return the configuration of a context, as long as `held` is open: that keeps what its files hold.

    It is the current one where none is named.

    Raise InvalidConfig, which names the file or the key, when there is no usable one.
    """
    files = [*_files(_paths(environ))]
    where = f"kubeconfig {os.pathsep.join(str(file.path) for file in files)}"
    try:
        name = context or next(filter(None, (text(file.document, "current-context") for file in files)), "")
        if not name:
            raise InvalidConfig(f"{where} has no current context; choose one by kubectl config use-context NAME")
        chosen = _section(files, "context", name)
        user_name = chosen.text("user")
        cluster = _section(files, "cluster", chosen.text("cluster"))
        user = _section(files, "user", user_name) if user_name else _Section("no user", {})
        return _config(cluster, user, environ=environ, held=held)
    except Unreadable as error:
        raise InvalidConfig(f"{where} cannot be used: {error}; try it with kubectl version") from error


def _paths(environ: Mapping[str, str]) -> list[Path]:
    given = [path for path in environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return [Path(path).expanduser() for path in given or [str(DEFAULT)]]


def _files(paths: Sequence[Path]) -> Iterator[_File]:
    """Yield the files that exist, in their order; raise InvalidConfig where none does or one cannot be read."""
    missing = 0
    for path in paths:
        try:
            document = yaml.safe_load(path.read_bytes())
        except FileNotFoundError:
            missing += 1
            continue
        except OSError as error:
            raise InvalidConfig(f"kubeconfig {path} cannot be read: {error.strerror}; set KUBECONFIG") from error
        except (RecursionError, ValueError, yaml.YAMLError) as error:
            reason = shown(" ".join(str(error).split()))
            raise InvalidConfig(f"kubeconfig {path} is not YAML: {reason}; try it with kubectl version") from error
        if document is not None and not isinstance(document, dict):
            raise InvalidConfig(
                f"kubeconfig {path} is {shown(document)}, but must be a mapping; try it with kubectl version"
            )
        yield _File(path, document or {})
    if missing == len(paths):
        names = os.pathsep.join(map(str, paths))
        raise InvalidConfig(f"kubeconfig {names} does not exist; set KUBECONFIG, or run this on a node")


def _section(files: Sequence[_File], kind: str, name: str) -> _Section:
    """Return an entry by its name: the first file's that has it, and nothing of the same name in later ones."""
    what = f"{kind} {shown(name)}"
    for file in files:
        for entry in mappings(file.document, f"{kind}s"):
            if text(entry, "name") == name:
                return _Section(what, mapping(entry, kind), file.path.parent)
    raise Unreadable(f"there is no {what}")


def _config(cluster: _Section, user: _Section, *, environ: Mapping[str, str], held: MemoryFiles) -> ClientConfig:
    server, proxy = cluster.text("server").rstrip("/"), cluster.text("proxy-url")
    if not server.startswith(("https://", "http://")):
        raise Unreadable(f"{cluster.what} has the server {shown(server)}, but it must begin with https:// or http://")
    if proxy and not proxy.startswith(("https://", "http://")):
        raise Unreadable(f"{cluster.what} has the proxy-url {shown(proxy)}, of which only http and https are supported")
    insecure = cluster.values.get("insecure-skip-tls-verify") or False
    authority = cluster.file("certificate-authority", held)
    if not isinstance(insecure, bool) or (insecure and authority):
        msg = f"{cluster.what} has insecure-skip-tls-verify {shown(insecure)}"
        raise Unreadable(f"{msg}, but it must be true or false, and not true with a certificate-authority")
    _refuse_unsupported(user)
    certificate, key = (user.file(name, held) for name in ("client-certificate", "client-key"))
    credential = Credential(user.text("token"), certificate, key)
    if bool(credential.certificate) != bool(credential.key):
        raise Unreadable(f"{user.what} must have client-certificate and client-key together")
    config = ClientConfig(
        server=server,
        authority=authority,
        tls_server_name=cluster.text("tls-server-name"),
        insecure=insecure,
        proxy=proxy,
        token_file=user.path("tokenFile"),
        credential=credential,
    )
    plugin = mapping(user.values, "exec")
    if not plugin or credential.token or config.token_file:
        return config
    told = _told(cluster, config) if plugin.get("provideClusterInfo") else {}
    spec = exec_plugin.read(plugin, home=user.home, cluster=told)
    return replace(config, source=ExecPlugin(spec, environ, held))


def _told(cluster: _Section, config: ClientConfig) -> dict[str, Any]:
    """Return what a plugin is told of the cluster if it wants to know."""
    authority = config.authority.read_bytes() if config.authority else b""
    extensions = {text(one, "name"): one.get("extension") for one in mappings(cluster.values, "extensions")}
    told = {
        "server": config.server,
        "tls-server-name": config.tls_server_name,
        "insecure-skip-tls-verify": config.insecure,
        "certificate-authority-data": base64.b64encode(authority).decode(),
        "proxy-url": config.proxy,
        "config": extensions.get(exec_plugin.EXTENSION),
    }
    return {key: value for key, value in told.items() if value}


def _refuse_unsupported(user: _Section) -> None:
    for key, step in _UNSUPPORTED.items():
        if user.values.get(key):
            raise Unreadable(f"{user.what} has {key}, which is not supported: {step}")


def _decoded(what: str, data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unreadable(f"{what} is not base64") from error
