"""A pod asks the cloud's metadata services for its node's credentials, at each of their addresses."""

import socket
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from itertools import product

import pytest

from lab import forgery
from lab.attacker import Sniffer
from lab.namespaces import Namespace
from lab.probes import ANSWERED, SHORTLY, Server, ask, family_of, ping
from lab.rig import Attachment, Rig
from slash80.addressing.metadata import SERVICES4, SERVICES6

TRANSLATED = ("64:ff9b::a9fe:a9fe", "2001:db8:64::a83f:8110", "::ffff:169.254.169.254")
SERVICES = tuple(str(ip_address(one)) for one in (*map(str, SERVICES4), *map(str, SERVICES6), *TRANSLATED))
BESIDE = ("169.254.169.253", "169.254.170.23", "fd00:ec2::23")  # AWS's resolver, the pod's own credentials
KINDS = {socket.IPPROTO_TCP: forgery.syn, socket.IPPROTO_UDP: forgery.datagram}
LEFT_OPEN = {(socket.IPPROTO_TCP, 53), (socket.IPPROTO_UDP, 53), (socket.IPPROTO_UDP, 123)}
HTTP = 80
SERVICE = {"ipv6": "fd00:ec2::254", "ipv4": "169.254.169.254"}
CLUSTER_IP = {"ipv6": "fd00:10:96::9", "ipv4": "10.96.0.9"}
Asked = tuple[str, int]  # an address and a protocol


def _asked(rig: Rig, pod: Attachment, addresses: Iterable[str], ports: Iterable[int]) -> set[Asked]:
    """Have the pod send to these addresses, and return what of it the node has sent on."""
    mac = rig.host.query(f"link show {pod.host_ifname}")[0]["address"]
    with Sniffer(rig.site.router, "node1") as sniffer:
        for target, port, kind in product(addresses, ports, KINDS.values()):
            source = pod.ipv6 if ":" in target else pod.ipv4
            forgery.send_on(pod.pod, "eth0", kind((source, 4711), (target, port)), mac=mac)
        return {(one.target, one.protocol) for one in sniffer.packets() if one.protocol in KINDS}


def _all(addresses: Iterable[str], *protocols: int) -> set[Asked]:
    return set(product(addresses, protocols))


def _have(host: Namespace, address: str) -> None:
    host.ip(f"addr add {address} dev lo" + (" nodad" if ":" in address else ""))


def _serving(rig: Rig, stack: ExitStack, port: int = HTTP) -> None:
    """Have the router answer as the metadata service of both families."""
    for address in SERVICE.values():
        _have(rig.site.router, address)
    stack.enter_context(Server(rig.site.router, port))


@pytest.mark.every_shape
@pytest.mark.parametrize("mode", ["closed", "open"])
def test_a_pod_reaches_no_metadata_service(rig: Rig, mode: str) -> None:
    """Not by an address that a NAT64 translates, nor in an open network; DNS, NTP and what is beside it go on."""
    rig = rig.having(firewall={"mode": mode})
    pod = rig.attach()

    assert set() == _asked(rig, pod, SERVICES, [HTTP, 443])
    assert _all(SERVICES, *KINDS) == _asked(rig, pod, SERVICES, [53])
    assert _all(SERVICES, socket.IPPROTO_UDP) == _asked(rig, pod, SERVICES, [123])
    assert _all(BESIDE, *KINDS) == _asked(rig, pod, BESIDE, [HTTP])


