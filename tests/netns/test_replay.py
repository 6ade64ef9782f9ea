"""What others do with a pod's interfaces: replay and move their routes, have such routes too, switch them off."""

from contextlib import closing

import pytest

from lab.descriptors import Descriptors
from lab.namespaces import Namespace
from lab.probes import Server, is_silent, ping, source_seen
from lab.rig import Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until
from slash80.wiring.procfs import OwnProcfs

INTERNET = {"ipv6": INTERNET6, "ipv4": INTERNET4}
GATEWAY = {"ipv6": "fe80::1", "ipv4": "169.254.1.1"}
WORDS = {"ipv6": "-6", "ipv4": "-4"}


def routes(pod: Namespace, family: str) -> list[str]:
    """List a pod's routes as `ip route` writes them, those without a gateway first, as they must be added."""
    lines = pod.command("ip", WORDS[family], "route", "show").splitlines()
    return sorted((line.strip() for line in lines), key=lambda line: " via " in line)


def do(pod: Namespace, family: str, *lines: str) -> None:
    """Run `ip route` with each line's words in one family."""
    stdin = "".join(f"route {line}\n" for line in lines)
    pod.command("ip", WORDS[family], "-batch", "-", stdin=stdin)


def test_default_route_can_be_replayed_without_flags(rig: Rig, family: str) -> None:
    """A route that a meta-plugin adds again by the result's gateway and interface alone leads to the Internet."""
    pod = rig.attach().pod
    do(pod, family, "del default")
    assert is_silent(pod, INTERNET[family])

    do(pod, family, f"add default via {GATEWAY[family]} dev eth0")

    assert ping(pod, INTERNET[family]) == 1


def test_default_route_can_move_to_another_interface(rig: Rig, family: str) -> None:
    """Multus' `default-route` deletes one interface's route, and the other interface's address is then the source."""
    pod = rig.attach().pod
    second = rig.attach(pod, ifname="net1")
    rig.plugin.check(pod, rig.conf, second.result, ifname="net1")
    do(pod, family, "del default dev eth0", f"add default via {GATEWAY[family]} dev net1")
    with Server(rig.host):
        assert source_seen(pod, getattr(rig.node, family)) == getattr(second, family)


def test_all_routes_can_be_replayed_as_listed(rig: Rig, family: str) -> None:
    """Each line of `ip route` of both interfaces is added again, and the list is the same."""
    conf = rig.having(routes=[{"dst": "198.51.100.0/24", "mtu": 1400}, {"dst": "2001:db8:ffff::/48"}]).conf
    pod = rig.attach(conf=conf).pod
    rig.attach(pod, conf, ifname="net1")
    before = routes(pod, family)
    do(pod, family, "flush proto 180")
    assert is_silent(pod, INTERNET[family])

    do(pod, family, *(f"add {line}" for line in before if "proto kernel" not in line))

    assert routes(pod, family) == before
    assert ping(pod, INTERNET[family]) == 1


def test_interfaces_of_a_pod_come_and_go(rig: Rig) -> None:
    """A pod whose second interface was removed gets a fourth one, and no two interfaces' routes are the same."""
    conf = rig.having(routes=[{"dst": "198.51.100.0/24"}, {"dst": "2001:db8:ffff::/48"}]).conf
    pod = rig.attach(conf=conf).pod
    second, _ = (rig.attach(pod, conf, ifname=name) for name in ("net1", "net2"))
    rig.detach(second, conf)

    fourth = rig.attach(pod, conf, ifname="net3")

    rig.plugin.check(pod, conf, fourth.result, ifname="net3")


@pytest.mark.parametrize("ours_first", [True, False])
def test_another_plugin_with_the_same_gateway(rig: Rig, *, ours_first: bool) -> None:
    """An interface of a plugin with the gateway 169.254.1.1, such as Calico's, does not collide with slash80's."""
    pod = rig.site.pod()
    theirs = ["link add cali0 type bridge", "link set cali0 up", "addr add 10.1.1.5/32 dev cali0"]
    theirs += ["route add 169.254.1.1 dev cali0 scope link"]
    if ours_first:
        attachment = rig.attach(pod)
        pod.ip(*theirs)
    else:
        pod.ip(*theirs)
        attachment = rig.attach(pod)

    rig.plugin.check(pod, rig.conf, attachment.result)
    assert ping(pod, INTERNET4, source=attachment.ipv4) == 1


@pytest.mark.with_and_without_agent
def test_interface_that_goes_down_keeps_its_addresses(rig: Rig) -> None:
    """It keeps both addresses, as ptp's do; with its routes added again everything is as before."""
    pod = rig.attach()
    # it is set when the answer is out already
    wait_until(lambda: pod.pod.sysctl("ipv6/conf/eth0/keep_addr_on_down") == "1")
    before = {family: routes(pod.pod, family) for family in WORDS}
    pod.pod.ip("link set eth0 down", "link set eth0 up")
    found = [info["local"] for info in pod.pod.query("addr show eth0")[0]["addr_info"] if info["scope"] == "global"]
    for family, lines in before.items():
        do(pod.pod, family, *(f"add {line}" for line in lines if "proto kernel" not in line))
    wait_until(lambda: ping(rig.host, pod.ipv6) == 1)  # the kernel's link watch

    assert set(found) == set(pod.addresses)
    assert [ping(pod.pod, address) for address in INTERNET.values()] == [1, 1]


def test_sysctl_of_many_pods_is_written_through_procfs_mounts(rig: Rig) -> None:
    """A process takes a new mount of procfs now and then and keeps none open."""
    with closing(OwnProcfs()) as procfs:
        before = Descriptors()
        pods = [rig.site.pod() for _ in range(3)]
        for value in range(100):
            for pod in pods:
                pod.run(procfs.write, "ipv4/conf/lo/medium_id", str(value))

        assert ["99"] * 3 == [pod.sysctl("ipv4/conf/lo/medium_id") for pod in pods]
        assert len(before.left()) <= 1
