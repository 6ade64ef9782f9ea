"""Upstream's end-to-end cases of NetworkPolicy as plain data: what each has in force, and what then reaches what.

The model is upstream's (kubernetes/kubernetes, test/e2e/network/netpol): namespaces x, y and z with the label `ns`.
Each has pods a, b and c with the label `pod`, which serve ports 80 and 81 of every protocol by names such as
`serve-80-tcp`. All pairs of pods are probed through Services, and what is judged is the address behind the Service.

An expectation is a line: a port and a protocol, then who reaches whom. It begins with all pairs reached, and each
`source->target no` or `yes` overrides what stands before; `*` is any namespace or pod. A pod always reaches itself.
In a block `$x/b` stands for the pod's address, in a peer for each family, and `$x/b/4` for the prefix around it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Step:
    """What is in force at one time: policies by `namespace/name`, labels that were added, and what then is reached."""

    policies: Mapping[str, Spec]
    expected: tuple[str, ...]
    pods: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One of upstream's cases, by its number in the list of the design and its title."""

    number: int
    title: str
    steps: tuple[Step, ...]

    def __str__(self) -> str:
        """Name it in a test's parameters."""
        return f"{self.number}-{self.title.replace(' ', '-')}"


def _case(number: int, title: str, policies: Mapping[str, Spec], *expected: str) -> Case:
    return Case(number, title, (Step(policies, expected),))


def _labels(**labels: str) -> Spec:
    return {"matchLabels": labels}


def _in(key: str, *values: str, operator: str = "In") -> Spec:
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


def _pods(selector: Spec | None = None) -> Spec:
    return {"podSelector": selector or {}}


def _namespaces(selector: Spec | None = None, pods: Spec | None = None) -> Spec:
    return {"namespaceSelector": selector or {}} | ({} if pods is None else {"podSelector": pods})


def _block(cidr: str, *exceptions: str) -> Spec:
    return {"ipBlock": {"cidr": cidr} | ({"except": list(exceptions)} if exceptions else {})}


def _ports(*ports: int | str, protocol: str = "TCP") -> list[Spec]:
    return [{"port": port, "protocol": protocol} for port in ports]


def _ingress(pods: Spec | None = None, *rules: Spec) -> Spec:
    return {"podSelector": pods or {}, "policyTypes": ["Ingress"], "ingress": list(rules)}


def _egress(pods: Spec | None = None, *rules: Spec) -> Spec:
    return {"podSelector": pods or {}, "policyTypes": ["Egress"], "egress": list(rules)}


def _from(*peers: Spec, ports: list[Spec] | None = None) -> Spec:
    return {"from": list(peers)} | ({"ports": ports} if ports else {})


def _to(*peers: Spec, ports: list[Spec] | None = None) -> Spec:
    return ({"to": list(peers)} if peers else {}) | ({"ports": ports} if ports else {})


A, B = _labels(pod="a"), _labels(pod="b")
NS_Y = _labels(ns="y")
DENY_INGRESS, ALLOW_INGRESS = _ingress(), _ingress(None, {})
DENY_ALL: Spec = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}
FROM_Y_81 = _ingress(A, _from(_namespaces(NS_Y), ports=_ports(81)))
FROM_Y_80 = _ingress(A, _from(_namespaces(NS_Y), ports=_ports(80)))
ALL_YES = ("80/TCP", "81/TCP")


def _protocol(number: int, protocol: str) -> Iterator[Case]:
    """Yield the three cases that upstream repeats for another protocol."""
    yield _case(number, f"default-deny-ingress {protocol}", {"x/deny": DENY_INGRESS}, f"80/{protocol} *->x/* no")
    ports = _ingress(A, _from(_namespaces(NS_Y), ports=_ports(81, protocol=protocol)))
    only_y = "*->x/a no, y/*->x/a yes"
    yield _case(number + 1, f"ports {protocol}", {"x/p": ports}, f"81/{protocol} {only_y}", f"80/{protocol} *->x/a no")
    peer = _ingress(A, _from(_namespaces(NS_Y, A), ports=_ports(80, protocol=protocol)))
    only_a = f"80/{protocol} *->x/a no, y/a->x/a yes"
    yield _case(number + 2, f"pod and namespace selector {protocol}", {"x/p": peer}, only_a)


