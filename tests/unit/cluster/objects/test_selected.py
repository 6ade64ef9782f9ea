"""Kinds of objects whose readers are loaded with the first object."""

import subprocess
import sys

import pytest

from slash80.cluster.objects.reading import Resource
from slash80.cluster.objects.selected import NAMESPACES, NETWORK_POLICIES, PODS
from slash80.policy.model import Namespace, Pod, Policy, Selector

METADATA = {"metadata": {"namespace": "shop", "name": "web"}}
LOADED = """
import sys
import slash80.agent.reconcilers.controller
import slash80.agent.run
named = {"slash80.policy.model", "slash80.policy.compile", "slash80.firewall.policies.table", "netaddr"}
print(sorted(named & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    ("resource", "read"),
    [
        (NETWORK_POLICIES, Policy("shop", "web", Selector())),
        (NAMESPACES, Namespace("web")),
        (PODS, Pod("shop", "web")),
    ],
)
def test_objects_are_read_as_the_policies_rooms_values(resource: Resource[object], read: object) -> None:
    """A list's reader is loaded when there is something to read."""
    assert read == resource.read(METADATA)


def test_an_agent_loads_nothing_of_policies_without_one() -> None:
    """Most of what policies need takes more than 1 MiB of each node's memory."""
    said = subprocess.run([sys.executable, "-c", LOADED], stdout=subprocess.PIPE, check=True, text=True, timeout=300)
    assert "[]" == said.stdout.strip()
