"""What a Pod declares about its ports."""

from typing import Any

import pytest

from slash80.addressing.openings import EXPOSE
from slash80.addressing.ports import TCP, UDP, PortRange
from slash80.cluster.objects.openings import ContainerPort, Declared, read_declared


def test_ports_of_containers_and_of_the_annotation() -> None:
    """Host ports with their addresses, and merged ranges of what should be open."""
    ports = [{"containerPort": 80, "hostPort": 8080, "hostIP": "192.0.2.1"}, {"containerPort": 53, "protocol": "UDP"}]
    document = {
        "metadata": {"annotations": {EXPOSE: "tcp/443, tcp/444"}},
        "spec": {"containers": [{"ports": ports}, {}]},
    }
    assert read_declared(document) == Declared(
        (ContainerPort(TCP, 80, 8080, "192.0.2.1"), ContainerPort(UDP, 53)), (PortRange("tcp", 443, 444),)
    )


@pytest.mark.parametrize("value", ["tcp/0", "any", 7, "tcp/443,,x"])
def test_an_annotation_that_cannot_be_understood_asks_for_nothing(value: Any) -> None:  # noqa: ANN401 -- any JSON value
    """ADD has refused such a pod, so nothing of it is open."""
    assert read_declared({"metadata": {"annotations": {EXPOSE: value}}}).expose == ()
