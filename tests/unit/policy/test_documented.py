"""The NetworkPolicy between clusters that docs/networkpolicy.md shows does what the page says of it."""

import re
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
import yaml

from policy.cluster import cluster, endpoints
from policy.packets import Wall
from slash80.addressing.ports import TCP, UDP
from slash80.cluster.objects.networkpolicy import read_network_policy
from slash80.policy.compile import compile_rules
from slash80.policy.evaluate import Oracle
from slash80.policy.model import Flow, Namespace, Pod
from slash80.settings.cluster import ClusterSettings

PAGE = (Path(__file__).parents[3] / "docs/networkpolicy.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Policies between clusters")[2]
SETTINGS, POLICY = (yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)[:2])
API = Pod("shop", "api", labels={"app": "api"}, addresses=(ip_address("10.80.1.1"), ip_address("2001:db8:b::1")))
BESIDE = Pod("shop", "web", labels={"app": "web"}, addresses=(ip_address("10.80.1.2"), ip_address("2001:db8:b::2")))
FAR = Pod("other", "web", labels={"app": "web"}, addresses=(ip_address("10.80.1.3"), ip_address("2001:db8:b::3")))
NAMED, EXCEPTED = "2001:db8:a:1::5", "2001:db8:a:ff::5"


@pytest.mark.parametrize(
    ("source", "target", "protocol", "port", "allowed"),
    [
        (NAMED, API, TCP, 8443, True),
        (NAMED, API, TCP, 8444, False),
        (NAMED, API, UDP, 8443, False),
        (EXCEPTED, API, TCP, 8443, False),
        ("2001:db8:c::5", API, TCP, 8443, False),
        ("2001:db8:b::2", API, TCP, 9000, True),
        ("2001:db8:b::3", API, TCP, 8443, False),
        ("10.80.1.2", API, TCP, 9000, True),
        ("10.80.1.3", API, TCP, 8443, False),
        (EXCEPTED, BESIDE, TCP, 9000, True),
    ],
)
def test_the_example_lets_in_one_port_from_the_other_cluster(
    source: str, target: Pod, protocol: int, port: int, *, allowed: bool
) -> None:
    """The named prefix reaches that port of that workload, without its exception; the namespace stays among itself."""
    namespaces = {name: Namespace(name) for name in ("shop", "other")}
    policy = read_network_policy(POLICY)
    snapshot = cluster(policy, pods=(API, BESIDE, FAR), namespaces=namespaces)
    came = ip_address(source)
    asked = Flow(came, next(one for one in target.addresses if one.version == came.version), protocol, port)
    local = endpoints(snapshot)

    assert not policy.broken
    assert (
        allowed == Oracle(snapshot).verdict(asked).allowed == Wall(compile_rules(snapshot, local), local).allows(asked)
    )


def test_the_example_trusts_the_prefix_that_its_policy_names() -> None:
    """The edge asks before the policy does, so what is allowed has to be trusted as well."""
    trusted = ClusterSettings.model_validate(SETTINGS).firewall.trusted
    (named,) = [
        peer["ipBlock"]["cidr"] for rule in POLICY["spec"]["ingress"] for peer in rule["from"] if "ipBlock" in peer
    ]

    assert [ip_network(named)] == [*trusted]
