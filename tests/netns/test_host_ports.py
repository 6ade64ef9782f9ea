"""Host ports: from everywhere to the pod, by every address of the node's, opened no further than the settings say."""

import json
import re
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from lab import forgery
from lab.attacker import Sniffer
from lab.namespaces import Namespace
from lab.probes import ANSWERED, PORT, SHORTLY, Protocol, Server, ask
from lab.rig import Attachment, Rig, changed
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until
from slash80.failpoints import Failpoint

HOST_PORT = 8080
INTERNET = [f"{INTERNET4}/32", f"{INTERNET6}/128"]
SERVICES = {"serviceCIDRs": ["10.96.0.0/16", "fd00:10:96::/112"]}
WORDS = {"ipv4": "ip", "ipv6": "ip6"}
LOOPBACK = {"ipv4": "127.0.0.1", "ipv6": "::1"}
SETS = ("hostport_address", "hostport_port", "anyhostport_address", "anyhostport_port", "hostport_pod")
FLUSH_MAPS = "".join(f"flush map inet slash80 {name}6\n" for name in SETS[:4])
MOMENTS = [
    *(("ADD", one) for one in (Failpoint.RESERVED, Failpoint.CLOSED, Failpoint.HOST_WIRED, Failpoint.ANSWERED)),
    *(("DEL", one) for one in (Failpoint.LOCKED, Failpoint.DETACHED, Failpoint.RELEASED)),
]
BOTH: tuple[Protocol, ...] = ("tcp", "udp")


def mapping(port: int = HOST_PORT, **more: object) -> dict[str, object]:
    """Return a mapping to the port on which servers listen, by TCP."""
    return {"hostPort": port, "containerPort": PORT, "protocol": "tcp", **more}


def mapped(rig: Rig, *mappings: dict[str, object], pod: Namespace | None = None) -> Attachment:
    """ADD for a pod with host ports, by default one without address for TCP and UDP."""
    asked = mappings or tuple(mapping(protocol=protocol) for protocol in BOTH)
    return rig.attach(pod, changed(rig.conf, runtimeConfig={"portMappings": list(asked)}))


def seen(client: Namespace, address: str, *, port: int = HOST_PORT, wanted: bool = True) -> list[str | None]:
    """Return the sources that the server behind a host port saw of TCP and UDP, None without an answer."""
    timeout = ANSWERED if wanted else SHORTLY
    answers = [ask(client, address, protocol, port=port, timeout=timeout) for protocol in BOTH]
    return [answer.source if answer else None for answer in answers]


def listed(host: Namespace) -> set[str]:
    """Return the names of the sets and maps that have elements of host ports."""
    table = host.command("nft", "list", "table", "inet", "slash80")
    found = re.findall(r"(?:set|map) (\w+) {\n\t\ttype [^\n]*\n\t\telements = ", table)
    return {name for name in found if name.rstrip("46") in SETS}


def drops(host: Namespace, reason: str) -> int:
    """Return how many packets were dropped for a reason."""
    rules = host.command("nft", "list", "table", "inet", "slash80")
    return sum(map(int, re.findall(rf'packets (\d+) bytes \d+ drop comment "{reason} ', rules)))


def test_a_host_port_leads_to_the_pod_from_everywhere(rig: Rig, family: str) -> None:
    """From outside and from other pods with their own address, from the pod itself and the node with the node's."""
    pod, other, address = mapped(rig), rig.attach(), getattr(rig.node, family)
    outside = {"ipv4": INTERNET4, "ipv6": INTERNET6}[family]
    with Server(pod.pod):
        assert [outside] * 2 == seen(rig.site.internet, address)
        assert [getattr(other, family)] * 2 == seen(other.pod, address)
        assert [address] * 2 == seen(pod.pod, address)
        assert [address] * 2 == seen(rig.host, address)
        assert [address] * 2 == seen(rig.host, LOOPBACK[family])
        assert [None] * 2 == seen(rig.site.internet, getattr(pod, family), port=PORT, wanted=False)


