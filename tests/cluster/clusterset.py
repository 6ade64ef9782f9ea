"""Three kind clusters with a router between them, each with slash80 and the program of a clusterset, none joined yet.

Pods have public prefixes of their own; IPv4 and the addresses of Services are the same in all, as on many real sites.
The router is the sandbox, where each cluster has a network of podman's: it knows the prefixes, and translates no pod.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import yaml

from cluster.pods import Pod, Pods, web_server
from kind import __main__ as kind
from kind import ourimage
from kind.cluster import Cluster, settle
from kind.sandbox import Sandbox
from kind.temporary import MANIFESTS, OVERLAY
from lab import programs

STRANGER = "2001:db8:ffff::80"  # an address of the router: a host of the Internet
SYSTEM, PROGRAM = "slash80-system", "slash80-clusterset"
SERVICE = "multicluster.kubernetes.io/service-name"
SOURCE = "multicluster.kubernetes.io/source-cluster"
KINDS = (
    "services,endpointslices,configmaps,secrets,deployments,serviceaccounts,roles,rolebindings,clusterroles,"
    "clusterrolebindings,validatingadmissionpolicies,validatingadmissionpolicybindings,serviceimports,clusterproperties"
)
Document = dict[str, Any]
_COREDNS = "registry.k8s.io/coredns/coredns"
_WORKLOADS = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec: {{hostname: NAME, terminationGracePeriodSeconds: 0, containers: [{web_server()}]}}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {{name: db}}
spec:
  serviceName: db
  selector: {{matchLabels: {{app: db}}}}
  template:
    metadata: {{labels: {{app: db}}}}
    spec: {{terminationGracePeriodSeconds: 0, containers: [{web_server()}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{ipFamilyPolicy: PreferDualStack, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: db}}
spec: {{clusterIP: None, ipFamilyPolicy: PreferDualStack, selector: {{app: db}}, ports: [{{port: 8080}}]}}
"""


