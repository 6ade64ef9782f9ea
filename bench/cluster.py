"""A large cluster's objects as the API shows them, the same in every run: namespaces, policies, and pods by number."""

import json
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from random import Random
from typing import Any

Document = dict[str, Any]
NAMESPACES, APPS = 50, 20
_FIRST4, _FIRST6 = int(IPv4Address("10.0.0.0")), int(IPv6Address("2001:db8::"))
_STARTED = "2026-01-01T00:00:00Z"
# What a Deployment's pod has beside what is read of it: 5 KB, as kubectl get -o json shows it.
_TOLERATIONS = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    for key in ("not-ready", "unreachable")
]
_PROBE = {"httpGet": {"path": "/healthz", "port": "http", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10}
_CONTAINER = {
    "name": "server",
    "image": "registry.example/shop/server:1.2.3",
    "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
    "env": [{"name": f"SETTING_{number}", "value": f"value-{number}"} for number in range(10)],
    "resources": {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "128Mi"}},
    "volumeMounts": [{"name": "token", "readOnly": True, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}],
    "livenessProbe": _PROBE,
    "readinessProbe": _PROBE,
    "terminationMessagePath": "/dev/termination-log",
    "terminationMessagePolicy": "File",
    "imagePullPolicy": "IfNotPresent",
}
_SPEC = {
    "volumes": [{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}],
    "containers": [_CONTAINER],
    "restartPolicy": "Always",
    "terminationGracePeriodSeconds": 30,
    "dnsPolicy": "ClusterFirst",
    "serviceAccountName": "default",
    "nodeName": "%(node)s",
    "securityContext": {},
    "schedulerName": "default-scheduler",
    "tolerations": _TOLERATIONS,
}
_CONDITIONS = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
_STATUS = {
    "phase": "Running",
    "conditions": [{"type": kind, "status": "True", "lastTransitionTime": _STARTED} for kind in _CONDITIONS],
    "hostIP": "192.0.2.2",
    "podIP": "%(ipv4)s",
    "podIPs": [{"ip": "%(ipv4)s"}, {"ip": "%(ipv6)s"}],
    "startTime": _STARTED,
    "containerStatuses": [
        {
            "name": "server",
            "state": {"running": {"startedAt": _STARTED}},
            "ready": True,
            "image": _CONTAINER["image"],
            "imageID": f"registry.example/shop/server@sha256:{'0' * 64}",
            "containerID": f"containerd://{'0' * 64}",
        }
    ],
    "qosClass": "Burstable",
}
_METADATA = {
    "name": "%(name)s",
    "generateName": "%(app)s-7c9d8f6b5-",
    "namespace": "%(namespace)s",
    "uid": "%(uid)s",
    "resourceVersion": "1",
    "creationTimestamp": _STARTED,
    "labels": {"app": "%(app)s", "tier": "%(tier)s", "ns": "%(namespace)s", "pod-template-hash": "7c9d8f6b5"},
    "ownerReferences": [
        {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "%(app)s-7c9d8f6b5", "controller": True}
    ],
    "managedFields": [
        {"manager": manager, "operation": "Update", "time": _STARTED, "fieldsV1": {f"f:{key}": {} for key in fields}}
        for manager, fields in (
            ("kube-controller-manager", (*_CONTAINER, *_SPEC)),
            ("kubelet", (*_STATUS, *_CONDITIONS)),
        )
    ],
}
_POD = json.dumps({"metadata": _METADATA, "spec": _SPEC, "status": _STATUS})


@dataclass(frozen=True)
class Named:
    """What a runtime is told of a pod."""

    namespace: str
    name: str
    uid: str

    @property
    def arguments(self) -> str:
        """The value of CNI_ARGS."""
        return f"K8S_POD_NAMESPACE={self.namespace};K8S_POD_NAME={self.name};K8S_POD_UID={self.uid}"


def named(number: int) -> Named:
    """Return what names the pod with a number; those whose numbers differ by a thousand are one application's."""
    return Named(f"n{number % NAMESPACES}", f"{_app(number)}-7c9d8f6b5-{number:06}", f"{number:08}-0000-4000-8000-0")


def addresses(number: int) -> tuple[IPv4Address, IPv6Address]:
    """Return the addresses of a pod."""
    return IPv4Address(_FIRST4 + number), IPv6Address(_FIRST6 + number)


def pod(number: int, *, at: int | None = None, node: str = "b") -> str:
    """Return a Pod as JSON; `at` is the number of the pod whose addresses it has."""
    ipv4, ipv6 = addresses(number if at is None else at)
    about, app = named(number), _app(number)
    tier = f"t{int(app[1:]) % 2}"
    return _POD % {**vars(about), "app": app, "tier": tier, "node": node, "ipv4": ipv4, "ipv6": ipv6}


def document(number: int, *, at: int) -> Document:
    """Return the same as values."""
    found: Document = json.loads(pod(number, at=at))
    return found


def _app(number: int) -> str:
    return f"a{number // NAMESPACES % APPS}"


def namespaces() -> list[Document]:
    """Return all Namespaces."""
    return [{"metadata": {"name": f"n{number}", "labels": {"team": f"t{number % 10}"}}} for number in range(NAMESPACES)]


@dataclass
class Policies:
    """Makes policies, of which each selects an application or, every tenth, all pods of its namespace."""

    _random: Random = field(default_factory=lambda: Random(1))

    def made(self, count: int) -> list[Document]:
        """Return so many of them."""
        return [self._policy(number) for number in range(count)]

    def _policy(self, number: int) -> Document:
        selector = {"matchLabels": {"app": _app(number)}} if number % 10 else {}
        spec = {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": self._rules(number, "from"),
            "egress": self._rules(number, "to"),
        }
        return {"metadata": {"name": f"p{number}", "namespace": f"n{number % NAMESPACES}"}, "spec": spec}

    def _rules(self, number: int, key: str) -> list[Document]:
        port = {"protocol": "TCP", "port": 8080}
        return [{key: [self._peer(number), self._peer(number)], "ports": [port]} for _ in range(2)]

    def _peer(self, number: int) -> Document:
        chosen, app = self._random.random(), {"matchLabels": {"app": f"a{self._random.randrange(APPS)}"}}
        if chosen < 0.5:
            return {"podSelector": app}
        if chosen < 0.9:
            team = {"matchLabels": {"team": f"t{self._random.randrange(10)}"}}
            return {"namespaceSelector": team, "podSelector": app}
        if chosen < 0.95:
            return {"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": "t1"}}}
        return {"ipBlock": {"cidr": "10.0.0.0/8", "except": [f"10.{number % 250}.0.0/16"]}}