def test_a_host_port_of_every_loopback_address(rig: Rig) -> None:
    """All of 127.0.0.0/8 is the node's; and a program that binds to the node's address may ask 127.0.0.1 and ::1."""
    pod = mapped(rig)
    with Server(pod.pod):
        assert [rig.node.ipv4] * 2 == seen(rig.host, "127.1.2.3")
        for own, loopback in ((rig.node.ipv4, "127.0.0.1"), (rig.node.ipv6, "::1")):
            with rig.host.socket(socket.AF_INET6 if ":" in own else socket.AF_INET, socket.SOCK_STREAM) as asking:
                asking.settimeout(ANSWERED)
                asking.bind((own, 0))
                asking.connect((loopback, HOST_PORT))
                asking.shutdown(socket.SHUT_WR)
                assert own == json.loads(asking.recv(4096))["source"]


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
def test_nothing_but_the_node_reaches_the_nodes_loopback(rig: Rig, target: str) -> None:
    """Neither a pod with a host port nor a neighbour sends to 127.0.0.1 or ::1, whether the port is mapped or not."""
    pod, other = mapped(rig), rig.attach()
    with ExitStack() as stack:
        listening = stack.enter_context(_listening(rig.host, target, 4712))
        inside = stack.enter_context(_listening(pod.pod, _any(target), PORT))
        source = other.ipv6 if ":" in target else other.ipv4
        for port in (HOST_PORT, 4712):
            packet = forgery.datagram((source, 4711), (target, port), b"pod")
            forgery.send_on(other.pod, "eth0", packet, mac=_gateway_mac(rig, other))
            forgery.send_on(rig.site.router, "node1", packet, mac=rig.host.query("link show eth0")[0]["address"])
        assert [None] * 2 == [_received(one) for one in (listening, inside)]
        assert b"node" == _sent_by_the_node(rig.host, target, inside)


def _any(address: str) -> str:
    return "::" if ":" in address else "0.0.0.0"


def _listening(namespace: Namespace, address: str, port: int) -> socket.socket:
    opened = namespace.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    opened.bind((address, port))
    opened.settimeout(SHORTLY)
    return opened


def _received(listening: socket.socket) -> bytes | None:
    try:
        return listening.recv(100)
    except TimeoutError:
        return None


def _sent_by_the_node(host: Namespace, target: str, inside: socket.socket) -> bytes | None:
    with host.socket(inside.family, socket.SOCK_DGRAM) as asking:
        asking.sendto(b"node", (target, HOST_PORT))
    inside.settimeout(ANSWERED)
    return _received(inside)


def _gateway_mac(rig: Rig, attachment: Attachment) -> str:
    return str(rig.host.query(f"link show {attachment.host_ifname}")[0]["address"])


@pytest.mark.parametrize("every", ["", "0.0.0.0", "::"])
def test_one_pod_may_map_one_address_beside_all(rig: Rig, every: str) -> None:
    """The mapping of one address is asked first; the unspecified address means those of its family."""
    one = mapping(hostIP=rig.node.ipv6 if every == "::" else rig.node.ipv4, containerPort=9)
    pod = mapped(rig, one, mapping(hostIP=every))
    families = {"": {"ipv4", "ipv6"}, "0.0.0.0": {"ipv4"}, "::": {"ipv6"}}[every]
    with Server(pod.pod), Server(pod.pod, port=9):
        rig.host.ip("addr add 192.0.2.3/32 dev lo", "addr add 2001:db8:0:1::3/128 dev lo")
        for family, loopback in LOOPBACK.items():
            wanted = family in families
            assert wanted == bool(seen(rig.host, loopback, wanted=wanted)[0])
        assert seen(rig.host, str(one["hostIP"]))[0]
        wait_until(lambda: bool(_targets(rig.host, 9)))


def _targets(host: Namespace, port: int) -> list[str]:
    """Return the connections that lead to a port of a pod."""
    return re.findall(rf".* src=\S+ dst=\S+ sport={port} .*", host.command("conntrack", "-L"))


