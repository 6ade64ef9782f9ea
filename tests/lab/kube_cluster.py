"""Pods, Services and NetworkPolicies that an API server of `lab.kube` shows, and commands that people run with it."""

import json
from pathlib import Path
from typing import Any

from lab.kube import NAMESPACES, PODS, POLICIES, FakeApi, namespace, node
from slash80.cli import commands

Document = dict[str, Any]
SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
SPACES = ("shop", "far")


def pod(space: str, name: str, *addresses: str, on: str = "a", **spec: Any) -> Document:  # noqa: ANN401 -- JSON
    """Return a Pod that runs."""
    return {
        "metadata": {"namespace": space, "name": name, "uid": name, "labels": {"app": name}},
        "spec": {"nodeName": on, "containers": [{"ports": [{"name": "http", "containerPort": 80}]}], **spec},
        "status": {"podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses], "phase": "Running"},
    }


def service(space: str, name: str, *cluster_ips: str, port: int, **spec: Any) -> Document:  # noqa: ANN401 -- JSON
    """Return a Service with one port."""
    ports = [{"name": "http", "port": port, "nodePort": 30080}]
    return {
        "metadata": {"namespace": space, "name": name},
        "spec": {"clusterIPs": [*cluster_ips], "ports": ports, **spec},
    }


def endpoints(space: str, name: str, *addresses: str, port: int) -> Document:
    """Return an EndpointSlice of a Service."""
    return {
        "metadata": {"namespace": space, "name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}},
        "endpoints": [{"addresses": [address], "nodeName": "a"} for address in addresses],
        "ports": [{"name": "http", "port": port}],
    }


class KubeCluster:
    """An API server with two namespaces, and a kubeconfig in a folder of the test's that leads there."""

    def __init__(self, api: FakeApi, server: str, folder: Path) -> None:
        self.api, self._config = api, folder / "kubeconfig"
        for group, _, kind in (path.rpartition("/") for path in (PODS, SERVICES, POLICIES, SLICES)):
            spaces = [f"{group}/namespaces/{space}/{kind}" for space in SPACES]
            api.objects |= {path: {} for path in (f"{group}/{kind}", *spaces)}
        for space in SPACES:
            api.put(NAMESPACES, namespace(space, **{"kubernetes.io/metadata.name": space}))
        services = {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["fd00:10:96::/112", "10.96.0.0/16"]}}
        api.put("/apis/networking.k8s.io/v1/servicecidrs", services)
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}],
        }
        self._config.write_text(json.dumps(config))

    def put_node(self, name: str, cidrs: list[str], addresses: list[str]) -> None:
        """Have a Node."""
        self.api.put("/api/v1/nodes", node(name, cidrs=cidrs, addresses=addresses))

    def put(self, path: str, document: Document) -> None:
        """Have an object in the list of all namespaces, and in that of its own."""
        group, _, kind = path.rpartition("/")
        self.api.put(path, document)
        self.api.put(f"{group}/namespaces/{document['metadata']['namespace']}/{kind}", document)

    def run(self, *arguments: str, state_dir: Path) -> int:
        """Run a command as a person does; return its exit code."""
        return commands.main([*arguments, "--kubeconfig", str(self._config), "--state-dir", str(state_dir)])
