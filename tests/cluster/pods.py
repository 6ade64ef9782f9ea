"""Pods with a web server that shows the client's address, one on every node."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from ipaddress import ip_address
from typing import Any

from kind.cluster import Cluster
from kind.images import AGNHOST

PORT = 8080


def web_server(udp_port: int = PORT, more: str = "") -> str:
    """Return a container with the server, in YAML's flow style, and with `more` keys."""
    return f"""{{name: web, image: {AGNHOST},
        args: [netexec, --http-port={PORT}, --udp-port={udp_port}], {more}
        readinessProbe: {{httpGet: {{path: /hostname, port: {PORT}}}, periodSeconds: 1}}}}"""


WEB = f"""
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations: [{{operator: Exists}}]
      containers: [{web_server()}]
"""


@dataclass(frozen=True)
class Pod:
    """A pod as Kubernetes shows it."""

    cluster: Cluster
    document: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.document["metadata"]["name"])

    @property
    def node(self) -> str:
        """The node it runs on."""
        return str(self.document["spec"]["nodeName"])

    @cached_property
    def addresses(self) -> list[str]:
        """Its PodIPs, in order."""
        return [str(one["ip"]) for one in self.document["status"].get("podIPs", [])]

    def address(self, version: int) -> str:
        """Return its address of a family."""
        return next(one for one in self.addresses if ip_address(one).version == version)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command in it."""
        return self.cluster.kubectl("exec", self.name, "--", *command, check=check)

    def ask(self, url: str, *, check: bool = True) -> str:
        """Fetch a page from it; empty when that fails and need not succeed."""
        return self.run("curl", "-sgm", "20", url, check=check)


class Pods:
    """The web servers of a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        """Start nothing yet."""
        self._cluster = cluster

    def start(self) -> None:
        """Start them, and wait until they answer."""
        self._cluster.apply(WEB)
        self._cluster.kubectl("rollout", "status", "ds/web", "--timeout=300s")

    def stop(self) -> None:
        """Delete them."""
        self._cluster.kubectl("delete", "ds", "web", "--ignore-not-found")

    def all(self) -> list[Pod]:
        """Return them, in the order of their nodes' names."""
        found = [Pod(self._cluster, one) for one in self._cluster.items("pods", "-l", "app=web")]
        living = [one for one in found if "deletionTimestamp" not in one.document["metadata"] and one.addresses]
        return sorted(living, key=lambda pod: pod.node)

    def two(self) -> tuple[Pod, Pod]:
        """Return two on different nodes."""
        first, second, *_ = self.all()
        return first, second


def url(address: str, path: str = "", port: int = PORT) -> str:
    """Return the URL of a page at an address."""
    host = f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/{path}"


def client_of(answer: str) -> str:
    """Return the address in an answer to /clientip."""
    return answer.rpartition(":")[0].strip("[]").removeprefix("::ffff:")


def dial(pod: Pod, host: str, port: int, tries: int = 1) -> list[str]:
    """Have a pod ask others by name or address, and give the names of those that answered."""
    query = f"dial?host={host}&port={port}&protocol=http&request=hostname&tries={tries}"
    answer = pod.ask(url("127.0.0.1", query))
    found: list[str] = json.loads(answer).get("responses", [])
    return found
