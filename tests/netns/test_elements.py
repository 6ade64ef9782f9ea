"""The firewall's elements of pods: there before the pod's link is, in force, and not lost by repairs."""

import json
import re
from collections.abc import Callable
from itertools import product

import pytest

from lab.namespaces import Namespace
from lab.probes import Server, ping, source_seen
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until

# an agent has more than one process that changes the table
pytestmark = pytest.mark.with_and_without_agent
SETS = {"ipv6": "pods6", "ipv4": "pods4"}
SPOILS: dict[str, Callable[[Namespace], object]] = {
    "everything flushed": lambda host: host.nft("flush ruleset"),
    "table deleted": lambda host: host.nft("delete table inet slash80"),
    "chain flushed": lambda host: host.nft("flush chain inet slash80 source"),
}


def elements(host: Namespace) -> set[tuple[str, str]]:
    """Return host ends and addresses of both sets."""
    found = set()
    for name in SETS.values():
        (listed,) = (
            one["set"]
            for one in json.loads(host.command("nft", "-j", "list", "set", "inet", "slash80", name))["nftables"]
            if "set" in one
        )
        found |= {tuple(one["concat"]) for one in listed.get("elem", [])}
    return found


def of(*attachments: Attachment) -> set[tuple[str, str]]:
    """Return what there must be of attachments: each host end of a pod has the addresses of all its interfaces."""
    pairs = ((one, two) for one, two in product(attachments, repeat=2) if one.pod == two.pod)
    return {(one.host_ifname, address) for one, two in pairs for address in two.addresses}


def works(attachment: Attachment) -> bool:
    """Whether the pod's packets get to the Internet in both families, and the answers back."""
    return all(ping(attachment.pod, to) for to in (INTERNET6, INTERNET4))


def only_elements_count(host: Namespace) -> None:
    """Put a rule that drops in the place of the one that asks for the route back."""
    rules = host.command("nft", "-a", "list", "chain", "inet", "slash80", "source")
    found = re.search(r"fib saddr .* # handle (\d+)", rules)
    assert found
    host.nft(f"replace rule inet slash80 source handle {found[1]} counter drop")


def test_a_pod_has_its_elements_from_add_to_del(rig: Rig) -> None:
    """One for each address; with an agent they go with the link, together with others'."""
    one, two = rig.attach(), rig.attach()
    assert of(one, two) == elements(rig.host)
    rig.detach(one)

    wait_until(lambda: of(two) == elements(rig.host))
    rig.detach(two)
    wait_until(lambda: not elements(rig.host))


@pytest.mark.parametrize("shape", ["inprocess", "resident"])  # an agent puts back what is changed here
def test_a_pods_packets_pass_by_its_elements(rig: Rig) -> None:
    """So no route has to be looked up for them; a pod whose elements are missing passes by the route."""
    pod = rig.attach()
    rig.host.nft("flush set inet slash80 pods4\nflush set inet slash80 pods6")
    assert works(pod)

    only_elements_count(rig.host)
    assert not works(pod)
    other = rig.attach()
    assert works(other)


@pytest.mark.parametrize("first_to_go", ["eth0", "net1"])
def test_a_pod_may_answer_by_another_of_its_interfaces(rig: Rig, first_to_go: str) -> None:
    """Its default route is that of eth0 also for what was sent to net1; with the interface goes what it brought."""
    eth0 = rig.attach()
    net1 = rig.attach(eth0.pod, ifname="net1")
    with Server(eth0.pod):
        answered = [source_seen(rig.host, address, "tcp") for one in (eth0, net1) for address in one.addresses]
    assert [rig.node.ipv6, rig.node.ipv4] * 2 == answered
    assert of(eth0, net1) == elements(rig.host)

    goes, stays = (eth0, net1) if first_to_go == "eth0" else (net1, eth0)
    rig.detach(goes)
    wait_until(lambda: of(stays) == elements(rig.host))


