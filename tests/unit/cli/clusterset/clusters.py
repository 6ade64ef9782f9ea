"""Clusters as the commands for clustersets find them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.kube import CONFIG_MAPS, NAMESPACES, FakeApi, config_map, namespace
from slash80.cli import commands
from slash80.cli.clusterset.apply import MANAGER
from slash80.clusterset import state
from slash80.clusterset.identity import Identity
from slash80.clusterset.state import State
from slash80.settings.clusterset import KEY, NAME
from unit.cli.clusterset.members import key

DEPLOYMENTS = "/apis/apps/v1/deployments"
ALL_CONFIG_MAPS = "/api/v1/configmaps"
SECRETS = "/api/v1/namespaces/slash80-system/secrets"
IMPORTS = "/apis/multicluster.x-k8s.io/v1beta1/serviceimports"
RUNNING = {"readyReplicas": 1}


def deployment(**status: int) -> dict[str, Any]:
    """Return the program's Deployment."""
    return {"metadata": {"name": "slash80-clusterset", "namespace": "slash80-system"}, "status": status}


def secret(key: Identity | None) -> dict[str, Any]:
    """Return the program's Secret."""
    metadata = {"name": "slash80-clusterset", "namespace": "slash80-system"}
    return {"metadata": metadata, "data": key.data() if key else {}}


def cluster(name: str) -> FakeApi:
    """Return an API server in whose cluster the program runs."""
    api = FakeApi()
    api.objects |= {DEPLOYMENTS: {}, IMPORTS: {}, SECRETS: {}, ALL_CONFIG_MAPS: api.objects[CONFIG_MAPS]}
    api.put(NAMESPACES, namespace("slash80-system"))
    api.put(DEPLOYMENTS, deployment(**RUNNING))
    api.put(SECRETS, secret(key(name)))
    return api


class Terminal:
    """Standard input of a person."""

    def __init__(self, lines: list[str]) -> None:
        self._lines = lines

    def isatty(self) -> bool:
        """Report that it is a terminal."""
        return True

    def readline(self) -> str:
        """Return the next line; an empty text at the end."""
        return self._lines.pop(0) if self._lines else ""


@dataclass
class Clusters:
    """API servers by the contexts that lead to them."""

    kubeconfig: Path
    apis: dict[str, FakeApi] = field(default_factory=lambda: {name: cluster(name) for name in ("eu", "us")})

    def says(self, context: str, said: State) -> None:
        """Have the program of a cluster say how it stands."""
        self.apis[context].put(CONFIG_MAPS, config_map(state.NAME, **{state.KEY: state.write(said)}))

    def has_file(self, context: str, text: str) -> None:
        """Have a file in a cluster."""
        body = {"apiVersion": "v1", "kind": "ConfigMap"} | config_map(NAME, **{KEY: text})
        self.apis[context].writes.apply(f"{CONFIG_MAPS}/{NAME}", body, manager=MANAGER, force=True)

    def file(self, context: str) -> str | None:
        """Return the file that a cluster has."""
        found = self.apis[context].objects[CONFIG_MAPS].get(f"slash80-system/{NAME}")
        return None if found is None else str(found["data"][KEY])

    def run(self, command: str, *arguments: str) -> int:
        """Run a command as a person does; return its exit code."""
        return commands.main(["clusterset", command, *arguments, "--kubeconfig", str(self.kubeconfig)])