class Member:
    """One of them; `number` is in its prefix, and its pods called web have its name as their host name."""

    def __init__(self, sandbox: Sandbox, name: str, number: int, *, like: str) -> None:
        """Name it; nothing is made. `like` is a configuration in manifests/kind."""
        self.name, self.prefix, self._like = name, f"2001:db8:{number}::/64", like
        self.cluster = Cluster(sandbox, kind.CLUSTER_TOOLS, name, network=f"slash80-{name}")
        self.context = self.id = f"kind-{name}"
        self._folder = sandbox.folder / f"clusterset-{name}"
        self.before: set[str] = set()

    def create(self, image: Path) -> None:
        """Create it, with one node and our image."""
        self._folder.mkdir(exist_ok=True)
        config = self._folder / "kind.yaml"
        config.write_text(json.dumps(self._config()))
        self.cluster.create(config)
        self.cluster.load(image)

    def install(self) -> None:
        """Install all as docs/clusters.md says, and remember what was there before the clusterset's part."""
        kubectl = self.cluster.kubectl
        self._renew_coredns()
        kubectl("create", "-k", MANIFESTS / "mcs-crds")
        kubectl("apply", "-k", self._overlay())
        self.cluster.apply(_WORKLOADS.replace("NAME", self.name))
        settle(self.cluster)
        self.ready("deployment/web", "statefulset/db")
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=300s")
        self.before = self.objects()
        kubectl("apply", "-k", MANIFESTS / "clusterset")
        self.ready(f"deployment/{PROGRAM}", namespace=SYSTEM)
        self.ready("deployment/coredns", namespace="kube-system")

    def delete(self) -> None:
        """Delete what there is of it."""
        for node in self.nodes():
            for end in ("unpause", "kill"):  # or podman waits for its end
                self.cluster.sandbox.run(["podman", end, node], check=False)
        self.cluster.delete()
        self.cluster.sandbox.run(["podman", "network", "rm", f"slash80-{self.name}"], check=False)

    def nodes(self) -> list[str]:
        """Name its nodes, which podman knows also while they are paused."""
        label = f"label=io.x-k8s.kind.cluster={self.name}"
        return self.cluster.podman("ps", "-a", "--filter", label, "--format", "{{.Names}}").split()

    def ready(self, *workloads: str, namespace: str = "default") -> None:
        """Wait until all pods of workloads are of now, and ready."""
        for one in workloads:
            self.cluster.kubectl("-n", namespace, "rollout", "status", one, "--timeout=300s")

    def pod(self) -> Pod:
        """Return a web server of its."""
        return Pods(self.cluster).all()[0]

    def named(self, pod: str) -> Pod:
        """Return a pod."""
        return Pod(self.cluster, self.cluster.get("pod", pod))

    def address(self) -> str:
        """Return the IPv6 address of that pod."""
        return self.pod().address(6)

    def export(self, *services: str) -> None:
        """Export Services."""
        kind_ = {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceExport"}
        items = [{**kind_, "metadata": {"name": name, "namespace": "default"}} for name in services]
        self.cluster.apply(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))

    def unexport(self, service: str) -> None:
        """Export a Service no longer."""
        self.cluster.kubectl("delete", "serviceexport", service)

    def imported(self, service: str) -> dict[str, list[bool]]:
        """Return which clusters have endpoints of an imported Service, and whether each of these is ready."""
        found: dict[str, list[bool]] = {}
        for one in self.cluster.items("endpointslices", "-l", f"{SERVICE}={service}"):
            states = [endpoint["conditions"]["ready"] for endpoint in one["endpoints"] or ()]
            found.setdefault(one["metadata"]["labels"][SOURCE].removeprefix("kind-"), []).extend(states)
        return {name: states for name, states in found.items() if states}

    def sees(self, service: str, *ready: str, silent: str = "") -> None:
        """Wait until an imported Service has an endpoint for each of these names, of the cluster that is called so.

        That of a `silent` one is not ready, and all others are.
        """
        wanted = {name: [True] * ready.count(name) for name in ready} | ({silent: [False]} if silent else {})

        def seen() -> bool:
            found = self.imported(service)
            if found != wanted:
                raise AssertionError(f"it has {found}")
            return True

        self.cluster.eventually(seen, what=f"{service} in {self.name}, with {wanted} behind it")

    def clusterset_ip(self, service: str) -> str:
        """Return the address of an imported Service."""
        (address,) = self.cluster.get("serviceimport", service)["spec"]["ips"]
        return str(address)

    def program(self) -> Pod:
        """Return the pod of the clusterset's program."""
        (found,) = self.cluster.items("pods", "-n", SYSTEM, "-l", f"app.kubernetes.io/name={PROGRAM}")
        return Pod(self.cluster, found)

    def objects(self) -> set[str]:
        """Name all objects that a clusterset could have left."""
        columns = "custom-columns=:.kind,:.metadata.namespace,:.metadata.name"
        lines = self.cluster.kubectl("get", KINDS, "-A", "--no-headers", "-o", columns).splitlines()
        return {" ".join(line.split()) for line in lines}

    def routes(self) -> Iterator[tuple[str, str]]:
        """Yield what a router has to know: the public prefix of each node, and its address."""
        for node in self.cluster.items("nodes"):
            inner = [one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"]
            gateway = next(one for one in inner if ip_address(one).version == 6)
            yield from ((one, gateway) for one in node["spec"]["podCIDRs"] if ip_network(one).version == 6)

    def _config(self) -> Document:
        """Return the configuration with a prefix of its own, and one node.

        Its etcd need not survive the machine, and no other scheduler waits for this one's end: that is less to do.
        """
        found: Document = yaml.safe_load((MANIFESTS / "kind" / f"cluster-{self._like}.yaml").read_text())
        found["networking"]["podSubnet"] = found["networking"]["podSubnet"].replace("2001:db8:a:b::/64", self.prefix)
        del found["nodes"][1:]
        alone = {"extraArgs": {"leader-elect": "false"}}
        parts = {"controllerManager": alone, "scheduler": alone}
        etcd = {"local": {"extraArgs": {"unsafe-no-fsync": "true"}}}
        found["kubeadmConfigPatches"].append(json.dumps({"kind": "ClusterConfiguration", "etcd": etcd, **parts}))
        return found

    def _overlay(self) -> Path:
        """Write what a person writes to install slash80 with the prefixes of this cluster."""
        settings = {"firewall": {"clusterPrefixes": [self.prefix, "10.80.0.0/16"]}}
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "slash80", "namespace": SYSTEM}}
        document = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": [os.path.relpath(OVERLAY, self._folder)],
            "patches": [{"patch": json.dumps({**config, "data": {"config.yaml": json.dumps(settings)}})}],
        }
        (self._folder / "kustomization.yaml").write_text(json.dumps(document))
        return self._folder

    def _renew_coredns(self) -> None:
        """Bring the newer CoreDNS that `slash80 clusterset dns` asks for, one replica of it.

        It is the same program: kubeadm has an older one's tag, and the node image has ours under that.
        """
        deployment, (before,) = "deployment/coredns", self._images_of_coredns()
        version = programs.run([kind.CLUSTER_TOOLS / "coredns", "-version"]).split()[0].removeprefix("CoreDNS-")
        for node in self.cluster.nodes():
            self.cluster.on(node, "ctr", "-n", "k8s.io", "images", "tag", "--force", before, f"{_COREDNS}:v{version}")
        self.cluster.kubectl("-n", "kube-system", "scale", deployment, "--replicas=1")
        self.cluster.kubectl("-n", "kube-system", "set", "image", deployment, f"coredns={_COREDNS}:v{version}")

    def _images_of_coredns(self) -> list[str]:
        spec = self.cluster.get("-n", "kube-system", "deployment", "coredns")["spec"]["template"]["spec"]
        return [one["image"] for one in spec["containers"]]


