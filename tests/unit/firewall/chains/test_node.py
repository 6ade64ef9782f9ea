"""Chain `node`: what of its own node a pod reaches, for each value of `firewall.node`."""

import socket
from dataclasses import replace

import pytest

from slash80.addressing.ports import PortRange
from unit.firewall.chains.packets import CLOSED, POD, POD_ADDRESS, UPLINK, Packet, Table

NODE = {4: "192.0.2.2", 6: "2001:db8:0:1::2"}
OTHERS = {4: ("169.254.1.1", "169.254.20.10", "10.96.0.10"), 6: ("fe80::1", "fd00:10:96::a")}
CLUSTER_IP = {4: "10.96.0.1", 6: "fd00:10:96::1"}
TCP, UDP, SCTP, GRE = 6, 17, 132, 47
LISTED = ("tcp/22", "tcp/10250-10255", "tcp/10255-10260", "udp/8472")
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def sent(version: int, *listed: str, mode: bool = True, **packet: object) -> str:
    """Return what happens to a pod's packet to its own node."""
    table = Table(replace(CLOSED, closed=mode, node=tuple(map(PortRange.parse, listed))))
    whole = {"source": POD_ADDRESS[version], "target": NODE[version], "iif": POD, "oif": "", **packet}
    return table.verdict("node", Packet(**whole))  # type: ignore[arg-type]


@VERSIONS
@pytest.mark.parametrize(
    ("protocol", "port", "verdict"),
    [
        *((TCP, 22, "accept"), (TCP, 10250, "accept"), (TCP, 10258, "accept"), (UDP, 8472, "accept")),
        *((TCP, 21, "drop"), (TCP, 10261, "drop"), (UDP, 22, "drop"), (TCP, 8472, "drop"), (SCTP, 22, "drop")),
        (GRE, 0, "drop"),
    ],
)
def test_a_pod_reaches_the_ports_that_are_listed(version: int, protocol: int, port: int, verdict: str) -> None:
    """Each of its protocol, and of overlapping ranges all."""
    assert verdict == sent(version, *LISTED, l4proto=protocol, dport=port)


@VERSIONS
@pytest.mark.parametrize("state", ["new", "established", "invalid", "untracked", "related"])
def test_nothing_else_is_reached_in_any_state(version: int, state: str) -> None:
    """What a pod began while a port was open ends when it is closed; all addresses of the node are alike."""
    for address in (NODE[version], *OTHERS[version]):
        assert "drop" == sent(version, target=address, state=state, dport=10250)


@VERSIONS
@pytest.mark.parametrize(
    "packet",
    [
        {"direction": "reply", "state": "established", "dport": 40000},  # a probe's answer
        {"original": "set", "dport": 6443},  # the API server on its own node
        {"expected": True, "dport": 40000},
        {"l4proto": UDP, "dport": 53, "state": "untracked"},  # nodelocaldns has its packets untracked
        {"dport": 53, "state": "untracked"},
    ],
)
def test_what_a_pod_needs_passes(version: int, packet: dict[str, object]) -> None:
    """Answers, Services, what a helper expects, and DNS."""
    if "original" in packet:
        packet = packet | {"original": CLUSTER_IP[version]}
    assert "accept" == sent(version, **packet)  # type: ignore[arg-type]


@pytest.mark.parametrize(("version", "protocol"), [(4, socket.IPPROTO_ICMP), (6, socket.IPPROTO_ICMPV6)])
def test_icmp_of_its_family_passes(version: int, protocol: int) -> None:
    """Neighbour discovery is ICMPv6; in IPv4 that number means nothing, and the other way round."""
    assert ["accept", "drop"] == [sent(version, l4proto=protocol), sent(10 - version, l4proto=protocol)]


@VERSIONS
def test_packets_of_others_are_not_asked(version: int) -> None:
    """The node's uplink has its own filters."""
    assert "accept" == sent(version, iif=UPLINK, dport=10250)


def test_an_open_node_is_not_asked_at_all() -> None:
    """By default there is no chain in the way of what the node receives."""
    assert not any("hook input" in chain.hook for chain in Table(CLOSED).chains)


def test_the_chain_comes_behind_ipvs() -> None:
    """Its mode of kube-proxy takes packets to Services at 98 and 99 of the input hook."""
    assert ("input", 101, "accept") == Table(replace(CLOSED, node=())).hook("node")