def test_pods_share_a_port_by_address_and_protocol(rig: Rig) -> None:
    """One has it at 127.0.0.1, one at the node's address and one there by UDP, as Kubernetes' conformance asks."""
    pods = [
        mapped(rig, mapping(hostIP="127.0.0.1")),
        mapped(rig, mapping(hostIP=rig.node.ipv4)),
        mapped(rig, mapping(hostIP=rig.node.ipv4, protocol="udp")),
        mapped(rig, mapping(hostIP="::1")),
        mapped(rig, mapping(hostIP=rig.node.ipv6, protocol="UDP")),
    ]
    tried: list[tuple[str, Protocol]] = [
        ("127.0.0.1", "tcp"),
        (rig.node.ipv4, "tcp"),
        (rig.node.ipv4, "udp"),
        ("::1", "tcp"),
        (rig.node.ipv6, "udp"),
    ]
    for pod, (address, protocol) in zip(pods, tried, strict=True):
        assert ask(rig.host, address, protocol, port=HOST_PORT, timeout=SHORTLY) is None
        with Server(pod.pod):
            assert ask(rig.host, address, protocol, port=HOST_PORT)


def test_sctp_is_translated(rig: Rig, family: str) -> None:
    """An INIT to the host port arrives at the pod's port; this kernel need not have SCTP itself."""
    pod = mapped(rig, mapping(protocol="sctp"))
    address, source = getattr(rig.node, family), {"ipv4": INTERNET4, "ipv6": INTERNET6}[family]
    with Sniffer(pod.pod, "eth0") as sniffer:
        forgery.send(rig.site.internet, forgery.sctp_init((source, 5000), (address, HOST_PORT)))
        found = [(one.protocol, one.source, one.target) for one in sniffer.packets()]

    assert (socket.IPPROTO_SCTP, source, getattr(pod, family)) in found


@pytest.mark.parametrize("services", [{}, SERVICES], ids=["no services known", "services known"])
@pytest.mark.parametrize(
    ("host_ports", "trusted", "expected"),
    [
        ("open", False, True),
        ("trusted", False, False),
        ("trusted", True, True),
        ("none", True, False),
    ],
)
def test_settings_say_who_reaches_a_host_port(
    rig: Rig, family: str, services: dict[str, object], host_ports: str, *, trusted: bool, expected: bool
) -> None:
    """From outside everybody, trusted prefixes or no host; the node and its pods in any case."""
    firewall = {"hostPorts": host_ports, "trusted": INTERNET if trusted else [], **services}
    rig = rig.having(firewall=firewall)
    pod, other, address = mapped(rig), rig.attach(), getattr(rig.node, family)
    with Server(pod.pod):
        assert [expected] * 2 == [bool(one) for one in seen(rig.site.internet, address, wanted=expected)]
        assert all(seen(other.pod, address))
        assert all(seen(rig.host, LOOPBACK[family]))


@pytest.mark.parametrize("host_ports", ["trusted", "none"])
def test_a_connection_does_not_outlive_the_setting(rig: Rig, family: str, host_ports: str) -> None:
    """What is translated already would be accepted as a Service's; it is dropped, and counted as a host port's."""
    before = rig.having(firewall={"hostPorts": "open", **SERVICES})
    pod, address = mapped(before), getattr(rig.node, family)
    with Server(pod.pod), rig.site.internet.socket(_kind(family), socket.SOCK_DGRAM) as asking:
        asking.settimeout(ANSWERED)
        asking.connect((address, HOST_PORT))
        asking.send(b"?")
        assert asking.recv(4096)
        rig.having(firewall={"hostPorts": host_ports, **SERVICES}).attach()
        asking.settimeout(SHORTLY)
        asking.send(b"?")
        with pytest.raises(TimeoutError):
            asking.recv(4096)
    assert drops(rig.host, "hostport")


def _kind(family: str) -> socket.AddressFamily:
    return socket.AF_INET if family == "ipv4" else socket.AF_INET6


