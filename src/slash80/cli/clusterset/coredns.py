"""What there is of CoreDNS in a cluster, and whether a change of it would last."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slash80.cli.clusterset.contexts import found
from slash80.cluster.api import Api
from slash80.cluster.objects import serviceexport
from slash80.cluster.objects.managed import other_managers
from slash80.cluster.objects.reading import Document, mapping, mappings, text, texts
from slash80.errors import Failure

CONFIG_MAP = "/api/v1/namespaces/kube-system/configmaps/coredns"
ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:coredns"
KEY = "Corefile"
OLDEST = (1, 12, 2)
RULE: Mapping[str, list[str]] = {
    "apiGroups": [serviceexport.GROUP],
    "resources": ["serviceimports"],
    "verbs": ["list", "watch"],
}
_DEPLOYMENTS = "/apis/apps/v1/namespaces/kube-system/deployments"
_READ_BY_COREDNS = "v1alpha1"
_VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?:[-+].*)?")
_CHANGE = "add clusterset.local to the zones of the plugin kubernetes and 'multicluster clusterset.local' to its block"
# AKS, k3s and Gardener read what people add from the ConfigMap coredns-custom, and so does their Corefile say.
_CUSTOM = re.compile(r"^\s*import\s+\S*custom/\*\.server\s*$", re.MULTILINE)
_SERVER = (
    "put a server block of its own, 'clusterset.local { kubernetes clusterset.local { multicluster clusterset.local } "
    "}' on several lines, into the key clusterset.server of the ConfigMap kube-system/coredns-custom"
)
_MOST = 1 << 20  # characters: the API server takes no larger ConfigMap


@dataclass(frozen=True, slots=True)
class CoreDns:
    """The ConfigMap, the ClusterRole, and the tag of the image; empty where that is not seen."""

    config: Document
    role: Document
    tag: str = ""

    @property
    def corefile(self) -> str:
        """The text of the configuration."""
        return text(mapping(self.config, "data"), KEY, most=_MOST)

    @property
    def rules(self) -> list[Any]:
        """The rules of the ClusterRole."""
        return [*mappings(self.role, "rules")]

    @property
    def may_read(self) -> bool:
        """Whether it has the right to follow ServiceImports."""
        return any(_allows(rule) for rule in self.rules)


def read(context: str, api: Api) -> CoreDns:
    """Return what there is; raise Failure where CoreDNS is not run as it can be changed here."""
    config = found(api, CONFIG_MAP)
    if config is None or not text(mapping(config, "data"), KEY, most=_MOST):
        raise Failure(_without(api))
    deployment = found(api, f"{_DEPLOYMENTS}/coredns")
    image = _image(deployment) if deployment else ""
    if reason := _managed(config, image):
        oldest = ".".join(map(str, OLDEST))
        raise Failure(f"{reason}; CoreDNS has to be of version {oldest} for that, an older one would not start again")
    if not _served(api):
        what = f"the API does not have ServiceImports of {serviceexport.GROUP}/{_READ_BY_COREDNS}, which CoreDNS reads"
        raise Failure(f"{what}; kubectl --context {context} create -k manifests/mcs-crds brings them")
    role = found(api, ROLE)
    if role is None:
        raise Failure(
            "there is no ClusterRole system:coredns, which is unusual; allow CoreDNS's service account to list and "
            f"watch serviceimports of {serviceexport.GROUP}, and write its configuration by hand"
        )
    name, _, tag = image.partition("@")[0].rpartition(":")
    return CoreDns(config, role, tag if name and "/" not in tag else "")


def version(tag: str) -> tuple[int, ...] | None:
    """Return the version that an image's tag, or a person, names; None where it is not one."""
    matched = _VERSION.fullmatch(tag)
    return tuple(map(int, matched.groups())) if matched else None


def _without(api: Api) -> str:
    """Return what to do where there is no Corefile."""
    if found(api, f"{_DEPLOYMENTS}/kube-dns"):
        return (
            "this cluster's DNS is kube-dns, which cannot answer for clusterset.local; run a CoreDNS of your own, from "
            "1.12.2 on, and send it that zone by stubDomains in the ConfigMap kube-system/kube-dns, which GKE "
            "Autopilot does not let you change"
        )
    return (
        "there is no Corefile in a ConfigMap kube-system/coredns, so this cluster's DNS is managed in another way; if "
        "it is CoreDNS, write the zone and the option into its configuration there, else run a CoreDNS of your own, "
        "from 1.12.2 on, and have the zone clusterset.local sent to it"
    )


def _managed(config: Document, image: str) -> str:
    """Return who would put the Corefile back, and what to do there; empty where it is people's own."""
    metadata = mapping(config, "metadata")
    labels, annotations = mapping(metadata, "labels"), mapping(metadata, "annotations")
    then = f"{_CHANGE} where it has its setting for it"
    if _CUSTOM.search(text(mapping(config, "data"), KEY, most=_MOST)):
        then = f"{_SERVER}, and allow CoreDNS's service account to list and watch serviceimports"
    if "/eks/coredns" in image or "eks" in other_managers(config, ""):
        return (
            "this is the CoreDNS of EKS, whose add-on may put a changed Corefile back when it is updated; if it is the "
            f"add-on, {_CHANGE} in the value corefile of its configuration (aws eks update-addon "
            "--configuration-values), else by hand"
        )
    if labels.get("addonmanager.kubernetes.io/mode") == "Reconcile":
        return f"the cloud's addon manager puts a changed Corefile back; {then}"
    if any(key.startswith("objectset.rio.cattle.io/") for key in (*labels, *annotations)):
        return f"k3s or Rancher writes the Corefile, and puts a changed one back when it starts; {then}"
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        return f"Helm has installed CoreDNS, and its next upgrade would put the Corefile back; {_CHANGE} in its values"
    return ""


def _image(deployment: Document) -> str:
    """Return the image of CoreDNS among those of a pod."""
    spec = mapping(mapping(mapping(deployment, "spec"), "template"), "spec")
    images = [text(one, "image") for one in mappings(spec, "containers")]
    return next((one for one in images if "coredns" in one), "")


def _served(api: Api) -> bool:
    group = found(api, f"/apis/{serviceexport.GROUP}")
    return group is not None and any(text(one, "version") == _READ_BY_COREDNS for one in mappings(group, "versions"))


def _allows(rule: Mapping[str, Any]) -> bool:
    if rule.get("resourceNames"):
        return False
    return all({*needed} <= {*texts(rule, key)} or "*" in texts(rule, key) for key, needed in RULE.items())
