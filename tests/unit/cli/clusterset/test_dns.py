"""`slash80 clusterset dns`: the change of CoreDNS is shown, made once, and not made where it would break something."""

import json
from argparse import Namespace
from typing import Any

import pytest

from slash80.cli.clusterset import contexts, coredns
from slash80.cli.clusterset import dns as dns_command
from unit.cli.clusterset.clusters import ALL_CONFIG_MAPS, DEPLOYMENTS, Clusters
from unit.cli.clusterset.test_corefile import KUBEADM

ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
GROUPS = "/apis"
USUAL = {"apiGroups": [""], "resources": ["services", "namespaces"], "verbs": ["list", "watch"]}
RULE = {"apiGroups": ["multicluster.x-k8s.io"], "resources": ["serviceimports"], "verbs": ["list", "watch"]}
IMAGE = "registry.k8s.io/coredns/coredns:v1.12.4"


class Dns:
    """CoreDNS in the cluster `eu`."""

    def __init__(self, clusters: Clusters) -> None:
        self._clusters, self.api = clusters, clusters.apis["eu"]
        versions = [{"version": one} for one in ("v1beta1", "v1alpha1")]
        self.api.objects[GROUPS] = {}
        self.api.put(GROUPS, {"metadata": {"name": "multicluster.x-k8s.io"}, "versions": versions})
        self.api.objects[ROLES] = {}
        self.api.put(ROLES, {"metadata": {"name": "system:coredns"}, "rules": [USUAL]})
        self.has(KUBEADM)
        self.runs(IMAGE)

    def has(self, corefile: str, **metadata: Any) -> None:  # noqa: ANN401 -- JSON
        """Have a configuration."""
        named = {"name": "coredns", "namespace": "kube-system"} | metadata
        self.api.put(ALL_CONFIG_MAPS, {"metadata": named, "data": {"Corefile": corefile, "other": "kept"}})

    def runs(self, image: str, name: str = "coredns") -> None:
        """Have an image run."""
        spec = {"template": {"spec": {"containers": [{"name": name, "image": image}]}}}
        self.api.put(DEPLOYMENTS, {"metadata": {"name": name, "namespace": "kube-system"}, "spec": spec})

    @property
    def corefile(self) -> str:
        """The configuration of now."""
        data = self.api.objects[ALL_CONFIG_MAPS]["kube-system/coredns"]["data"]
        assert "kept" == data["other"]
        return str(data["Corefile"])

    @property
    def rules(self) -> list[dict[str, list[str]]]:
        """The rules of now."""
        return list(self.api.objects[ROLES]["system:coredns"]["rules"])

    def run(self, *arguments: str) -> int:
        """Run the command."""
        return self._clusters.run("dns", "eu", *arguments)


@pytest.fixture
def dns(clusters: Clusters) -> Dns:
    """Return CoreDNS as kubeadm installs it, of a version that is new enough."""
    return Dns(clusters)


