"""Signing in by a program, as EKS, GKE and AKS do: `exec` of a kubeconfig's user.

Source: https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from slash80.cluster import programs
from slash80.cluster.credentials import Credential, MemoryFiles
from slash80.cluster.objects.reading import Unreadable, mapping, mappings, text, texts
from slash80.errors import Failure, InvalidConfig, shown

EXTENSION = "client.authentication.k8s.io/exec"
_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_SECONDS = 60  # people sign in meanwhile, in a browser or by a code
_EARLY = timedelta(seconds=10)  # a credential must live as long as the request that it goes with
_LONGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Spec:
    """What a kubeconfig says of a plugin; `cluster` is what the plugin is told of the cluster."""

    version: str
    command: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    interactive: str
    hint: str
    cluster: Mapping[str, Any]


def read(section: Mapping[str, Any], *, home: Path, cluster: Mapping[str, Any]) -> Spec:
    """Read `exec` of a kubeconfig's user; raise Unreadable by the key. A relative path begins at `home`."""
    version, command = text(section, "apiVersion"), text(section, "command")
    if version not in _VERSIONS:
        msg = f"exec.apiVersion is {shown(version)}, of which {' and '.join(_VERSIONS)} are supported"
        raise Unreadable(f"{msg}; have the cloud's tool write the kubeconfig again, as aws eks update-kubeconfig does")
    if not command:
        raise Unreadable("exec.command is missing")
    interactive = text(section, "interactiveMode") or "IfAvailable"
    if interactive not in {"Never", "IfAvailable", "Always"}:
        raise Unreadable(f"exec.interactiveMode is {shown(interactive)}, but must be Never, IfAvailable or Always")
    return Spec(
        version=version,
        command=str(home / command) if "/" in command else command,
        args=tuple(texts(section, "args")),
        env={text(one, "name"): text(one, "value") for one in mappings(section, "env")},
        interactive=interactive,
        hint=text(section, "installHint"),
        cluster=cluster,
    )


class ExecPlugin:
    """Credentials out of a program, which is run again when they expire or are refused."""

    def __init__(
        self,
        spec: Spec,
        environ: Mapping[str, str],
        held: MemoryFiles,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        terminal: Callable[[], bool] | None = None,
        seconds: float = _SECONDS,
    ) -> None:
        """Run nothing yet; certificates are kept in `held`."""
        self._spec, self._environ, self._held = spec, environ, held
        self._now, self._terminal, self._seconds = now, terminal or sys.stdin.isatty, seconds
        self._credential: Credential | None = None
        self._expires: datetime | None = None

    def current(self) -> Credential:
        """Return a credential that has not expired; raise InvalidConfig or Failure when the program gives none."""
        if self._credential is None or (self._expires and self._expires - _EARLY <= self._now()):
            self._credential, self._expires = self._read(self._run())
        return self._credential

    def forget(self) -> None:
        """Run the program again the next time."""
        self._credential = None

    def _run(self) -> bytes:
        spec, terminal = self._spec, self._terminal()
        if spec.interactive == "Always" and not terminal:
            raise InvalidConfig(f"exec plugin {spec.command} has to ask you something; run this in a terminal")
        path = shutil.which(spec.command, path=self._environ.get("PATH"))
        if path is None:
            raise InvalidConfig(f"exec plugin {spec.command} of the kubeconfig is not installed; {self._hint}")
        interactive = terminal and spec.interactive != "Never"
        info = {
            "apiVersion": spec.version,
            "kind": "ExecCredential",
            "spec": {"interactive": interactive, **({"cluster": spec.cluster} if spec.cluster else {})},
        }
        environ = {**self._environ, **spec.env, "KUBERNETES_EXEC_INFO": json.dumps(info)}
        ended = programs.run([path, *spec.args], environ, interactive=interactive, seconds=self._seconds)
        if ended.problem:
            words = f": {shown(ended.words)}" if ended.words else ""
            raise Failure(f"exec plugin {spec.command} {ended.problem}{words}; {self._hint}")
        return ended.output

    @property
    def _hint(self) -> str:
        hint = " ".join(self._spec.hint.split())
        return hint or f"try {' '.join([self._spec.command, *self._spec.args])}"

    def _read(self, output: bytes) -> tuple[Credential, datetime | None]:
        try:
            document = json.loads(output)
            if not isinstance(document, dict) or document.get("kind") != "ExecCredential":
                raise Unreadable(f"it is {shown(output[:100].decode('utf-8', 'replace'))}")
            if (version := text(document, "apiVersion")) != self._spec.version:
                raise Unreadable(f"apiVersion is {shown(version)}, but {self._spec.version} was asked for")
            status = mapping(document, "status")
            return self._credential_of(status), _moment(text(status, "expirationTimestamp"))
        except (RecursionError, ValueError) as error:
            msg = f"exec plugin {self._spec.command} does not print an ExecCredential: {error}"
            raise Failure(f"{msg}; {self._hint}") from error

    def _credential_of(self, status: Mapping[str, Any]) -> Credential:
        token = text(status, "token")
        certificate = text(status, "clientCertificateData", most=_LONGEST)
        key = text(status, "clientKeyData", most=_LONGEST)
        if bool(certificate) != bool(key) or not (token or certificate):
            raise Unreadable("status must have a token, or clientCertificateData and clientKeyData")
        if not token.isprintable():
            raise Unreadable("status.token has characters that no token has")
        if not certificate:
            return Credential(token)
        return Credential(token, *(self._held.add("client", pem.encode()) for pem in (certificate, key)))


def _moment(value: str) -> datetime | None:
    """Read an RFC 3339 time; None without one: the credential lives as long as this process."""
    if not value:
        return None
    moment = datetime.fromisoformat(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
