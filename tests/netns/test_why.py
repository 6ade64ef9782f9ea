"""`slash80 why` on a node, beside what packets do there: firewall and policies, in both families."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from lab.kube import PODS, POLICIES, FakeApi, policy
from lab.kube_cluster import SERVICES, SLICES, KubeCluster, endpoints, pod, service
from lab.namespaces import Namespace
from lab.probes import ANSWERED, PORT, SHORTLY, Protocol, Server, ask
from lab.rig import Attachment, Rig
from lab.topology import ATTACKER4, ATTACKER6, INTERNET4, INTERNET6
from netns.conftest import MakeRig
from slash80.cli import commands
from slash80.cluster.objects.networkpolicy import read_network_policy
from slash80.cluster.objects.pod import read_pod
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.compile import compile_rules
from slash80.policy.model import Endpoint, Snapshot

METADATA = {"ipv4": "169.254.169.254", "ipv6": "fd00:ec2::254"}
CLUSTER_IP = {"ipv4": "10.96.0.7", "ipv6": "fd00:10:96::7"}
HOSTS = {"internet": {"ipv4": INTERNET4, "ipv6": INTERNET6}, "attacker": {"ipv4": ATTACKER4, "ipv6": ATTACKER6}}
OTHER_PORT, EXPOSED, LISTED, HTTP = 8, 443, 9100, 80
TO_PORT = [{"port": PORT}]
FRONT = {"podSelector": {"matchLabels": {"app": "front"}}}
INTERNET = [{"ipBlock": {"cidr": f"{INTERNET6}/128"}}, {"ipBlock": {"cidr": f"{INTERNET4}/32"}}]
WEB = {"matchLabels": {"app": "web"}}
DOCUMENTS = [
    policy("web", "shop", podSelector=WEB, ingress=[{"from": [FRONT, *INTERNET], "ports": TO_PORT}]),
    policy("quiet", "far", policyTypes=["Egress"]),
]
FLOWS: list[tuple[str, str, Protocol, int, bool]] = [
    ("shop/front", "shop/web", "tcp", PORT, True),  # shop/web lets it in
    ("shop/front", "shop/web", "tcp", OTHER_PORT, False),  # by this port only
    ("shop/front", "shop/web", "udp", PORT, False),  # and by TCP only
    ("far/probe", "shop/web", "tcp", PORT, False),  # not from another namespace
    ("shop/web", "far/probe", "tcp", PORT, True),  # far isolates for egress only
    ("far/probe", "shop/front", "tcp", PORT, False),
    ("far/probe", "internet", "udp", PORT, False),
    ("shop/front", "internet", "udp", PORT, True),
    ("internet", "shop/front", "tcp", PORT, True),  # its prefix is trusted
    ("internet", "shop/web", "tcp", PORT, True),  # and the policy has its address as a block
    ("internet", "shop/web", "tcp", OTHER_PORT, False),
    ("attacker", "shop/front", "tcp", PORT, False),  # the edge
    ("attacker", "shop/front", "tcp", EXPOSED, True),  # firewall.expose
    ("attacker", "shop/web", "tcp", EXPOSED, False),  # which opens the edge and not the policy
    ("shop/front", "node/a", "tcp", LISTED, True),
    ("shop/front", "node/a", "tcp", PORT, False),  # firewall.node
    ("far/probe", "node/a", "tcp", LISTED, True),  # the own node, whatever policies say
    ("node/a", "shop/web", "udp", OTHER_PORT, True),
    ("shop/front", "metadata", "tcp", HTTP, False),
    ("shop/front", "metadata", "tcp", 53, True),
    ("shop/front", "service/shop/web", "tcp", HTTP, True),  # the policy is asked about the endpoint's port
    ("far/probe", "service/shop/web", "tcp", HTTP, False),
]


@dataclass(frozen=True)
class Ground:
    """A node with pods and policies, and an API that shows them."""

    rig: Rig
    pods: dict[str, Attachment]
    cluster: KubeCluster

    def namespace(self, name: str) -> Namespace:
        """Return where an end is."""
        site = self.rig.site
        others = {
            "internet": site.internet,
            "attacker": site.attacker,
            "metadata": site.router,
            "node/a": self.rig.host,
        }
        others["service/shop/web"] = self.pods["shop/web"].pod
        return others[name] if name in others else self.pods[name].pod

    def address(self, name: str, family: str) -> str:
        """Return the address of an end."""
        if name in self.pods:
            return str(getattr(self.pods[name], family))
        if name == "node/a":
            return str(getattr(self.rig.node, family))
        others = HOSTS | {"metadata": METADATA, "service/shop/web": CLUSTER_IP}
        return others[name][family]

    def named(self, name: str, family: str) -> str:
        """Return how an end is asked for: a host by its address."""
        return self.address(name, family) if name in {*HOSTS, "metadata"} else name


@pytest.fixture
def ground(make_rig: MakeRig, tmp_path: Path) -> Iterator[Ground]:
    """Attach three pods, put policies in force that the API shows, and translate a Service as kube-proxy does."""
    rig = make_rig(route_ipv4_pods=True)
    firewall = {"trusted": [f"{INTERNET6}/128", f"{INTERNET4}/32"], "expose": [f"tcp/{EXPOSED}"]}
    firewall |= {"node": [f"tcp/{LISTED}"], "serviceCIDRs": ["fd00:10:96::/112", "10.96.0.0/16"]}
    rig = rig.having(ipv4={"masquerade": False}, firewall=firewall)
    pods = {
        name: rig.attach(args=f"K8S_POD_NAMESPACE={name.split('/')[0]};K8S_POD_NAME={name.split('/')[1]}")
        for name in ("shop/web", "shop/front", "far/probe")
    }
    (rig.state_dir / "agent.json").write_text(json.dumps({"node": "a"}))
    rig.site.router.ip(*(f"addr add {address} dev lo" for address in METADATA.values()))
    api = FakeApi()
    cluster = KubeCluster(api, rig.host.run(api.start), tmp_path)
    cluster.put_node("a", [rig.node.prefix6, rig.node.prefix4], [rig.node.ipv6, rig.node.ipv4])
    found = Ground(rig, pods, cluster)
    _put_in_force(found)
    rig.host.nft("\n".join(_proxy(found, family) for family in CLUSTER_IP))
    yield found
    api.stop()


def _put_in_force(ground: Ground) -> None:
    """Have the API show pods and policies, and the kernel do what follows from the same documents."""
    shown = {name: pod(*name.split("/"), *one.addresses) for name, one in ground.pods.items()}
    for document in shown.values():
        ground.cluster.put(PODS, document)
    for document in DOCUMENTS:
        ground.cluster.put(POLICIES, document)
    ground.cluster.put(SERVICES, service("shop", "web", *CLUSTER_IP.values(), port=HTTP))
    ground.cluster.put(SLICES, endpoints("shop", "web", *ground.pods["shop/web"].addresses, port=PORT))
    read = {name: read_pod(document) for name, document in shown.items()}
    snapshot = Snapshot(tuple(read.values()), {}, tuple(map(read_network_policy, DOCUMENTS)))
    interfaces = [
        Endpoint(one.host_ifname, tuple(map(ip_address, one.addresses)), read[name])
        for name, one in ground.pods.items()
    ]
    with closing(PolicyTable()) as table:
        ground.rig.host.run(table.replace, compile_rules(snapshot, interfaces))


def _proxy(ground: Ground, family: str) -> str:
    word, web = {"ipv4": "ip", "ipv6": "ip6"}[family], ground.address("shop/web", family)
    to = f"[{web}]:{PORT}" if family == "ipv6" else f"{web}:{PORT}"
    rule = f"{word} daddr {CLUSTER_IP[family]} tcp dport {HTTP} dnat {word} to {to}"
    chain = f"chain prerouting {{\n type nat hook prerouting priority -100;\n {rule}\n }}"
    return f"table inet proxy{family} {{\n {chain}\n }}"


@pytest.fixture
def answered(ground: Ground, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Return a function that asks `slash80 why` on the node, and returns exit code and answer."""

    def asked(*question: str) -> tuple[int, dict[str, Any]]:
        run = ground.cluster.run
        code = ground.rig.host.run(run, "why", *question, "-o", "json", state_dir=ground.rig.state_dir)
        return code, json.loads(capsys.readouterr().out)

    return asked


