"""Ports that are open to everybody: these and no others, at this pod and no other, from ADD to DEL."""

import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path

import pytest

from lab.attacker import Attacker, Sniffer
from lab.forgery import sctp_init, send
from lab.kube import NAMESPACES, namespace
from lab.namespaces import Namespace
from lab.node_agent import NodeAgent, node_agent
from lab.plugin import Frozen
from lab.probes import ANSWERED, SHORTLY, Protocol, Server, ask
from lab.rig import Rig, requesting
from lab.topology import INTERNET4, INTERNET6, Site
from lab.waiting import wait_until
from netns.attacks.test_outliving_connections import connected, ends
from netns.conftest import root

OPEN, CLOSED = 8080, 8081
KINDS: tuple[Protocol, ...] = ("tcp", "udp")
ASKED = f"tcp/{OPEN}, udp/{OPEN}, sctp/{OPEN}, tcp/9000-9100"
Reached = list[tuple[str, Protocol]]
ALLOW = {"slash80.io/allow-expose": "true"}


def asking(rig: Rig, *, expose_from: str = "all") -> Rig:
    """Return the rig of a pod that asks for its ports, as containerd passes the annotation on."""
    annotations = {"io.kubernetes.cri.pod-annotations": {"slash80.io/expose": ASKED}}
    return rig.having(runtimeConfig=annotations, firewall={"exposeFrom": expose_from})


def reached(outside: Namespace, *targets: str, port: int = OPEN, timeout: float = ANSWERED) -> Reached:
    """Return at which addresses a stranger gets an answer, by which protocol."""
    return [(to, kind) for to, kind in product(targets, KINDS) if ask(outside, to, kind, port=port, timeout=timeout)]


def let_in(outside: Namespace, *targets: str, port: int = OPEN) -> Reached:
    """Return the same where no answer is expected, without waiting long for it."""
    return reached(outside, *targets, port=port, timeout=SHORTLY)


def everywhere(*targets: str) -> Reached:
    """Return what `reached` gives where all is open."""
    return list(product(targets, KINDS))


@pytest.mark.every_shape
def test_exposed_ports_are_open_from_add_to_del(routed: Rig, quick: Callable[[Rig], Rig], attacker: Attacker) -> None:
    """In both families at once; before and afterwards, at other ports and at other pods, a stranger gets no answer."""
    outside, pod = routed.site.internet, routed.site.pod()
    targets = routed.node.pod6("42"), routed.node.pod4(42)
    other = quick(asking(routed)).having(runtimeConfig=None).attach()
    with Server(pod, OPEN), Server(pod, CLOSED), Server(other.pod, OPEN):
        attacker.strike(*targets, ports=(OPEN, CLOSED))
        attached = asking(routed).attach(pod, requesting(asking(routed).conf, *targets))
        assert everywhere(*targets) == reached(outside, *targets)
        assert [] == let_in(outside, *targets, port=CLOSED)
        assert [] == let_in(outside, *other.addresses, routed.node.ipv6, routed.node.ipv4)
        assert [] == attacker.answers(*targets)
        routed.detach(attached)
        attacker.strike(*targets, ports=(OPEN,))

    assert [] == attacker.answers(*targets)
    wait_until(lambda: not elements(routed.host))


def elements(host: Namespace) -> list[object]:
    """Return the elements of both sets of exposed ports."""
    found: list[object] = []
    for name in ("exposed4", "exposed6"):
        listed = json.loads(host.command("nft", "-j", "list", "set", "inet", "slash80", name))["nftables"]
        found += [element for one in listed for element in one.get("set", {}).get("elem", [])]
    return found


def test_a_range_of_ports_ends_where_it_says(routed: Rig) -> None:
    """Its first and its last port are open, those beside it are not; a packet in fragments reaches it as any other."""
    attached = asking(routed).attach()
    for port, opened in ((8999, False), (9000, True), (9050, True), (9100, True), (9101, False)):
        with Server(attached.pod, port):
            seconds = ANSWERED if opened else SHORTLY
            found = [ask(routed.site.internet, to, "tcp", port=port, timeout=seconds) for to in attached.addresses]
            assert [opened] * 2 == [answer is not None for answer in found]
    with Server(attached.pod, OPEN):
        large = [ask(routed.site.internet, to, "udp", port=OPEN, payload=bytes(5000)) for to in attached.addresses]
    assert [5000] * 2 == [answer.size for answer in large if answer]


