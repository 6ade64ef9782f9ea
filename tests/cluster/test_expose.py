"""Ports of pods that are opened on purpose: by an annotation, where the Namespace has the label."""

from collections.abc import Iterator
from functools import partial

import pytest

from cluster.outside import Outside
from cluster.pods import PORT, Pod, url, web_server
from kind.cluster import Cluster

SPACE = "team-a"
LABEL = "slash80.io/allow-expose"


def manifest(name: str, expose: str) -> str:
    """Return a web server that asks for ports to be open."""
    return f"""
apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: {SPACE}, labels: {{app: {name}}}, annotations: {{slash80.io/expose: "{expose}"}}}}
spec:
  terminationGracePeriodSeconds: 0
  tolerations: [{{operator: Exists}}]
  containers: [{web_server()}]
"""


@pytest.fixture
def team(cluster: Cluster) -> Iterator[None]:
    """Have a Namespace without the label."""
    cluster.kubectl("create", "namespace", SPACE)
    yield
    cluster.kubectl("delete", "namespace", SPACE)


def started(cluster: Cluster, name: str) -> Pod:
    """Start a pod, and give it when it is ready."""
    cluster.apply(manifest(name, f"tcp/{PORT}"))
    cluster.kubectl("-n", SPACE, "wait", "--for=condition=Ready", f"pod/{name}", "--timeout=300s")
    return Pod(cluster, cluster.get("pod", "-n", SPACE, name))


def answers(outside: Outside, pod: Pod) -> bool:
    """Report whether a pod answers a stranger at all of its addresses."""
    return len(pod.addresses) == 2 and all(outside.ask(url(address, "hostname")) for address in pod.addresses)


def refuses(outside: Outside, pod: Pod) -> bool:
    """Report whether a pod answers a stranger at none of its addresses."""
    return all(outside.refused(url(address, "hostname")) for address in pod.addresses)


@pytest.mark.usefixtures("team")
def test_the_label_opens_and_closes_the_ports_that_pods_ask_for(cluster: Cluster, outside: Outside) -> None:
    """Of a pod that runs within seconds, of one that comes later from the start; in both families."""
    first = started(cluster, "first")
    assert refuses(outside, first)
    listed = cluster.on(first.node, "/opt/cni/bin/slash80", "attachments")
    assert f"tcp/{PORT} (closed)" in listed

    cluster.kubectl("label", "namespace", SPACE, f"{LABEL}=true")
    cluster.eventually(partial(answers, outside, first), what="the label")
    second = started(cluster, "second")
    assert answers(outside, second)

    cluster.kubectl("label", "namespace", SPACE, f"{LABEL}-")
    for pod in (first, second):
        cluster.eventually(partial(refuses, outside, pod), what="the label is gone")


@pytest.mark.usefixtures("team")
def test_an_entry_that_cannot_be_read_is_named_in_the_pods_events(cluster: Cluster) -> None:
    """Its author looks there, and the pod does not start with less than it asks for."""
    cluster.apply(manifest("wrong", "tcp/443, tcp/0"))

    def named() -> bool:
        return any("has the entry 'tcp/0'" in one["message"] for one in cluster.items("events", "-n", SPACE))

    assert cluster.eventually(named, what="the event")