def test_what_is_said_is_what_packets_do(
    ground: Ground, answered: Callable[..., tuple[int, dict[str, Any]]], family: str
) -> None:
    """Connections between pods, their node, hosts outside, a metadata service and a Service, by each kind of rule."""
    wrong = []
    for source, destination, protocol, port, allowed in FLOWS:
        question = [ground.named(one, family) for one in (source, destination)]
        code, said = answered(*question, f"{protocol}/{port}", f"-{family[-1]}")
        served = PORT if destination.startswith("service/") else port
        with Server(ground.namespace(destination), served):
            client, address = ground.namespace(source), ground.address(destination, family)
            answer = ask(client, address, protocol, port=port, timeout=ANSWERED if allowed else SHORTLY)
        if (allowed, allowed) != (code == 0, answer is not None):
            wrong.append((source, destination, protocol, port, answer, said))

    assert wrong == []


def test_a_node_without_an_api_says_what_its_kernel_says(
    ground: Ground, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names come from its store; a pod that no policy isolates is open, for the others it says what is missing."""
    monkeypatch.setenv("HOME", "/nonexistent")
    monkeypatch.delenv("KUBECONFIG", raising=False)

    def why(*question: str) -> int:
        return ground.rig.host.run(commands.main, ["why", *question, "--state-dir", str(ground.rig.state_dir)])

    assert why("shop/web", "far/probe", "tcp/7") == 0
    assert "has no NetworkPolicy in force that closes anything to pod far/probe" in capsys.readouterr().out
    assert why("shop/front", "shop/web", "tcp/7") == 1
    assert "judges pod shop/web, and the NetworkPolicies of namespace shop could not be read" in capsys.readouterr().out
    ground.rig.host.nft("delete table inet slash80-policy")
    assert why("shop/front", "shop/web", "tcp/7") == 0


def test_a_pod_that_waits_for_its_policies_is_closed(
    ground: Ground, answered: Callable[..., tuple[int, dict[str, Any]]]
) -> None:
    """What the API would allow is dropped as long as this node does not know the pod."""
    web = ground.pods["shop/web"]
    ground.rig.host.nft(
        f'delete element inet slash80-policy ingress6 {{ "{web.host_ifname}" . {web.ipv6} }}\n'
        f'add element inet slash80-policy ingress6 {{ "{web.host_ifname}" . {web.ipv6} : goto closed }}'
    )
    code, said = answered("shop/front", "shop/web", "tcp/7", "-6")
    assert (1, "closed") == (code, said["paths"][0]["steps"][-1]["rule"])