@pytest.mark.parametrize("services", [{}, SERVICES], ids=["no services known", "services known"])
def test_a_forged_trusted_source_opens_no_host_port(rig: Rig, family: str, services: dict[str, object]) -> None:
    """It came by a link that does not lead back to it, so with `trusted` it gets no further than a stranger."""
    links = ["link add other type veth peer name far", "link set far up", "link set other up"]
    rig.host.ip(*links, "route add 100.64.7.0/24 dev other", "route add 2001:db8:77::/64 dev other")
    rig = rig.having(firewall={"hostPorts": "trusted", "trusted": ["100.64.7.0/24", "2001:db8:77::/64"], **services})
    pod, source = mapped(rig), {"ipv4": "100.64.7.7", "ipv6": "2001:db8:77::7"}[family]
    with _listening(pod.pod, _any(source), PORT) as inside:
        forgery.send(rig.site.attacker, forgery.datagram((source, 4711), (getattr(rig.node, family), HOST_PORT), b"x"))
        assert _received(inside) is None


def test_a_service_with_the_same_port_is_judged_as_a_service(rig: Rig, family: str) -> None:
    """With `hostPorts: trusted` and `services: open`: a load balancer's address leads on, the node's own does not."""
    rig = rig.having(firewall={"hostPorts": "trusted", **SERVICES})
    pod, balancer = mapped(rig), {"ipv4": "192.0.2.200", "ipv6": "2001:db8:1b::1"}[family]
    _translate(rig, family, f"{WORDS[family]} daddr {balancer} meta l4proto {{ tcp, udp }} th dport {HOST_PORT}", pod)
    rig.site.router.command("ip", "route", "replace", balancer, "via", getattr(rig.node, family))
    with Server(pod.pod):
        assert all(seen(rig.site.internet, balancer))
        assert [None] * 2 == seen(rig.site.internet, getattr(rig.node, family), wanted=False)


def _translate(rig: Rig, family: str, packets: str, pod: Attachment) -> None:
    """Lead packets to a pod as kube-proxy does."""
    target = {"ipv4": pod.ipv4, "ipv6": f"[{pod.ipv6}]"}[family]
    hook = "type nat hook prerouting priority dstnat;"
    rule = f"{packets} dnat {WORDS[family]} to {target}:{PORT}"
    rig.host.nft(f"table inet proxy {{\nchain before {{\n{hook}\n{rule}\n}}\n}}")


def test_a_service_of_the_same_address_and_port_wins(rig: Rig, family: str) -> None:
    """kube-proxy's translation comes first, whichever table was made first: a host port hijacks no NodePort."""
    address = getattr(rig.node, family)
    service, pod = rig.having(firewall=SERVICES).attach(), mapped(rig.having(firewall=SERVICES))
    _translate(rig, family, f"{WORDS[family]} daddr {address} tcp dport {HOST_PORT}", service)
    with Server(service.pod):
        assert ask(rig.site.internet, address, "tcp", port=HOST_PORT)
    assert ask(rig.site.internet, address, "udp", port=HOST_PORT, timeout=SHORTLY) is None
    with Server(pod.pod):
        assert ask(rig.site.internet, address, "udp", port=HOST_PORT)


@pytest.mark.with_and_without_agent
def test_a_port_is_free_again_after_del(rig: Rig) -> None:
    """DEL knows the mappings without runtimeConfig, and frees the port although the link may be deleted later."""
    first = mapped(rig)
    error = rig.plugin.refuses("ADD", _asking(rig), netns=rig.site.pod())
    assert 102 == error["code"]
    assert "8080" in error["msg"]
    assert first.pod.name in error["msg"]

    rig.detach(first)
    second = mapped(rig)
    with Server(second.pod):
        assert all(seen(rig.host, "127.0.0.1"))
    rig.detach(second)
    wait_until(lambda: not listed(rig.host))


def _asking(rig: Rig, *mappings: dict[str, object]) -> dict[str, object]:
    return changed(rig.conf, runtimeConfig={"portMappings": list(mappings or [mapping()])})


@pytest.mark.parametrize("hostip", ["", "0.0.0.0", "192.0.2.2"])
def test_a_taken_port_is_refused_before_anything_is_changed(rig: Rig, hostip: str) -> None:
    """One error that names port and pod; the first pod's port goes on, and the second leaves nothing."""
    first = mapped(rig, mapping(hostIP="192.0.2.2"))
    before = rig.host.command("nft", "-s", "list", "table", "inet", "slash80")
    error = rig.plugin.refuses("ADD", _asking(rig, mapping(hostIP=hostip)), netns=rig.site.pod())

    assert (102, True) == (error["code"], first.pod.name in error["msg"])
    assert before == rig.host.command("nft", "-s", "list", "table", "inet", "slash80")
    with Server(first.pod):
        assert seen(rig.host, "192.0.2.2")[0]


