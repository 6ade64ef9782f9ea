"""Credentials out of a program that the kubeconfig names."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from slash80.cluster import exec_plugin
from slash80.cluster.credentials import Credential, MemoryFiles
from slash80.cluster.exec_plugin import ExecPlugin
from slash80.cluster.objects.reading import Unreadable
from slash80.errors import Failure, InvalidConfig

V1 = "client.authentication.k8s.io/v1"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Rig:
    """A plugin that prints what the test says, notes its runs, and a clock that the test moves."""

    def __init__(self, folder: Path, status: object, *, version: str = V1, script: str = "", **spec: Any) -> None:  # noqa: ANN401 -- YAML
        self.folder, self.now, self.terminal = folder, NOW, False
        self.print(status, version)
        plugin = folder / "plugin"
        plugin.write_text(
            f'#!/bin/sh\necho "$@ $MODE" >> {folder}/runs\necho "$KUBERNETES_EXEC_INFO" > {folder}/info\n'
            f"{script or f'cat {folder}/answer'}\n"
        )
        plugin.chmod(0o755)
        section = {"apiVersion": version, "command": "./plugin", "interactiveMode": "IfAvailable", **spec}
        cluster = section.pop("cluster", {})
        read = exec_plugin.read(section, home=folder, cluster=cluster)
        self.held = MemoryFiles()
        self.plugin = ExecPlugin(
            read, os.environ, self.held, now=lambda: self.now, terminal=lambda: self.terminal, seconds=20
        )

    def print(self, status: object, version: str = V1) -> None:
        """Have it print this status from now on."""
        document = {"kind": "ExecCredential", "apiVersion": version, "status": status}
        (self.folder / "answer").write_text(status if isinstance(status, str) else json.dumps(document))

    @property
    def runs(self) -> list[str]:
        """With which arguments it was run."""
        return (self.folder / "runs").read_text().splitlines()

    @property
    def info(self) -> Any:  # noqa: ANN401 -- JSON
        """What it was told."""
        return json.loads((self.folder / "info").read_text())


@pytest.mark.parametrize("version", [V1, "client.authentication.k8s.io/v1beta1"])
def test_token_of_an_exec_plugin(tmp_path: Path, version: str) -> None:
    """EKS' and GKE's plugins print a token; arguments and environment are those of the kubeconfig."""
    env = [{"name": "MODE", "value": "my mode"}]
    rig = Rig(tmp_path, {"token": "secret"}, version=version, args=["get", "a b"], env=env)

    assert Credential("secret") == rig.plugin.current()
    assert ["get a b my mode"] == rig.runs
    assert {"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": False}} == rig.info


def test_client_certificate_of_an_exec_plugin(tmp_path: Path) -> None:
    """Certificate and key are kept where only this user can read them."""
    rig = Rig(tmp_path, {"clientCertificateData": "CERT", "clientKeyData": "KEY"})
    with rig.held:
        credential = rig.plugin.current()

        assert credential.certificate
        assert credential.key
        assert ("CERT", "KEY") == (credential.certificate.read_text(), credential.key.read_text())
        assert 0o600 == credential.key.stat().st_mode & 0o777


def test_a_credential_is_used_until_it_expires(tmp_path: Path) -> None:
    """Then the program is run again, a little before, since a request takes time."""
    rig = Rig(tmp_path, {"token": "first", "expirationTimestamp": "2026-01-01T00:15:00Z"})
    rig.plugin.current()
    rig.print({"token": "second"})
    rig.now += timedelta(minutes=14)
    assert "first" == rig.plugin.current().token
    rig.now += timedelta(seconds=50)
    assert "second" == rig.plugin.current().token
    rig.now += timedelta(days=365)
    assert "second" == rig.plugin.current().token
    assert 2 == len(rig.runs)


def test_a_credential_that_was_refused_is_made_again(tmp_path: Path) -> None:
    """The server may have revoked it before its time."""
    rig = Rig(tmp_path, {"token": "first"})
    rig.plugin.current()
    rig.plugin.forget()
    rig.print({"token": "second"})

    assert "second" == rig.plugin.current().token


@pytest.mark.parametrize(
    ("mode", "terminal", "interactive"),
    [("Never", True, False), ("IfAvailable", True, True), ("IfAvailable", False, False), ("Always", True, True)],
)
def test_a_plugin_may_ask_where_there_is_a_terminal(
    tmp_path: Path, mode: str, *, terminal: bool, interactive: bool
) -> None:
    """It learns that from its environment, and which cluster it is about if it wants to know."""
    rig = Rig(tmp_path, {"token": "x"}, interactiveMode=mode, cluster={"server": "https://a"})
    rig.terminal = terminal
    rig.plugin.current()

    assert {"interactive": interactive, "cluster": {"server": "https://a"}} == rig.info["spec"]


def test_a_plugin_that_must_ask_needs_a_terminal(tmp_path: Path) -> None:
    """It would wait for an answer that cannot come."""
    with pytest.raises(InvalidConfig, match="run this in a terminal"):
        Rig(tmp_path, {"token": "x"}, interactiveMode="Always").plugin.current()


def test_a_plugin_that_fails_is_named_with_its_words(tmp_path: Path) -> None:
    """The cloud's own words say what to do, such as to sign in again."""
    rig = Rig(tmp_path, {}, script="echo session expired, run aws sso login >&2; exit 254", args=["get-token"])
    words = r"plugin failed with code 254: 'session expired, run aws sso login'; try .*/plugin get-token"
    with pytest.raises(Failure, match=words):
        rig.plugin.current()


def test_a_plugin_that_is_not_installed_is_named_with_the_kubeconfigs_hint(tmp_path: Path) -> None:
    """`installHint` is what the cloud wants people to read then."""
    rig = Rig(tmp_path, {}, command="gke-gcloud-auth-plugin-x", installHint="Install it:\n  see https://x")
    with pytest.raises(InvalidConfig, match=r"gke-gcloud-auth-plugin-x .* is not installed; Install it: see https://x"):
        rig.plugin.current()


@pytest.mark.parametrize(
    "printed",
    [
        "",
        "<html>",
        "[]",
        '{"kind": "Status"}',
        '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", "status": {"token": "x"}}',
        {},
        {"token": 7},
        {"token": "a\nb"},
        {"clientCertificateData": "x"},
        {"token": "x", "expirationTimestamp": "tomorrow"},
    ],
)
def test_a_plugin_that_prints_something_else_is_named(tmp_path: Path, printed: object) -> None:
    """What is not a credential of the version that was asked for is never sent to a server."""
    with pytest.raises(Failure, match=r"plugin does not print an ExecCredential: .*; try "):
        Rig(tmp_path, printed).plugin.current()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"apiVersion": "client.authentication.k8s.io/v1alpha1"},
            "exec.apiVersion is .*v1alpha1.*write the kubeconfig again",
        ),
        ({"command": ""}, "exec.command is missing"),
        ({"interactiveMode": "Perhaps"}, "exec.interactiveMode is 'Perhaps', but must be Never, IfAvailable or Always"),
        ({"args": [7]}, "args is .*, but must be a list of strings"),
    ],
)
def test_a_spec_that_cannot_be_followed_is_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """The error names the key of the `exec` section and the next step."""
    with pytest.raises(Unreadable, match=words):
        exec_plugin.read({"apiVersion": V1, "command": "x", **change}, home=tmp_path, cluster={})
