"""What is said about whole connections: every step's sentence, as golden/sentences.txt has it."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from slash80.addressing.family import IPV4
from slash80.addressing.ports import TCP, PortRange
from slash80.explain.records import End, Kind, Known, Result, Translation, Via, of_pod
from slash80.explain.records import Path as Walked
from slash80.policy.model import Direction, Policy, Ports, Rule, Selected, Selector
from unit.explain.ways import (
    FAR,
    FRONT,
    KNOWN,
    NODE_A,
    NODE_B,
    SETTINGS,
    STRANGER,
    TRUSTED,
    WEB,
    ask,
    host,
    pod,
    with_policies,
)

GOLDEN = Path(__file__).parent / "golden" / "sentences.txt"
DENY = Policy("shop", "deny", Selector())
QUIET = Policy("shop", "quiet", Selector(), None, ())
FRONTS = Selected(pods=Selector((("app", "front"),)))
WEB80 = Policy("shop", "web", Selector((("app", "web"),)), (Rule((FRONTS,), (Ports(TCP, 80, 80),)),))
BROKEN = replace(WEB80, ingress=(), broken="podSelector is 'x', but must be an object")
POLICIES = with_policies(DENY, WEB80)
HIDDEN = replace(KNOWN, hidden=(("shop", "403 forbidden"),))
METADATA = host("fd00:ec2::254")
ON_HOST = of_pod(pod("kube-system", "proxy", 9, host_network=True))


def led(via: Via, receiver: End | None = NODE_A, *, local: bool = False) -> Translation:
    """Return how a connection is led by a Service."""
    address = ip_address("fd00:10:96::7") if via is Via.CLUSTER_IP else NODE_A.address(6)
    return Translation(via, "Service shop/web", address, 8080, local=local, receiver=receiver)


def having(**settings: object) -> Known:
    """Return what is known with other settings of the firewall."""
    return replace(KNOWN, settings=replace(SETTINGS, **settings))  # type: ignore[arg-type]


def unnamed(address: str) -> Known:
    """Return the same known by a person who may not see whose an address is."""
    return replace(KNOWN, unnamed={ip_address(address): "403 forbidden"})


def in_kernel(verdict: str, known: Known) -> Known:
    """Return the same known on the node of the pod, whose kernel judges what it receives in this way."""
    return replace(known, kernel={(Direction.INGRESS, address): verdict for address in WEB.addresses})


CASES: dict[str, Walked] = {
    "between pods of a node": ask(FRONT, WEB),
    "between nodes": ask(FAR, WEB),
    "from a stranger": ask(STRANGER[6], WEB),
    "from a stranger, by no annotation": ask(STRANGER[6], WEB, known=having(pods_expose=False)),
    "from a stranger, of a protocol without ports": ask(STRANGER[6], WEB, protocol=47, port=0),
    "from a trusted host": ask(TRUSTED[6], WEB),
    "from a trusted host by any link": ask(TRUSTED[6], WEB, known=having(strict=False)),
    "into an open network": ask(STRANGER[6], WEB, known=having(closed=False)),
    "to a port of every pod": ask(STRANGER[6], WEB, known=having(expose=(PortRange("tcp", 80, 90),))),
    "to a port of the pod": ask(
        STRANGER[6], WEB, known=replace(KNOWN, exposed=((WEB.addresses[0], PortRange("tcp", 80, 80)),))
    ),
    "a ping": ask(STRANGER[4], WEB, version=4, protocol=1, port=0),
    "a ping, refused": ask(STRANGER[6], WEB, protocol=58, port=0, known=having(echo="drop")),
    "a ClusterIP from outside": ask(STRANGER[6], WEB, translation=led(Via.CLUSTER_IP, None)),
    "a ClusterIP from a pod": ask(FAR, WEB, translation=led(Via.CLUSTER_IP, None)),
    "a NodePort": ask(STRANGER[6], WEB, translation=led(Via.NODE_PORT)),
    "a NodePort of another node": ask(STRANGER[6], WEB, translation=led(Via.NODE_PORT, NODE_B)),
    "a NodePort of another node, local": ask(STRANGER[6], WEB, translation=led(Via.NODE_PORT, NODE_B, local=True)),
    "a NodePort where Services are unknown": ask(
        STRANGER[6], WEB, translation=led(Via.NODE_PORT), known=having(services=())
    ),
    "a host port": ask(STRANGER[6], WEB, translation=led(Via.HOST_PORT)),
    "a host port for the trusted": ask(
        STRANGER[6], WEB, translation=led(Via.HOST_PORT), known=having(host_ports="trusted")
    ),
    "from an address that no pod has": ask(host("2001:db8:0:1::77"), WEB),
    "to an address that no pod has": ask(WEB, host("2001:db8:0:2::77")),
    "to a metadata service": ask(WEB, METADATA),
    "to a resolver at its address": ask(WEB, METADATA, protocol=17, port=53),
    "to a metadata service that is opened": ask(WEB, METADATA, known=having(metadata_open=METADATA.addresses)),
    "to the Internet, hidden": ask(WEB, STRANGER[4], version=4, known=having(masquerade=(IPV4,))),
    "from the pod's node": ask(NODE_A, WEB, known=with_policies(DENY)),
    "from a pod in the network of the pod's node": ask(ON_HOST, WEB, known=with_policies(DENY)),
    "to the pod's node": ask(WEB, NODE_A, known=with_policies(QUIET)),
    "to a closed port of the pod's node": ask(WEB, NODE_A, known=having(node=(PortRange("tcp", 9100, 9100),))),
    "to a listed port of the pod's node": ask(
        WEB, NODE_A, port=9100, known=having(node=(PortRange("tcp", 9100, 9100),))
    ),
    "to DNS of the pod's node": ask(WEB, NODE_A, protocol=17, port=53, known=having(node=())),
    "to another node": ask(WEB, NODE_B),
    "from a node to the Internet": ask(NODE_A, STRANGER[6]),
    "to a ClusterIP of no Service": ask(WEB, host("fd00:10:96::77")),
    "from an address that may be a pod's": ask(host("2001:db8:0:1::6"), WEB, known=unnamed("2001:db8:0:1::6")),
    "to an address that may be a pod's": ask(WEB, host("2001:db8:0:1::6"), known=unnamed("2001:db8:0:1::6")),
    "without settings": ask(STRANGER[6], WEB, known=replace(KNOWN, settings=None)),
    "a policy allows": ask(FRONT, WEB, known=POLICIES),
    "no policy allows a pod of another namespace": ask(FAR, WEB, known=POLICIES),
    "no policy allows the port": ask(FRONT, WEB, port=81, known=POLICIES),
    "no policy allows a ping": ask(FRONT, WEB, protocol=58, port=0, known=POLICIES),
    "no policy allows a host": ask(TRUSTED[4], WEB, version=4, protocol=17, port=53, known=POLICIES),
    "a policy is broken": ask(FRONT, WEB, known=with_policies(BROKEN)),
    "egress is closed": ask(WEB, FAR, known=with_policies(QUIET)),
    "by a Service to itself": ask(WEB, WEB, known=with_policies(DENY, QUIET), translation=led(Via.CLUSTER_IP, None)),
    "policies are hidden": ask(FRONT, WEB, known=HIDDEN),
    "closed until its labels are known": ask(FRONT, WEB, known=in_kernel("closed", POLICIES)),
    "policies are hidden, and the node has none": ask(FRONT, WEB, known=in_kernel("accept", HIDDEN)),
    "policies are hidden, and the node has some": ask(FRONT, WEB, known=in_kernel("i6-0a", HIDDEN)),
    "the node drops less than it should": ask(FAR, WEB, known=in_kernel("accept", POLICIES)),
    "the node drops more than it should": ask(FAR, WEB, known=in_kernel("i6-0a", KNOWN)),
    "policies are not enforced": ask(FRONT, WEB, known=replace(POLICIES, enforced=False)),
}


def written(name: str, path: Walked) -> str:
    """Return a case as the file has it."""
    steps = [f"  {step.name:<11}{step.result or '-':<8}{step.sentence}" for step in path.steps]
    return "\n".join([f"{name}: {path.result}", *steps])


@pytest.mark.parametrize("name", CASES)
def test_every_step_is_a_sentence(name: str) -> None:
    """It names the ends, what decides, and for a drop what would change it."""
    blocks = {block.partition(":")[0]: block for block in GOLDEN.read_text(encoding="utf-8").strip().split("\n\n")}
    assert written(name, CASES[name]) == blocks[name]


def test_the_file_has_no_other_cases() -> None:
    """A case that is gone from the test is gone from the file, too."""
    text = GOLDEN.read_text(encoding="utf-8").strip()
    assert [block.partition(":")[0] for block in text.split("\n\n")] == [*CASES]


def test_every_kind_of_result_is_among_them() -> None:
    """The cases have ways that are allowed, dropped and not known, from every kind of end."""
    assert {path.result for path in CASES.values()} == {Result.ALLOW, Result.DROP, Result.UNKNOWN}
    assert {path.way.source.kind for path in CASES.values()} == {*Kind}