def test_a_dead_pod_does_not_keep_its_port(rig: Rig) -> None:
    """Its namespace is gone, and its DEL never came."""
    dead = mapped(rig)
    rig.host.ip(f"link del {dead.host_ifname}")
    second = mapped(rig)
    with Server(second.pod):
        assert all(seen(rig.host, rig.node.ipv4))


def test_udp_that_began_before_the_mapping_is_led_to_the_pod(rig: Rig, family: str) -> None:
    """A sender goes on with one port: its connection was made without translation, or for the pod before this one."""
    address = getattr(rig.node, family)
    rig.cycle()  # connections are tracked from now on
    with rig.site.internet.socket(_kind(family), socket.SOCK_DGRAM) as asking:
        asking.settimeout(ANSWERED)

        def answered() -> bool:
            asking.sendto(b"?", (address, HOST_PORT))
            return bool(asking.recv(4096))

        asking.sendto(b"?", (address, HOST_PORT))
        wait_until(lambda: str(HOST_PORT) in rig.host.command("conntrack", "-L", "-p", "udp"))
        first = mapped(rig)
        with Server(first.pod):
            assert answered()
        rig.detach(first)
        second = mapped(rig)
        with Server(second.pod):
            assert answered()


@pytest.mark.parametrize(
    "spoil", ["flush ruleset", "delete table inet slash80", FLUSH_MAPS], ids=["all", "table", "maps"]
)
def test_host_ports_outlive_a_spoiled_table(rig: Rig, spoil: str) -> None:
    """CHECK, or the next pod's ADD, writes them again from the record."""
    pod = mapped(rig)
    names = listed(rig.host)
    rig.host.nft(spoil)
    rig.plugin.check(pod.pod, _asking(rig), pod.result)

    assert names == listed(rig.host)
    with Server(pod.pod):
        assert all(seen(rig.site.internet, rig.node.ipv6))


def test_a_lost_store_keeps_host_ports(rig: Rig) -> None:
    """They are read back from the table: a port stays taken, CHECK passes, DEL removes it."""
    pod = mapped(rig, mapping(hostIP=rig.node.ipv6), mapping(), mapping(9090, protocol="sctp"))
    rig.lose_state()
    error = rig.plugin.refuses("ADD", _asking(rig), netns=rig.site.pod())
    assert 102 == error["code"], error

    asked = changed(rig.conf, runtimeConfig={"portMappings": [mapping(), mapping(9090, protocol="sctp")]})
    rig.plugin.check(pod.pod, asked, pod.result)
    rig.detach(pod)
    wait_until(lambda: not listed(rig.host))


def test_check_puts_back_what_leads_loopback(rig: Rig) -> None:
    """route_localnet of the pod's link and the route for ::1 are the node's, so they are put right on the spot."""
    pod = mapped(rig)
    rig.host.sysctl(f"ipv4/conf/{pod.host_ifname}/route_localnet", 0)
    rig.host.command("ip", "-6", "route", "del", "local", "::1", "dev", pod.host_ifname, "table", "local")
    rig.plugin.check(pod.pod, _asking(rig), pod.result)

    with Server(pod.pod):
        assert all(seen(rig.host, LOOPBACK["ipv4"]))
        assert all(seen(rig.host, LOOPBACK["ipv6"]))


def test_check_tells_of_a_host_port_that_is_not_on_record(rig: Rig) -> None:
    """As when both state and table were lost: the pod is not what its owner asked for."""
    pod = rig.attach()
    error = rig.plugin.refuses("CHECK", _asking(rig) | {"prevResult": pod.result}, netns=pod.pod)

    assert "host port tcp 0.0.0.0:8080 is missing" in error["msg"]