def test_the_change_is_shown_and_not_made(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """Without `--apply` people see both changes as differences, and nothing is written."""
    assert 0 == dns.run()
    lines = capsys.readouterr().out.splitlines()
    assert "+    kubernetes cluster.local clusterset.local in-addr.arpa ip6.arpa {" in lines
    assert "+       multicluster clusterset.local" in lines
    assert ["+- apiGroups: [multicluster.x-k8s.io]", "+  resources: [serviceimports]", "+  verbs: [list, watch]"] == (
        lines[-4:-1]
    )
    assert "eu: nothing was changed; --apply makes this change" == lines[-1]
    assert (KUBEADM, [USUAL]) == (dns.corefile, dns.rules)


def test_a_terminal_shows_the_difference_in_colours(dns: Dns, colours: pytest.CaptureFixture[str]) -> None:
    """What is to be added is green, and what it replaces is red."""
    assert 0 == dns.run()
    out = colours.readouterr().out
    assert "\x1b[32m+       multicluster clusterset.local" in out
    assert "\x1b[31m-    kubernetes cluster.local in-addr.arpa ip6.arpa {" in out


def test_it_is_made_once(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """`--apply` writes the right and the configuration, and a second time nothing."""
    assert 0 == dns.run("--apply")
    assert "eu: applied" in capsys.readouterr().out
    assert "multicluster clusterset.local" in dns.corefile
    assert [USUAL, RULE] == dns.rules
    assert 0 == dns.run("--apply")
    assert "eu: CoreDNS has the zone clusterset.local already\n" == capsys.readouterr().out
    assert ["clusterroles", "configmaps"] == [
        asked.split("/")[-2] for asked in dns.api.seen if asked.startswith("PATCH")
    ]


@pytest.mark.parametrize("rule", [RULE, {key: ["*"] for key in RULE}])
def test_a_right_that_is_there_is_not_given_again(rule: dict[str, list[str]], dns: Dns) -> None:
    """A rule that allows it already, also by a star, is enough."""
    dns.api.put(ROLES, {"metadata": {"name": "system:coredns"}, "rules": [USUAL, rule]})

    assert 0 == dns.run("--apply")
    assert [USUAL, rule] == dns.rules


@pytest.mark.parametrize("tag", ["v1.12.1", "1.11.3", "v1.9.3"])
def test_an_old_one_is_not_broken(tag: str, dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """A CoreDNS that does not know the option would not start again, so it gets neither change."""
    dns.runs(f"registry.k8s.io/coredns/coredns:{tag}")

    assert 1 == dns.run("--apply")
    assert "bring a newer one first: kubectl --context eu" in capsys.readouterr().err
    assert (KUBEADM, [USUAL]) == (dns.corefile, dns.rules)


@pytest.mark.parametrize("image", ["coredns@sha256:00", "coredns", "host:5000/coredns", "coredns:latest"])
def test_a_version_that_is_not_seen_has_to_be_said(image: str, dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """An image without a version in its tag is not changed unless people say which it is."""
    dns.runs(image)

    assert 1 == dns.run("--apply")
    assert "give --coredns-version" in capsys.readouterr().err
    assert 0 == dns.run("--apply", "--coredns-version", "1.12.2")
    assert "multicluster" in dns.corefile


def test_what_is_seen_counts_more_than_what_is_said(dns: Dns) -> None:
    """An old one is not broken by an option that was meant for another cluster."""
    dns.runs("registry.k8s.io/coredns/coredns:v1.12.1")

    assert 1 == dns.run("--apply", "--coredns-version", "1.12.4")
    assert KUBEADM == dns.corefile


def test_a_version_that_is_none_is_wrong_usage(dns: Dns) -> None:
    """The exit code is 2."""
    assert 2 == dns.run("--coredns-version", "new")


def test_kube_dns_cannot(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """On a cluster with kube-dns people read what to run instead."""
    dns.api.remove(ALL_CONFIG_MAPS, "kube-system/coredns")
    dns.runs("gke.gcr.io/k8s-dns-kube-dns:1.22", name="kube-dns")

    assert 1 == dns.run("--apply")
    assert "by stubDomains in the ConfigMap kube-system/kube-dns" in capsys.readouterr().err


def test_a_cluster_without_a_corefile(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """Other managed DNS is said to be that."""
    dns.api.remove(ALL_CONFIG_MAPS, "kube-system/coredns")

    assert 1 == dns.run()
    assert "managed in another way" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("metadata", "image", "expected"),
    [
        ({}, "602401143452.dkr.ecr.eu-west-1.amazonaws.com/eks/coredns:v1.12.4-eksbuild.1", "in the value corefile"),
        ({"managedFields": [{"manager": "eks", "operation": "Apply"}]}, IMAGE, "in the value corefile"),
        ({"labels": {"app.kubernetes.io/managed-by": "Helm"}}, IMAGE, "in its values"),
        ({"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}}, IMAGE, "addon manager"),
        ({"annotations": {"objectset.rio.cattle.io/owner-name": "coredns"}}, IMAGE, "k3s or Rancher"),
    ],
)
def test_what_would_be_put_back_is_not_changed(
    metadata: dict[str, Any], image: str, expected: str, dns: Dns, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a cloud or a distribution writes the Corefile people read where to change it instead."""
    dns.has(KUBEADM, **metadata)
    dns.runs(image)

    assert 1 == dns.run("--apply")
    assert expected in capsys.readouterr().err
    assert KUBEADM == dns.corefile


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"addonmanager.kubernetes.io/mode": "Reconcile"}},
        {"labels": {"objectset.rio.cattle.io/hash": "bce283298811743a0386ab510f2f67ef74240c57"}},
    ],
    ids=["AKS", "k3s"],
)
def test_a_managed_corefile_that_imports_more_says_where_to_put_it(
    metadata: dict[str, Any], dns: Dns, capsys: pytest.CaptureFixture[str]
) -> None:
    """What people add to such a CoreDNS stands in a ConfigMap of its own, which stays."""
    dns.has(f"{KUBEADM}import /etc/coredns/custom/*.server\n", **metadata)

    assert 1 == dns.run("--apply")
    err = capsys.readouterr().err
    assert "into the key clusterset.server of the ConfigMap kube-system/coredns-custom" in err
    assert "has to be of version 1.12.2" in err


def test_serviceimports_come_first(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the version of the API that CoreDNS reads it would wait for it, so people read how to bring it."""
    dns.api.put(GROUPS, {"metadata": {"name": "multicluster.x-k8s.io"}, "versions": [{"version": "v1beta1"}]})

    assert 1 == dns.run("--apply")
    assert "kubectl --context eu create -k manifests/mcs-crds brings them" in capsys.readouterr().err


def test_an_unusual_corefile_is_left_to_people(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence has what to write by hand, and the right is not changed either."""
    dns.has(KUBEADM.replace("kubernetes", "k8s_external"))

    assert 1 == dns.run("--apply")
    assert "by hand in the ConfigMap kube-system/coredns" in capsys.readouterr().err
    assert [USUAL] == dns.rules


def test_without_reload_a_restart_is_needed(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """People read the command for it."""
    dns.has(KUBEADM.replace("    reload\n", ""))

    assert 0 == dns.run("--apply")
    assert "rollout restart deployment/coredns" in capsys.readouterr().out


def test_a_change_at_the_same_time_is_not_lost(dns: Dns, clusters: Clusters) -> None:
    """A configuration that another program has changed since it was shown is not overwritten."""
    with contexts.opened(Namespace(kubeconfig=clusters.kubeconfig), "eu") as api:
        there = coredns.read("eu", api)
        dns.has("another one")
        problem = dns_command._apply(api, there, "ours")

    assert "another program changes it at the same time" in problem
    assert "another one" == dns.corefile


def test_a_cluster_that_cannot_be_asked_does_not_stop_the_others(dns: Dns, capsys: pytest.CaptureFixture[str]) -> None:
    """Each context has its own result."""
    assert 1 == dns.run("nowhere", "--apply", "-o", "json")
    eu, nowhere = json.loads(capsys.readouterr().out)
    assert eu["applied"]
    assert "there is no context" in nowhere["problem"]