def test_a_lost_store_loses_no_interface_of_a_container(rig: Rig) -> None:
    """Read back from the kernel, a container is known by a hash of its ID where that is too long for an alias."""
    rig, container = rig.having(cniVersion="1.1.0"), "c" * 300
    eth0 = rig.attach(container=container)
    rig.lose_state()
    net1 = rig.attach(eth0.pod, ifname="net1", container=container)
    assert of(eth0, net1) == elements(rig.host)

    rig.host.nft("flush set inet slash80 pods4\nflush set inet slash80 pods6")
    listed = [{"containerID": container, "ifname": "eth0"}]
    rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": listed})
    assert of(eth0, net1) == elements(rig.host)


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_repair_keeps_all_pods_elements(rig: Rig, spoil: str) -> None:
    """The ADD that finds the table damaged writes it with the elements of the pods that were there before."""
    before = [rig.attach(), rig.attach()]
    SPOILS[spoil](rig.host)
    new = rig.attach()

    assert of(*before, new) == elements(rig.host)
    only_elements_count(rig.host)
    assert [True] * 3 == [works(one) for one in (*before, new)]


def test_a_changed_setting_keeps_all_pods_elements(rig: Rig) -> None:
    """The table with the new settings has the elements of the pods that were attached with the old ones."""
    before = rig.attach()
    new = rig.having(firewall={"echo": "drop"}).attach()

    assert "meter echo4" not in rig.host.command("nft", "list", "chain", "inet", "slash80", "untrusted_pings")
    assert of(before, new) == elements(rig.host)
    only_elements_count(rig.host)
    assert works(before)


def test_a_check_puts_elements_back(rig: Rig) -> None:
    """As it does with all that is the node's."""
    pod = rig.attach()
    rig.host.nft("flush set inet slash80 pods6")
    rig.plugin.check(pod.pod, rig.conf, pod.result)

    assert of(pod) == elements(rig.host)


def test_an_add_that_fails_leaves_no_element(rig: Rig) -> None:
    """Its addresses may be another pod's next."""
    pod = rig.site.pod()
    pod.ip("link add eth0 type veth peer name eth1")
    rig.plugin.refuses("ADD", rig.conf, netns=pod)

    assert set() == elements(rig.host)


def test_gc_removes_elements_that_nobody_remembers(rig: Rig) -> None:
    """After the state was lost with a pod whose link is gone; the elements of the others are put back."""
    rig = rig.having(cniVersion="1.1.0")
    gone, lives = rig.attach(), rig.attach()
    rig.host.ip(f"link del {gone.host_ifname}")
    rig.lose_state()
    rig.host.nft("flush set inet slash80 pods6")
    listed = [{"containerID": lives.pod.name, "ifname": lives.ifname}]
    rig.plugin.gc(rig.conf | {"cni.dev/valid-attachments": listed})

    assert of(lives) == elements(rig.host)


def _own(host: Namespace) -> str:
    return " ".join(host.command("nft", "list", "set", "inet", "slash80", "own6").split())


def test_the_prefixes_of_all_networks_are_the_nodes_own(rig: Rig) -> None:
    """A network that comes later adds its prefix, and a table that is installed again has both."""
    rig.attach()
    other = rig.having(name="other", ipv6={"prefixes": ["2001:db8:0:1:2::/80"]}, ipv4=None)
    other.attach()
    assert "2001:db8:0:1:1::/80" in _own(rig.host)
    assert "2001:db8:0:1:2::/80" in _own(rig.host)

    rig.host.nft("flush ruleset")
    rig.attach()
    assert "2001:db8:0:1:2::/80" in _own(rig.host)


@pytest.mark.parametrize("shape", ["inprocess"], indirect=True)
def test_an_add_puts_own_prefixes_back(rig: Rig) -> None:
    """Before its pod's link exists; an agent asks ten times a second at most."""
    rig.attach()
    before = _own(rig.host)
    rig.host.nft("flush set inet slash80 own6")
    rig.attach()

    assert "2001:db8:0:1:1::/80" in before
    assert before == _own(rig.host)


def test_a_check_puts_own_prefixes_and_addresses_back(rig: Rig) -> None:
    """As it does with all that is the node's."""
    pod = rig.attach()
    before = _own(rig.host)
    rig.host.nft("flush set inet slash80 own6")
    rig.plugin.check(pod.pod, rig.conf, pod.result)

    assert f"{rig.node.ipv6}," in before
    assert before == _own(rig.host)
