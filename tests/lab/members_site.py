"""Clusters of a clusterset without nodes: an API server each, and the program that ships, in network namespaces.

A router is between them, and each has a public prefix of its own; their Services have the same addresses.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.control_plane import ControlPlane
from lab.namespaces import Namespace, unique_name
from lab.node_agent import WITH_ACCOUNT
from lab.waiting import PATIENCE, wait_until
from slash80.settings.clusterset import Clusterset, parse, render

SYSTEM, PROGRAM, TEAM = "slash80-system", "slash80-clusterset", "shop"
_ROOT = Path(__file__).parents[2]
_MANIFESTS = _ROOT / "manifests"
_STATE = "slash80-clusterset-state"
Document = dict[str, Any]


class Cluster:
    """One of them; `number` is in its addresses."""

    def __init__(self, control_plane: ControlPlane, number: int, name: str, folder: Path) -> None:
        """Take note of it; nothing is made."""
        self.control_plane, self.number, self.id, self._folder = control_plane, number, name, folder
        self._process: subprocess.Popen[bytes] | None = None
        self.kubectl, self.get = control_plane.kubectl, control_plane.get

    @property
    def prefix(self) -> str:
        """The prefix of its pods."""
        return f"2001:db8:{self.number:x}::/48"

    def address(self, number: int) -> str:
        """Return an address of a pod."""
        return f"2001:db8:{self.number:x}::{number:x}"

    def install(self) -> None:
        """Apply what ships, but its Deployment, for which there is no node."""
        self.kubectl("create", "-f", _MANIFESTS / "base/namespace.yaml")
        self.kubectl("create", "namespace", TEAM)
        self.kubectl("create", "-k", _MANIFESTS / "mcs-crds")
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=120s")
        self.kubectl("apply", "-k", _MANIFESTS / "clusterset")
        self._folder.mkdir()
        (self._folder / "token").write_text(self.control_plane.token(SYSTEM, PROGRAM))
        (self._folder / "namespace").write_text(SYSTEM)
        (self._folder / "ca.crt").write_bytes(self.control_plane.authority.read_bytes())

    def start(self) -> None:
        """Start the program, as its pod has it: with the account's token, and nothing else."""
        command = ["unshare", "--mount", "sh", "-euc", WITH_ACCOUNT, "sh", str(self._folder)]
        command += [sys.executable, "-m", "slash80", "clusterset", "serve"]
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
        variables |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
        namespace = self.control_plane.namespace
        with self.log.open("ab") as log:
            self._process = namespace.run(lambda: subprocess.Popen(command, env=variables, stdout=log, stderr=log))

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """End the program if it runs, and return its exit code."""
        if self._process is None:
            return 0
        self._process.send_signal(how)
        code = self._process.wait(timeout=60 * PATIENCE)
        self._process = None
        return code

    @property
    def log(self) -> Path:
        """What the program says."""
        return self._folder.with_suffix(".log")

    def said(self, words: str) -> int:
        """Count how often the program has said something."""
        return self.log.read_text().count(words)

    def certificate(self) -> str:
        """Return its certificate as the file has it, once it has one."""
        wait_until(lambda: bool(self._secret()))
        pem = base64.b64decode(self._secret()["tls.crt"]).decode()
        return "".join(pem.partition("-----BEGIN CERTIFICATE-----")[2].partition("-----END")[0].split())

    def entry(self) -> Document:
        """Return its entry for the file."""
        return {
            "id": self.id,
            "prefixes": [self.prefix],
            "certificates": [self.certificate()],
            "at": [f"[{self.address(1)}]:8180"],
            "since": dt.date(2026, 11, 1).isoformat(),
            "namespaces": ["*"],
        }

    def file(self, clusterset: Clusterset | None) -> None:
        """Put the file into this cluster, or delete it."""
        if clusterset is None:
            self.kubectl("delete", "configmap", PROGRAM, "-n", SYSTEM)
            return
        metadata = {"name": PROGRAM, "namespace": SYSTEM}
        document = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
        self.apply({**document, "data": {"clusterset.yaml": render(clusterset)}})

    def apply(self, *documents: Document) -> None:
        """Apply objects."""
        self.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def export(self, name: str, *addresses: str) -> None:
        """Make a Service with endpoints, and export it."""
        metadata = {"name": name, "namespace": TEAM}
        ports = [{"name": "http", "port": 80, "protocol": "TCP"}]
        self.apply(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": metadata,
                "spec": {"ipFamilyPolicy": "PreferDualStack", "ports": ports},
            },
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**metadata, "name": f"{name}-six", "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv6",
                "endpoints": [{"addresses": [one], "conditions": {"ready": True}} for one in addresses],
                "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
            },
            {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport", "metadata": metadata},
        )

    def endpoints(self, name: str) -> dict[str, bool]:
        """Return the addresses behind an imported Service, and whether each is ready."""
        assert not self._process or self._process.poll() is None, f"the program has ended: {self.log.read_text()}"
        labels = f"multicluster.kubernetes.io/service-name={name}"
        items = self.get("endpointslices", "-n", TEAM, "-l", labels)["items"]
        found = (one for item in items for one in item["endpoints"] or ())
        return {one["addresses"][0]: one["conditions"]["ready"] for one in found}

    def state(self) -> Document:
        """Return what the program says of itself."""
        data = self.get("configmap", _STATE, "-n", SYSTEM).get("data", {})
        found: Document = json.loads(data.get("state.json", "{}"))
        return found

    def _secret(self) -> dict[str, str]:
        found: dict[str, str] = self.get("secret", PROGRAM, "-n", SYSTEM).get("data", {})
        return found