def test_a_metadata_service_is_opened_by_its_address(rig: Rig) -> None:
    """An IPv4 address to a NAT64 as well, and no other."""
    rig = rig.having(firewall={"metadata": ["169.254.169.254", "fd00:42::42"]})
    pod = rig.attach()
    opened = {"169.254.169.254", "fd00:42::42", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254"}

    assert _all(map(str, map(ip_address, opened)), *KINDS) == _asked(rig, pod, SERVICES, [HTTP])


def test_the_node_itself_asks_as_before(rig: Rig, family: str) -> None:
    """And with it everything in its own network namespace."""
    rig.attach()
    with ExitStack() as stack:
        _serving(rig, stack)
        assert ask(rig.host, SERVICE[family], "tcp", port=HTTP) is not None


def test_no_service_leads_a_pod_to_a_metadata_service(rig: Rig, family: str) -> None:
    """A user who may write EndpointSlices could name its address as an endpoint; the packet is judged behind that."""
    pod = rig.attach()
    words = {"ipv6": ("ip6", f"[{SERVICE['ipv6']}]"), "ipv4": ("ip", SERVICE["ipv4"])}[family]
    rule = f"{words[0]} daddr {CLUSTER_IP[family]} dnat {words[0]} to {words[1]}"
    rig.host.nft(
        f"table inet proxy {{ chain c {{ type nat hook prerouting priority dstnat; {rule}; }};"
        f" chain o {{ type nat hook output priority -100; {rule}; }}; }}"
    )
    with ExitStack() as stack:
        _serving(rig, stack)
        assert ask(pod.pod, CLUSTER_IP[family], "tcp", port=HTTP, timeout=SHORTLY) is None
        assert ask(rig.host, CLUSTER_IP[family], "tcp", port=HTTP) is not None


@pytest.mark.parametrize("bound", [True, False])
def test_a_program_of_the_node_may_stand_in_for_it(rig: Rig, family: str, *, bound: bool) -> None:
    """As agents do that give pods credentials of their own: at the address itself, or by a translation."""
    pod = rig.attach()
    address = SERVICE[family]
    if bound:
        _have(rig.host, address)
    else:
        word, to = {"ipv6": ("ip6", f"[{rig.node.ipv6}]"), "ipv4": ("ip", rig.node.ipv4)}[family]
        rule = f"{word} daddr {address} dnat {word} to {to}"
        rig.host.nft(f"table inet agent {{ chain c {{ type nat hook prerouting priority dstnat; {rule}; }}; }}")
    with Server(rig.host, HTTP):
        assert ask(pod.pod, address, "tcp", port=HTTP) is not None


def test_large_packets_in_fragments_are_judged_whole(rig: Rig, family: str) -> None:
    """Their ports are in the first fragment only."""
    pod = rig.attach()
    arrived = {}
    for port in (HTTP, 53):
        with (
            Sniffer(rig.site.router, "node1") as sniffer,
            pod.pod.socket(family_of(SERVICE[family]), socket.SOCK_DGRAM) as asking,
        ):
            asking.sendto(bytes(4000), (SERVICE[family], port))
            arrived[port] = sum(one.target == SERVICE[family] for one in sniffer.packets())

    assert {HTTP: 0, 53: 3} == arrived


def _connected(stack: ExitStack, client: Namespace, server: Namespace, address: str) -> tuple[socket.socket, ...]:
    listening = stack.enter_context(server.socket(family_of(address), socket.SOCK_STREAM))
    listening.bind((address, HTTP))
    listening.listen(1)
    began = stack.enter_context(client.socket(family_of(address), socket.SOCK_STREAM))
    for one in (listening, began):
        one.settimeout(ANSWERED)
    began.connect((address, HTTP))
    return began, stack.enter_context(listening.accept()[0])


def test_a_connection_ends_when_the_service_is_closed(rig: Rig, family: str) -> None:
    """The setting takes effect for pods that are there, and for connections that they have."""
    pod = rig.having(firewall={"metadata": [SERVICE[family]]}).attach()
    _have(rig.site.router, SERVICE[family])
    with ExitStack() as stack:
        began, accepted = _connected(stack, pod.pod, rig.site.router, SERVICE[family])
        began.send(b"while it is open")
        assert b"while it is open" == accepted.recv(64)
        rig.attach()
        began.send(b"late")
        assert 1 == ping(pod.pod, rig.node.router6 if family == "ipv6" else rig.node.router4)

        accepted.settimeout(0)
        late = b""
        with suppress(BlockingIOError):
            late = accepted.recv(64)
        assert b"" == late


def test_what_was_closed_is_counted(rig: Rig, family: str) -> None:
    """For each family, under the reason `metadata`."""
    pod = rig.attach()
    assert set() == _asked(rig, pod, [SERVICE[family]], [HTTP])

    listed = rig.host.command("nft", "list", "chain", "inet", "slash80", "metadata_services")
    assert (
        f'counter packets 2 bytes {2 * (48 if family == "ipv6" else 28) + 12} drop comment "metadata {family}"'
        in listed
    )