def test_an_sctp_port_is_no_port_of_another_protocol(routed: Rig) -> None:
    """The kernel of the pod need not know SCTP: what counts is which packets arrive."""
    attached = asking(routed).attach()
    outside = routed.site.internet
    with Sniffer(attached.pod, "eth0") as sniffer:
        for theirs, ours in zip((INTERNET6, INTERNET4), attached.addresses, strict=True):
            for port in (9000, CLOSED, OPEN):
                send(outside, sctp_init((theirs, 40_000), (ours, port)))
        arrived = [packet for packet in sniffer.packets() if packet.protocol == socket.IPPROTO_SCTP]
    assert sorted(attached.addresses) == sorted(packet.target for packet in arrived)


@pytest.mark.with_and_without_agent
def test_ports_of_every_pod_are_open_by_the_settings(routed: Rig) -> None:
    """With `firewall.expose` and no annotation; the node itself has no port open by it."""
    rig = routed.having(firewall={"expose": [f"tcp/{OPEN}", f"udp/{OPEN}"]})
    one, two = rig.attach(), rig.attach()
    targets = (*one.addresses, *two.addresses)
    with ExitStack() as stack:
        for host, port in product((one.pod, two.pod, rig.host), (OPEN, CLOSED)):
            stack.enter_context(Server(host, port))
        assert everywhere(*targets) == reached(rig.site.internet, *targets)
        assert [] == let_in(rig.site.internet, *targets, port=CLOSED)


REFUSED = ("none", "labelled")


@pytest.mark.parametrize("expose_from", REFUSED)
def test_without_the_right_a_pod_starts_closed(routed: Rig, expose_from: str) -> None:
    """It runs all the same, and what it asked for is shown; without an agent of Kubernetes no label counts."""
    attached = asking(routed, expose_from=expose_from).attach()
    with Server(attached.pod, OPEN):
        assert [] == let_in(routed.site.internet, *attached.addresses)
    assert [] == elements(routed.host)


FORGED: dict[str, Callable[[Path], object]] = {
    "of an earlier boot": lambda path: path.write_text(policy("before")),
    "of another user": lambda path: os.chown(_written(path), 1000, 1000),
    "writable by others": lambda path: _written(path).chmod(0o666),
    "a link": lambda path: path.symlink_to(_written(path.with_suffix(".real"))),
    "not JSON": lambda path: path.write_text("mayExpose: [team-a]"),
}


def _written(path: Path) -> Path:
    path.write_text(policy())
    path.chmod(0o600)
    return path


def policy(boot: str = "") -> str:
    """Return what an agent writes, of this boot or another."""
    boot = boot or Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return json.dumps({"version": 1, "boot": boot, "enforced": False, "isolated": [], "mayExpose": ["team-a"]})


@pytest.mark.parametrize("forged", FORGED)
def test_a_file_that_the_agent_did_not_write_opens_nothing(routed: Rig, forged: str) -> None:
    """With the one that it wrote the same pod's port is open."""
    rig = asking(routed, expose_from="labelled")
    path = rig.state_dir / "policy.json"
    rig.cycle()  # makes the directory
    FORGED[forged](path)
    closed = rig.attach(args="K8S_POD_NAMESPACE=team-a")
    path.unlink()
    _written(path)
    opened = rig.attach(args="K8S_POD_NAMESPACE=team-a")
    with Server(closed.pod, OPEN), Server(opened.pod, OPEN):
        assert [] == let_in(rig.site.internet, *closed.addresses)
        assert everywhere(*opened.addresses) == reached(rig.site.internet, *opened.addresses)


DAMAGES: dict[str, Callable[[Rig], object]] = {
    "everything flushed": lambda rig: rig.host.nft("flush ruleset"),
    "table deleted": lambda rig: rig.host.nft("delete table inet slash80"),
    "rule deleted": lambda rig: rig.host.nft("flush chain inet slash80 untrusted"),
}


@pytest.mark.with_and_without_agent
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_repair_keeps_exposed_ports(routed: Rig, damage: str) -> None:
    """The next ADD or an agent puts the table back, with the same settings or with others."""
    rig = asking(routed)
    attached = rig.attach()
    with Server(attached.pod, OPEN), Server(attached.pod, CLOSED):
        DAMAGES[damage](rig)
        rig.having(runtimeConfig=None, firewall={"trusted": ["2001:db8:77::/48"]}).attach()
        assert everywhere(*attached.addresses) == reached(rig.site.internet, *attached.addresses)
        assert [] == let_in(rig.site.internet, *attached.addresses, port=CLOSED)