class MembersSite:
    """The clusters and the router between them; exists inside the block."""

    def __init__(self, tools: Path, folder: Path, *names: str) -> None:
        """Name them; nothing is made."""
        self._tools, self._folder, self._names = tools, folder, names
        self._router = Namespace(f"{unique_name()}-router")
        self._stack = ExitStack()
        self.clusters: list[Cluster] = []

    def __enter__(self) -> Self:
        """Make all of it, with a program in each cluster that is in no file yet."""
        with ExitStack() as stack:
            Namespace.create(self._router.name)
            stack.callback(self._router.delete)
            self._router.sysctl("ipv6/conf/all/forwarding", 1)
            for number, name in enumerate(self._names, 1):
                folder = self._folder / name
                folder.mkdir()
                control_plane = stack.enter_context(ControlPlane(self._tools, folder))
                cluster = Cluster(control_plane, number, name, folder / "account")
                self._connect(cluster)
                cluster.install()
                stack.callback(cluster.stop, signal.SIGKILL)
                cluster.start()
                self.clusters.append(cluster)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove all of it."""
        self._stack.close()

    def link(self, cluster: Cluster, *, up: bool) -> None:
        """Cut a cluster's way to the others, or restore it."""
        self._router.ip(f"link set c{cluster.number} {'up' if up else 'down'}")
        if up:
            self._router.ip(f"route replace {cluster.prefix} dev c{cluster.number}")

    def _connect(self, cluster: Cluster) -> None:
        number, namespace = cluster.number, cluster.control_plane.namespace
        self._router.ip(
            f"link add c{number} type veth peer name out netns {namespace.name}",
            f"addr add fe80::1/64 dev c{number} nodad",
            f"link set c{number} up",
        )
        namespace.ip(
            "link set out up",
            f"addr add {cluster.address(1)}/128 dev out nodad",
            "route add default via fe80::1 dev out",
        )
        wait_until(lambda: self._router.links_work(f"c{number}") and namespace.links_work("out"))
        self._router.ip(f"route replace {cluster.prefix} dev c{number}")


def clusterset(clusters: Sequence[Cluster], **changes: Document) -> Clusterset:
    """Return the file that lists these clusters, with some keys of an entry replaced."""
    entries = [one.entry() | changes.get(one.id, {}) for one in clusters]
    return parse(json.dumps({"name": "shop", "members": entries}))