CASES: tuple[Case, ...] = (
    _case(1, "default-deny-ingress", {"x/deny": DENY_INGRESS}, "80/TCP *->x/* no"),
    _case(2, "default-deny-all", {"x/deny": DENY_ALL}, "80/TCP *->x/* no, x/*->* no"),
    _case(
        3,
        "PodSelector within the server's namespace",
        {"x/p": _ingress(A, _from(_pods(B)))},
        "80/TCP *->x/a no, x/b->x/a yes",
    ),
    _case(
        4,
        "ingress for a target",
        {"x/deny": DENY_INGRESS, "x/p": _ingress(A, _from(_namespaces(pods={})))},
        "80/TCP *->x/* no, *->x/a yes",
    ),
    _case(5, "ingress from pods in all namespaces", {"x/p": _ingress(A, _from(_namespaces()))}, "80/TCP"),
    _case(
        6,
        "ingress only from a different namespace",
        {"x/p": _ingress(A, _from(_namespaces(NS_Y)))},
        "80/TCP *->x/a no, y/*->x/a yes",
    ),
    _case(
        7,
        "PodSelector with MatchExpressions",
        {"x/p": _ingress(A, _from(_pods(_in("pod", "b"))))},
        "80/TCP *->x/a no, x/b->x/a yes",
    ),
    _case(
        8,
        "NamespaceSelector with MatchExpressions",
        {"x/p": _ingress(A, _from(_namespaces(_in("ns", "y"))))},
        "80/TCP *->x/a no, y/*->x/a yes",
    ),
    _case(
        9,
        "PodSelector or NamespaceSelector",
        {"x/p": _ingress(A, _from(_namespaces(_in("ns", "x", operator="NotIn")), _pods(B)))},
        "80/TCP x/*->x/a no, x/b->x/a yes",
    ),
    _case(
        10,
        "PodSelector and NamespaceSelector",
        {"x/p": _ingress(A, _from(_namespaces(_in("ns", "x", operator="NotIn"), B)))},
        "80/TCP *->x/a no, y/b->x/a yes, z/b->x/a yes",
    ),
    _case(
        11,
        "multiple PodSelectors and NamespaceSelectors",
        {"x/p": _ingress(A, _from(_namespaces(_in("ns", "x", operator="NotIn"), _in("pod", "b", "c"))))},
        "80/TCP *->x/a no, y/b->x/a yes, y/c->x/a yes, z/b->x/a yes, z/c->x/a yes",
    ),
    _case(
        12,
        "any PodSelectors",
        {"x/p": _ingress(A, _from(_pods(B), _pods(_labels(pod="c"))))},
        "80/TCP *->x/a no, x/b->x/a yes, x/c->x/a yes",
    ),
    _case(
        13,
        "only from a pod in a different namespace",
        {"x/p": _ingress(A, _from(_namespaces(NS_Y, A)))},
        "80/TCP *->x/a no, y/a->x/a yes",
    ),
    _case(14, "ports", {"x/p": FROM_Y_81}, "81/TCP *->x/a no, y/*->x/a yes", "80/TCP *->x/a no"),
    Case(
        15,
        "stacked policies with overlapping podSelectors",
        (
            Step({"x/81": FROM_Y_81}, ("81/TCP *->x/a no, y/*->x/a yes", "80/TCP *->x/a no")),
            Step(
                {"x/81": FROM_Y_81, "x/80": FROM_Y_80},
                ("81/TCP *->x/a no, y/*->x/a yes", "80/TCP *->x/a no, y/*->x/a yes"),
            ),
        ),
    ),
    _case(16, "allow-all", {"x/p": ALLOW_INGRESS}, *ALL_YES),
    _case(
        17,
        "ingress on one named port",
        {"x/p": _ingress(None, {"ports": _ports("serve-81-tcp")})},
        "81/TCP",
        "80/TCP *->x/* no",
    ),
    _case(
        18,
        "ingress from a namespace on one named port",
        {"x/p": _ingress(A, _from(_namespaces(NS_Y), ports=_ports("serve-80-tcp")))},
        "80/TCP *->x/a no, y/*->x/a yes",
        "81/TCP *->x/a no",
    ),
    _case(
        19,
        "egress on one named port",
        {"x/p": _egress(None, _to(ports=_ports("serve-80-tcp")))},
        "80/TCP",
        "81/TCP x/*->* no",
    ),
    Case(
        20,
        "updated policy",
        (Step({"x/p": ALLOW_INGRESS}, ("81/TCP",)), Step({"x/p": DENY_INGRESS}, ("81/TCP *->x/* no",))),
    ),
    Case(
        21,
        "ingress from an updated namespace",
        (
            Step({"x/p": _ingress(A, _from(_namespaces(_labels(ns2="updated"))))}, ("80/TCP *->x/a no",)),
            Step(
                {"x/p": _ingress(A, _from(_namespaces(_labels(ns2="updated"))))},
                ("80/TCP *->x/a no, y/*->x/a yes",),
                namespaces={"y": {"ns2": "updated"}},
            ),
        ),
    ),
    Case(
        22,
        "ingress from an updated pod",
        (
            Step({"x/p": _ingress(A, _from(_pods(_labels(pod="b", pod2="updated"))))}, ("80/TCP *->x/a no",)),
            Step(
                {"x/p": _ingress(A, _from(_pods(_labels(pod="b", pod2="updated"))))},
                ("80/TCP *->x/a no, x/b->x/a yes",),
                pods={"x/b": {"pod2": "updated"}},
            ),
        ),
    ),
    _case(
        23,
        "deny ingress from pods on other namespaces",
        {"x/p": _ingress(None, _from(_pods()))},
        "80/TCP *->x/* no, x/*->x/* yes",
    ),
    Case(
        24,
        "deny ingress to an updated pod",
        (
            Step({"x/p": _ingress(_labels(target="isolated"))}, ("80/TCP",)),
            Step(
                {"x/p": _ingress(_labels(target="isolated"))},
                ("80/TCP *->x/a no",),
                pods={"x/a": {"target": "isolated"}},
            ),
        ),
    ),
    _case(25, "deny egress by PodSelector", {"x/p": _egress(A)}, "80/TCP x/a->* no"),
    _case(26, "deny egress from all pods in a namespace", {"x/p": _egress()}, "80/TCP x/*->* no"),
    Case(
        27,
        "ingress and egress together",
        (
            Step(
                {
                    "x/p": {
                        "podSelector": A,
                        "policyTypes": ["Ingress", "Egress"],
                        "ingress": [_from(_pods(B))],
                        "egress": [{"ports": _ports(80)}],
                    }
                },
                ("80/TCP *->x/a no, x/b->x/a yes", "81/TCP *->x/a no, x/b->x/a yes, x/a->* no"),
            ),
        ),
    ),
    _case(
        28,
        "egress denied on the client although the servers allow it",
        {
            "x/client": _egress(A, _to(_namespaces(NS_Y, A))),
            "y/a": _ingress(A, _from(_namespaces(_labels(ns="x"), A))),
            "y/b": _ingress(B, _from(_namespaces(_labels(ns="x"), A))),
        },
        "80/TCP *->y/a no, *->y/b no, x/a->* no, x/a->y/a yes",
    ),
    _case(
        29,
        "egress to a pod in another namespace",
        {"x/p": _egress(A, _to(_namespaces(NS_Y, A)))},
        "80/TCP x/a->* no, x/a->y/a yes",
    ),
    _case(
        30,
        "ingress to any port of a protocol",
        {"x/p": _ingress(A, {"ports": [{"protocol": "TCP"}]})},
        "80/TCP",
        "81/TCP",
        "80/UDP *->x/a no",
    ),
    Case(
        31,
        "ingress allow-all takes precedence",
        (
            Step({"x/80": _ingress(A, {"ports": _ports(80)})}, ("80/TCP", "81/TCP *->x/a no")),
            Step({"x/80": _ingress(A, {"ports": _ports(80)}), "x/all": _ingress(A, {})}, ALL_YES),
        ),
    ),
    Case(
        32,
        "egress allow-all takes precedence",
        (
            Step({"x/80": _egress(A, {"ports": _ports(80)})}, ("80/TCP", "81/TCP x/a->* no")),
            Step({"x/80": _egress(A, {"ports": _ports(80)}), "x/all": _egress(A, {})}, ALL_YES),
        ),
    ),
    Case(
        33,
        "stop enforcing after deletion",
        (Step({"x/deny": DENY_ALL}, ("80/TCP *->x/* no, x/*->* no",)), Step({}, ("80/TCP",))),
    ),
    _case(34, "egress to a CIDR", {"x/p": _egress(A, _to(_block("$y/b")))}, "80/TCP x/a->* no, x/a->y/b yes"),
    _case(
        35,
        "except clause",
        {"x/p": _egress(A, _to(_block("$x/b/4", "$x/b")))},
        "80/TCP x/a->x/b no",
    ),
    Case(
        36,
        "an address in both a CIDR and an exception",
        (
            Step({"x/p": _egress(A, _to(_block("$x/b/4", "$x/b")))}, ("80/TCP x/a->x/b no",)),
            Step({"x/p": _egress(A, _to(_block("$x/b")))}, ("80/TCP x/a->* no, x/a->x/b yes",)),
        ),
    ),
    Case(
        37,
        "ingress and egress are independent",
        (
            Step({"x/egress": _egress(A, {})}, ("80/TCP",)),
            Step({"x/egress": _egress(A, {}), "x/ingress": _ingress(A)}, ("80/TCP *->x/a no",)),
        ),
    ),
    _case(
        38,
        "SCTP is not treated as TCP",
        {"x/deny": DENY_INGRESS, "x/sctp": _ingress(A, {"ports": _ports(81, protocol="SCTP")})},
        "81/TCP *->x/* no",
    ),
    _case(
        39,
        "a policy of SCTP alone isolates",
        {"x/sctp": _ingress(A, {"ports": _ports(80, protocol="SCTP")})},
        "81/TCP *->x/a no",
    ),
    _case(
        40,
        "a policy of UDP alone isolates",
        {"x/udp": _ingress(A, {"ports": _ports(81, protocol="UDP")})},
        "81/TCP *->x/a no",
    ),
    _case(
        41,
        "NamespaceSelector by the name's label",
        {"x/p": _ingress(A, _from(_namespaces(_labels(**{"kubernetes.io/metadata.name": "y"}))))},
        "80/TCP *->x/a no, y/*->x/a yes",
    ),
    _case(
        42,
        "egress by an expression of the name's label",
        {"x/p": _egress(A, _to(_namespaces(_in("kubernetes.io/metadata.name", "y", operator="NotIn"))))},
        "80/TCP x/a->y/* no",
    ),
    *_protocol(43, "UDP"),
    *_protocol(46, "SCTP"),
)  # 49 and 50 are of the API server alone