class Site:
    """The clusters, their router, and the file that says which of them belong together."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Name them; nothing is made."""
        self.sandbox = sandbox
        likes = {"eu": "dual", "us": "dual-v6", "ap": "dual-v6"}
        self.members = [Member(sandbox, name, number, like=likes[name]) for number, name in enumerate(likes, 1)]
        self.joined: list[Member] = []  # also those that have left since
        self.file = sandbox.folder / "world.yaml"
        self.seconds = 0.0, 0.0  # until the clusters were created, and until all was ready

    def slash80(self, *words: str, check: bool = True) -> str:
        """Run a command of `slash80 clusterset`, as a person does."""
        program = Path(os.environ["SLASH80_ROOT"], "opt/cni/bin/slash80")
        return self.sandbox.run([program, "clusterset", *words], check=check)

    def join(self, *members: Member) -> None:
        """Add clusters to the file, have it in all that are in it then, and export Services; each joins only once."""
        if new := [one for one in members if one not in self.joined]:
            contexts = [one.context for one in new]
            self.slash80("add", "-f", str(self.file), "--namespaces", "*", *contexts)
            self.slash80("apply", "-f", str(self.file), "--yes", *self.listed())
            self.slash80("dns", "--apply", *contexts)
            for one in new:
                one.export("web", "db")
            self.joined += new

    def strike(self, member: Member) -> None:
        """Strike a cluster from the file, and have it in those that are left."""
        document = yaml.safe_load(self.file.read_text())
        document["members"] = [one for one in document["members"] if one["id"] != member.id]
        self.file.write_text(yaml.safe_dump(document))
        self.slash80("apply", "-f", str(self.file), "--yes", *self.listed())

    def listed(self) -> list[str]:
        """Return the contexts of the clusters in the file, which are their ids, too."""
        return [one["id"] for one in yaml.safe_load(self.file.read_text())["members"]]

    def each(self, work: Callable[[Member], None]) -> None:
        """Do something with each cluster, side by side: most of it is waiting."""
        with ThreadPoolExecutor(len(self.members)) as pool:
            for _ in pool.map(work, self.members):
                pass


@contextmanager
def brought_up(sandbox: Sandbox) -> Iterator[Site]:
    """Make the clusters and the way between them; delete them afterwards."""
    site, image = Site(sandbox), ourimage.ensure(kind.CACHE)
    with ExitStack() as stack:
        stack.callback(site.file.unlink, missing_ok=True)
        stack.callback(site.each, Member.delete)
        begun = time.monotonic()
        site.each(lambda member: member.create(image))
        created = time.monotonic() - begun
        site.each(Member.install)
        site.seconds = created, time.monotonic() - begun
        for member in site.members:
            for prefix, gateway in member.routes():
                sandbox.run(["ip", "route", "replace", prefix, "via", gateway])
        sandbox.run(["ip", "address", "add", f"{STRANGER}/128", "dev", "lo"])
        stack.callback(sandbox.run, ["ip", "address", "del", f"{STRANGER}/128", "dev", "lo"])
        yield site


@contextmanager
def looping(pod: Pod, script: str) -> Iterator[Callable[[], list[str]]]:
    """Have a pod run a shell's script, and yield what returns the lines that it has printed by then.

    The script ends when the file END appears. It needs no API server meanwhile, as `kubectl exec` would.
    """
    lines, end = "/tmp/lines", "/tmp/end"
    pod.run("sh", "-c", f"rm -f {end}; ({script.replace('END', end)}) > {lines} 2>&1 < /dev/null &")
    try:
        yield lambda: pod.run("cat", lines).splitlines()
    finally:
        pod.run("touch", end, check=False)
