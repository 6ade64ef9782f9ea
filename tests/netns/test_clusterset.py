"""Members of the clusterset at a node with its agent: let in, cut off, and whatever happens to the file between.

The hosts of the site stand for other clusters' pods: `us` is the Internet host's prefix, `ap` the attacker's.
"""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from lab import forgery, members
from lab.kube import CONFIG_MAPS, config_map
from lab.namespaces import Namespace
from lab.node_agent import NodeAgent, node_agent
from lab.plugin import Frozen
from lab.probes import ANSWERED, SHORTLY, Server, ask, family_of, source_seen
from lab.rig import Attachment, Rig
from lab.topology import ATTACKER4, ATTACKER6, INTERNET4, INTERNET6, Site
from lab.waiting import wait_until
from netns.attacks.test_outliving_connections import connected
from netns.conftest import root
from slash80.settings.clusterset import KEY, NAME

EU = ["2001:db8::/48", "10.80.0.0/16"]
US = ["2001:db8:ffff::/64", "198.51.100.0/24"]
AP = ["2001:db8:bad::/64", "203.0.113.0/24"]
HOSTS = {"us": (INTERNET6, INTERNET4), "ap": (ATTACKER6, ATTACKER4)}
HOST_PORT, PORT = 8080, 4321
KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
# Whether a prefix that is trusted by a member is what lets a host port be reached.
SETTINGS = "firewall: {hostPorts: trusted}\n"


class Cluster:
    """The cluster `eu`, of one node, with its agent and an API."""

    def __init__(self, rig: Rig, agent: NodeAgent) -> None:
        self.rig, self.agent = rig, agent

    def list_members(self, **prefixes: list[str]) -> None:
        """Write the file with these members beside this cluster."""
        listed = {"eu": EU, **prefixes}
        entries = [members.entry(number, id=id_, prefixes=of) for number, (id_, of) in enumerate(listed.items())]
        self.write(members.text(*entries))

    def write(self, text: str) -> None:
        """Write the ConfigMap."""
        self.agent.api.put(CONFIG_MAPS, config_map(NAME, **{KEY: text}))

    def report(self) -> dict[str, Any]:
        """Return what the agent reports."""
        found: dict[str, Any] = json.loads((self.agent.state_dir / "agent.json").read_text())
        return found

    def wait_for(self, *trusted: str) -> None:
        """Wait until exactly these prefixes are trusted as members', and connections of all others have ended."""

        def settled() -> bool:
            noted = self.agent.state_dir / "trusted.json"
            known = json.loads(noted.read_text())["prefixes"] if noted.exists() else []
            return sorted(trusted) == sorted(known) and self.in_force(*trusted) == {*trusted}

        wait_until(settled)

    def in_force(self, *prefixes: str) -> set[str]:
        """Return those of the prefixes that the kernel's sets of trusted ones have."""
        sets = (("list", "set", "inet", "slash80", f"trusted{version}") for version in (4, 6))
        words = {word.strip(",") for one in sets for word in self.rig.host.command("nft", *one).split()}
        return words & {*prefixes}

    def host(self, member: str) -> Namespace:
        """Return the host that stands for a member's pods."""
        site = self.rig.site
        return {"us": site.internet, "ap": site.attacker}[member]

    def reaches(self, member: str, pod: Attachment) -> bool:
        """Report whether a member reaches a pod by both families."""
        return all(ask(self.host(member), one) for one in pod.addresses)

    def is_refused(self, member: str, pod: Attachment) -> bool:
        """Report whether a member reaches a pod by neither family, for as long as an answer usually takes."""
        return not any(ask(self.host(member), one, "tcp", timeout=SHORTLY) for one in pod.addresses)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Provide the cluster, whose network routes its pods' IPv4 as well."""
    folder = tmp_path / "k8s"
    with Site(route_ipv4_pods=True) as site, node_agent(site.node, root(), folder) as agent:
        (folder / "config.yaml").write_text(SETTINGS)
        yield Cluster(Rig(site, site.node, Frozen(site.node.namespace, root=root()), agent.conf()), agent)