@pytest.mark.parametrize("shape", ["inprocess", "resident"])  # an agent puts back what is changed here
def test_a_lost_or_foreign_element_is_put_right(routed: Rig) -> None:
    """Also one that overlaps what belongs there, which the kernel would refuse beside it."""
    rig = asking(routed)
    attached = rig.attach()
    before = elements(rig.host)
    rig.host.nft(
        f"delete element inet slash80 exposed4 {{ {attached.ipv4} . 6 . 9000-9100 }}\n"
        f"add element inet slash80 exposed4 {{ {attached.ipv4} . 6 . 9050-9200, 10.80.1.250 . 6 . 22 }}\n"
        "flush set inet slash80 exposed6"
    )
    assert before != elements(rig.host)
    kept = {"containerID": attached.pod.name, "ifname": attached.ifname}
    rig.plugin.gc(rig.conf | {"cniVersion": "1.1.0", "cni.dev/valid-attachments": [kept]})

    assert sorted(map(str, before)) == sorted(map(str, elements(rig.host)))


@pytest.fixture
def kubernetes(tmp_path: Path) -> Iterator[tuple[Rig, NodeAgent]]:
    """Provide a node of Kubernetes with its agent, and an API server."""
    with Site(route_ipv4_pods=True) as site, node_agent(site.node, root(), tmp_path / "k8s") as agent:
        rig = Rig(site, site.node, Frozen(site.node.namespace, root=root()), agent.conf())
        annotations = {"io.kubernetes.cri.pod-annotations": {"slash80.io/expose": ASKED}}
        yield rig.having(runtimeConfig=annotations), agent


def test_labels_open_and_close_ports_of_pods_that_run(kubernetes: tuple[Rig, NodeAgent]) -> None:
    """A connection over a port that is closed ends. A pod that comes later has its ports by the same label."""
    rig, agent = kubernetes
    outside = rig.site.internet
    first = rig.attach(args="K8S_POD_NAMESPACE=team-a;K8S_POD_NAME=a")
    other = rig.attach(args="K8S_POD_NAMESPACE=team-b;K8S_POD_NAME=b")
    with Server(first.pod, OPEN), Server(other.pod, OPEN):
        assert [] == let_in(outside, *first.addresses)
        agent.api.put(NAMESPACES, namespace("team-a", **ALLOW))
        wait_until(lambda: len(elements(rig.host)) == 8)
        assert everywhere(*first.addresses) == reached(outside, *first.addresses)
        assert [] == let_in(outside, *other.addresses)

    second = rig.attach(args="K8S_POD_NAMESPACE=team-a;K8S_POD_NAME=a2")
    with ExitStack() as stack:
        stack.enter_context(Server(second.pod, OPEN))
        assert everywhere(*second.addresses) == reached(outside, *second.addresses)
        over = [
            stack.enter_context(connected(stranger, pod, kind, port=OPEN))
            for pod, stranger in ends(rig, first)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)
        ]
        agent.api.put(NAMESPACES, namespace("team-a"))
        wait_until(lambda: not elements(rig.host))
        assert [False] * 4 == [one.delivers(b"late", wanted=False) for one in over]
        assert [] == let_in(outside, *second.addresses)
    assert "starts with its ports" in agent.log.read_text()


def test_a_label_outlasts_the_agent_but_not_its_setting(kubernetes: tuple[Rig, NodeAgent]) -> None:
    """While no agent runs, what it has told last counts; the ConfigMap closes all ports at once."""
    rig, agent = kubernetes
    agent.api.put(NAMESPACES, namespace("team-a", **ALLOW))
    wait_until(lambda: "team-a" in (rig.state_dir / "policy.json").read_text())
    agent.end()
    attached = rig.attach(args="K8S_POD_NAMESPACE=team-a")
    with Server(attached.pod, OPEN):
        assert everywhere(*attached.addresses) == reached(rig.site.internet, *attached.addresses)
        (rig.state_dir.parent / "config.yaml").write_text("firewall: {exposeFrom: none}\n")
        agent.start()
        wait_until(lambda: not elements(rig.host))
        assert [] == let_in(rig.site.internet, *attached.addresses)
    assert "mayExpose" not in json.loads((rig.state_dir / "policy.json").read_text())