_ALL = [f"{namespace}/{pod}" for namespace in "xyz" for pod in "abc"]


def reached(expected: str) -> tuple[int, str, dict[tuple[str, str], bool]]:
    """Return port and protocol of an expectation, and for each pair of pods whether it is reached."""
    port, _, rest = expected.partition(" ")
    table = {(source, target): True for source in _ALL for target in _ALL}
    for pattern in filter(None, map(str.strip, rest.split(","))):
        pair, _, answer = pattern.partition(" ")
        source, _, target = pair.partition("->")
        for one, other in table:
            if one != other and _matches(source, one) and _matches(target, other):
                table[one, other] = {"yes": True, "no": False}[answer]
    number, _, protocol = port.partition("/")
    return int(number), protocol, table


def _matches(pattern: str, name: str) -> bool:
    namespace, _, pod = (pattern if "/" in pattern else f"{pattern}/*").partition("/")
    here, _, this = name.partition("/")
    return namespace in {"*", here} and pod in {"*", this}


def manifest(full_name: str, spec: Spec, addresses: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """Return a policy as it is created in a cluster whose pods have these addresses."""
    namespace, _, name = full_name.partition("/")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name},
        "spec": _with_addresses(spec, addresses),
    }


def _with_addresses(spec: Any, addresses: Mapping[str, tuple[str, ...]]) -> Any:  # noqa: ANN401 -- any JSON
    """Return a spec with real addresses: a peer by `$x/b` becomes one peer for each address of that pod."""
    if isinstance(spec, list | tuple):
        return [new for one in spec for new in _peers(one, addresses)]
    if isinstance(spec, Mapping):
        return {key: _with_addresses(value, addresses) for key, value in spec.items()}
    return spec