def test_a_member_that_is_added_gets_in(cluster: Cluster) -> None:
    """Without a restart, in both families; pods see its addresses and it theirs, which strangers do not in IPv4."""
    pod = cluster.rig.attach()
    with Server(pod.pod), Server(cluster.host("us")), Server(cluster.host("ap")):
        assert cluster.is_refused("us", pod)
        assert cluster.is_refused("ap", pod)
        assert cluster.rig.node.ipv4 == source_seen(pod.pod, INTERNET4)

        cluster.list_members(us=US)
        cluster.wait_for(*US)
        for own, theirs in zip(pod.addresses, HOSTS["us"], strict=True):
            assert own == source_seen(pod.pod, theirs)
            assert theirs == source_seen(cluster.host("us"), own)
        assert cluster.is_refused("ap", pod)
        assert [pod.ipv6, cluster.rig.node.ipv4] == [source_seen(pod.pod, one) for one in HOSTS["ap"]]
    wait_until(lambda: {"name": "shop", "here": "eu"}.items() <= cluster.report()["clusterset"].items())
    assert not cluster.in_force(*EU)


def test_a_member_that_is_removed_is_cut_off(cluster: Cluster) -> None:
    """At once and in both families: TCP and UDP that it or a pod has opened, host ports, and whatever is new.

    Connections of the member that remains go on, in both directions.
    """
    cluster.list_members(us=US, ap=AP)
    cluster.wait_for(*US, *AP)
    mappings = [{"hostPort": HOST_PORT, "containerPort": PORT, "protocol": one} for one in ("tcp", "udp")]
    pod = cluster.rig.having(runtimeConfig={"portMappings": mappings}).attach()
    with ExitStack() as stack:
        opened: dict[str, list[Any]] = {"us": [], "ap": []}
        for member, kind, family in product(opened, KINDS, (0, 1)):
            ours, theirs = (pod.pod, pod.addresses[family]), (cluster.host(member), HOSTS[member][family])
            port = PORT + 1 + KINDS.index(kind) + 2 * list(opened).index(member)
            opened[member].append(stack.enter_context(connected(theirs, ours, kind, port=port)))
            opened[member].append(stack.enter_context(connected(ours, theirs, kind, port=port)))
        by_host_port = _by_host_port(cluster, pod, stack)

        cluster.list_members(ap=AP)
        cluster.wait_for(*AP)
        assert not any(one.delivers(b"late", wanted=False) for one in opened["us"] if one.where[0] != pod.pod)
        assert not any(_arrives(*one, timeout=SHORTLY) for one in by_host_port)
        tcp = [one for one in opened["us"] if one.began.type == socket.SOCK_STREAM]
        assert [False] * 8 == [one.delivers(b"late", back=back, wanted=False) for one in tcp for back in (False, True)]
        assert [True] * 16 == [one.delivers(b"more", back=back) for one in opened["ap"] for back in (False, True)]
        with Server(pod.pod):
            assert cluster.is_refused("us", pod)
            assert cluster.reaches("ap", pod)


def _by_host_port(cluster: Cluster, pod: Attachment, stack: ExitStack) -> list[tuple[socket.socket, socket.socket]]:
    """Open TCP by the node's host port in each family; return both ends."""
    found = []
    for address, node in zip(pod.addresses, (cluster.rig.node.ipv6, cluster.rig.node.ipv4), strict=True):
        family = family_of(address)
        listening = stack.enter_context(pod.pod.socket(family, socket.SOCK_STREAM))
        listening.bind((address, PORT))
        listening.listen(1)
        client = stack.enter_context(cluster.host("us").socket(family, socket.SOCK_STREAM))
        client.connect((node, HOST_PORT))
        server = stack.enter_context(listening.accept()[0])
        assert _arrives(client, server, timeout=ANSWERED)
        found.append((client, server))
    return found


def _arrives(client: socket.socket, server: socket.socket, *, timeout: float) -> bool:
    """Report whether what a client says arrives within this time."""
    server.settimeout(timeout)
    client.sendall(b"!")
    try:
        return bool(server.recv(1))
    except TimeoutError:
        return False