def test_a_pod_without_host_ports_has_nothing_of_them(rig: Rig) -> None:
    """Neither elements nor settings of its link."""
    pod = rig.attach()

    assert set() == listed(rig.host)
    assert "0" == rig.host.sysctl(f"ipv4/conf/{pod.host_ifname}/route_localnet")
    assert "local ::1 " not in rig.host.command("ip", "-6", "route", "show", "table", "local", "dev", pod.host_ifname)


def test_hundreds_of_host_ports(rig: Rig) -> None:
    """As podman asks for a range; one batch has them all, and DEL takes them away."""
    pod = mapped(rig, *(mapping(10000 + number) for number in range(1000)))
    with Server(pod.pod):
        assert ask(rig.site.internet, rig.node.ipv6, "tcp", port=10999)
    rig.detach(pod)
    wait_until(lambda: not listed(rig.host))


@pytest.mark.parametrize("make_room", ["elements of an unknown pod", "elements of a removed pod"])
def test_leftover_elements_do_not_keep_a_port(rig: Rig, make_room: str) -> None:
    """They are what a kill in the middle of a removal leaves, or a state directory that was lost with its pod."""
    pod = mapped(rig)
    rig.host.ip(f"link del {pod.host_ifname}")
    if make_room == "elements of an unknown pod":
        rig.lose_state()
    second = mapped(rig)
    with Server(second.pod):
        assert all(seen(rig.host, rig.node.ipv6))


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
@pytest.mark.parametrize(("verb", "moment"), MOMENTS)
def test_a_killed_call_keeps_no_port(rig: Rig, quick: Callable[[Rig], Rig], verb: str, moment: Failpoint) -> None:
    """The runtime's DEL comes after an ADD that was killed, and again after a DEL; then the next pod gets the port."""
    others, pod = quick(rig), rig.site.pod()
    if verb == "DEL":
        others.plugin.add(pod, _asking(rig))
    outcome = rig.plugin.call(verb, _asking(rig), netns=pod, SLASH80_FAILPOINT=f"{moment}:KILL")
    assert outcome.code == -signal.SIGKILL
    others.plugin.delete(pod, rig.conf)

    second = mapped(others)
    with Server(second.pod):
        assert all(seen(rig.host, rig.node.ipv4))
    others.detach(second)
    assert set() == listed(rig.host)


def test_a_lost_store_opens_no_port_of_a_later_pod(rig: Rig) -> None:
    """The pod is gone with its record, and the next one may get its address: what led there is deleted before."""
    gone = mapped(rig)
    rig.host.ip(f"link del {gone.host_ifname}")
    rig.lose_state()
    rig.attach()

    assert set() == listed(rig.host)


def test_of_two_adds_at_once_one_gets_the_port(rig: Rig) -> None:
    """Ports are compared in the transaction that reserves addresses; the other one's error names the winner."""
    pods = [rig.site.pod() for _ in range(6)]
    with ThreadPoolExecutor(len(pods)) as calls:
        outcomes = list(calls.map(lambda pod: rig.plugin.call("ADD", _asking(rig), netns=pod), pods))

    winners = [pod for pod, outcome in zip(pods, outcomes, strict=True) if outcome.code == 0]
    assert 1 == len(winners)
    refused = [outcome.json for outcome in outcomes if outcome.code]
    assert {102} == {error["code"] for error in refused}
    assert all(winners[0].name in error["msg"] for error in refused)


def test_another_state_directorys_port_is_not_taken(rig: Rig) -> None:
    """No record of this one has it, but the maps do, and the pod's link lives; its elements outlive a repair."""
    other = rig.having(
        stateDir=f"{rig.state_dir}2", name="other", ipv6={"prefixes": ["2001:db8:0:1:2::/80"]}, ipv4=None
    )
    other = other.in_process()
    other.cycle()
    pod = mapped(rig)
    error = other.plugin.refuses("ADD", _asking(other), netns=rig.site.pod())
    assert (102, True) == (error["code"], "another state directory" in error["msg"]), error

    rig.host.nft("flush chain inet slash80 edge")
    other.attach()
    with Server(pod.pod):
        assert all(seen(rig.site.internet, rig.node.ipv6))