def _peers(entry: Any, addresses: Mapping[str, tuple[str, ...]]) -> list[Any]:  # noqa: ANN401 -- any JSON
    block = entry.get("ipBlock") if isinstance(entry, Mapping) else None
    if not block or not block["cidr"].startswith("$"):
        return [_with_addresses(entry, addresses)]
    namespace, pod, *_ = block["cidr"][1:].split("/")
    versions = sorted({ip_address(one).version for one in addresses[f"{namespace}/{pod}"]})
    return [{"ipBlock": _of_family(block, addresses, version)} for version in versions]


def _of_family(block: Mapping[str, Any], addresses: Mapping[str, tuple[str, ...]], version: int) -> Spec:
    found = {"cidr": _prefix(block["cidr"], addresses, version)}
    exceptions = [_prefix(one, addresses, version) for one in block.get("except", ())]
    return found | ({"except": exceptions} if exceptions else {})


def _prefix(written: str, addresses: Mapping[str, tuple[str, ...]], version: int) -> str:
    """Return `$x/b` as the pod's one address of a family, or `$x/b/4` as the prefix around it."""
    namespace, pod, *length = written[1:].split("/")
    address = next(one for one in map(ip_address, addresses[f"{namespace}/{pod}"]) if one.version == version)
    return str(ip_network(f"{address}/{length[0] if length else address.max_prefixlen}", strict=False))