def test_a_pod_that_goes_on_sending_is_not_answered(cluster: Cluster) -> None:
    """What it sends to a member that was removed does not become a connection of its own, with answers let in."""
    cluster.list_members(us=US)
    cluster.wait_for(*US)
    pod = cluster.rig.attach()
    with ExitStack() as stack:
        ends = [
            ((cluster.host("us"), theirs), (pod.pod, ours))
            for theirs, ours in zip(HOSTS["us"], pod.addresses, strict=True)
        ]
        flows = [stack.enter_context(connected(*pair, socket.SOCK_DGRAM)) for pair in ends]
        cluster.list_members()
        cluster.wait_for()
        for flow in flows:
            flow.delivers(b"still here", back=True)
            assert not flow.delivers(b"answer", wanted=False)


def test_a_wrong_file_and_a_restart_change_nothing_and_a_deleted_one_ends_all(cluster: Cluster) -> None:
    """What is wrong is named, the last good file survives the agent, and without a ConfigMap no member is trusted."""
    cluster.list_members(us=US)
    cluster.wait_for(*US)
    cluster.write(members.text(members.entry(0, id="eu", prefixes=["::/0"])))
    wait_until(lambda: any("::/0" in one for one in cluster.report()["problems"]))
    assert {*US} == cluster.in_force(*US)

    cluster.agent.kill()
    cluster.agent.start()
    wait_until(lambda: ["ClustersetInvalid"] == [one["reason"] for one in cluster.report()["problemDetails"]])
    assert {*US} == cluster.in_force(*US)

    cluster.agent.api.remove(CONFIG_MAPS, f"slash80-system/{NAME}")
    cluster.wait_for()
    assert not cluster.in_force(*US)
    wait_until(lambda: [] == cluster.report()["problems"])


def test_connections_end_also_when_the_agent_was_away(cluster: Cluster) -> None:
    """A member that is struck while no agent runs is cut off by the next one."""
    cluster.list_members(us=US)
    cluster.wait_for(*US)
    pod = cluster.rig.attach()
    with connected((cluster.host("us"), INTERNET6), (pod.pod, pod.ipv6), socket.SOCK_STREAM) as open_one:
        cluster.agent.kill()
        cluster.list_members()
        assert open_one.delivers(b"meanwhile")
        cluster.agent.start()
        cluster.wait_for()
        assert not open_one.delivers(b"late", wanted=False)
        assert not open_one.delivers(b"late", back=True, wanted=False)


def test_a_members_address_from_the_wrong_link_is_not_trusted(cluster: Cluster) -> None:
    """A prefix of a member counts only on the link that leads to it, as every trusted prefix does."""
    cluster.list_members(us=US)
    cluster.wait_for(*US)
    pod, host = cluster.rig.attach(), cluster.rig.host
    stranger = cluster.rig.site.pod()
    host.ip(f"link add eth1 index 3000 type veth peer name eth0 netns {stranger.name}")
    for end, link, number in ((host, "eth1", 2), (stranger, "eth0", 1)):
        end.sysctl(f"ipv6/conf/{link}/accept_dad", 0)
        end.ip(f"addr add 2001:db8:51de::{number}/64 dev {link} nodad", f"link set {link} up")
    stranger.ip("route add default via 2001:db8:51de::2")
    wait_until(lambda: host.links_work("eth1") and stranger.links_work("eth0"))
    with pod.pod.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind((pod.ipv6, 9))
        server.settimeout(ANSWERED)
        forgery.send(stranger, forgery.datagram((INTERNET6, 1000), (pod.ipv6, 9), b"forged"))
        misrouted = ("nft", "list", "set", "inet", "slash80", "misrouted6")
        wait_until(lambda: INTERNET6 in host.command(*misrouted))
        forgery.send(cluster.rig.site.internet, forgery.datagram((INTERNET6, 1000), (pod.ipv6, 9), b"honest"))
        assert server.recv(100) == b"honest"


def test_an_agent_without_the_right_to_read_the_file_goes_on(cluster: Cluster) -> None:
    """As after an upgrade of the image alone: it says in one sentence what to apply, and pods are attached."""
    cluster.list_members(us=US)
    cluster.wait_for(*US)
    cluster.agent.kill()
    cluster.agent.api.forbidden.add("configmaps")
    cluster.agent.start()
    wait_until(lambda: ["ClustersetUnknown"] == [one["reason"] for one in cluster.report()["problemDetails"]])
    assert "rbac.yaml" in cluster.report()["problems"][0]
    assert cluster.report()["ready"]
    assert {*US} == cluster.in_force(*US)
    cluster.rig.attach()
