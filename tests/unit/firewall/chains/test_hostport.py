"""Chain `hostport` and what other chains do with connections that it translated."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from slash80.addressing.openings import Openings, PortMapping
from slash80.addressing.ports import TCP, UDP
from slash80.firewall import host_ports
from slash80.firewall.records import Settings
from unit.builders import attachment
from unit.firewall.chains.packets import (
    CLOSED,
    OTHER_POD,
    POD,
    STRANGER,
    TRUSTED,
    UPLINK,
    Table,
    inbound,
    outbound,
)

NODE = {4: "192.0.2.2", 6: "2001:db8:1::2"}
SECOND = {4: "192.0.2.3", 6: "2001:db8:1::3"}
ELSEWHERE = {4: "192.0.2.200", 6: "2001:db8:1::200"}
LOOPBACK = {4: "127.0.0.1", 6: "::1"}
LOCAL = (*NODE.values(), *SECOND.values(), *LOOPBACK.values())
OWN = tuple(f"{one}/{ip_address(one).max_prefixlen}" for one in (*NODE.values(), *SECOND.values()))
EVERY = attachment(
    1, openings=Openings(tuple(PortMapping(TCP, ip_address(host), 8080, 80) for host in ("0.0.0.0", "::")))
)
ONE = attachment(2, openings=Openings(tuple(PortMapping(TCP, ip_address(host), 8080, 443) for host in SECOND.values())))
TO_EVERY = {4: "10.80.1.1", 6: "2001:db8:0:1:1::1"}
TO_ONE = {4: "10.80.1.2", 6: "2001:db8:0:1:1::2"}
MAPPED = frozenset(element for one in (EVERY, ONE) for element in host_ports.of_attachment(one))
SERVICES = replace(
    CLOSED,
    trusted=tuple(map(ip_network, TRUSTED.values())),
    services=tuple(map(ip_network, ("10.96.0.0/16", "fd00:10:96::/112"))),
)
PODS_KNOWN = replace(SERVICES, services=(), cluster=tuple(map(ip_network, ("10.80.0.0/16", "2001:db8:0:1::/64"))))
NOTHING_KNOWN = replace(SERVICES, services=())
VERSIONS = pytest.mark.parametrize("version", [4, 6])
KNOWN = pytest.mark.parametrize("known", [SERVICES, PODS_KNOWN, NOTHING_KNOWN], ids=["services", "pods", "nothing"])


def table(settings: Settings) -> Table:
    """Return the table with the host ports."""
    return Table(settings, frozenset({(POD, TO_EVERY[4]), (POD, TO_EVERY[6])}), own=OWN, local=LOCAL, mapped=MAPPED)


def led(version: int, target: str, settings: Settings = SERVICES, **packet: object) -> str:
    """Return where what comes in to port 8080 of an address is led to."""
    sent = inbound(version, target=target, dport=8080, **packet)
    return table(settings).verdict("hostport_prerouting", sent)


@VERSIONS
def test_only_the_nodes_own_addresses_have_host_ports(version: int) -> None:
    """A mapping may name another pod's address, one of the Internet, or a ClusterIP that ipvs gave the node."""
    theirs = {4: "10.80.1.2", 6: "2001:db8:0:1:1::2"}[version]
    cluster_ip = {4: "10.96.0.9", 6: "fd00:10:96::9"}[version]
    asked = [PortMapping(TCP, ip_address(host), 8080, 80) for host in (theirs, cluster_ip)]
    mapped = MAPPED | {*host_ports.of_attachment(attachment(1, openings=Openings(tuple(asked))))}
    found = Table(SERVICES, own=OWN, local=(*LOCAL, cluster_ip), mapped=mapped)

    for target in (theirs, cluster_ip):
        assert "accept" == found.verdict("hostport_prerouting", inbound(version, target=target, dport=8080))


@VERSIONS
def test_one_address_is_asked_before_every_one(version: int) -> None:
    """What is sent to another host's address goes on, and so does what is sent to another port."""
    assert led(version, NODE[version]) == f"dnat {TO_EVERY[version]} 80"
    assert led(version, SECOND[version]) == f"dnat {TO_ONE[version]} 443"
    assert led(version, ELSEWHERE[version]) == "accept"
    assert led(version, NODE[version], l4proto=UDP) == "accept"


@VERSIONS
@pytest.mark.parametrize("iif", [POD, UPLINK])
def test_loopback_is_the_nodes_alone(version: int, iif: str) -> None:
    """Nothing that comes in by a link is translated to a pod because it was sent to 127.0.0.1 or ::1."""
    assert led(version, LOOPBACK[version], iif=iif) == "accept"
    sent = inbound(version, source=LOOPBACK[version], target=LOOPBACK[version], dport=8080)
    assert table(SERVICES).verdict("hostport_output", sent) == f"dnat {TO_EVERY[version]} 80"


@VERSIONS
@pytest.mark.parametrize(
    ("setting", "by"),
    [("open", "strangers trusted pods"), ("trusted", "trusted pods"), ("none", "pods")],
)
def test_what_may_not_come_in_is_not_translated(version: int, setting: str, by: str) -> None:
    """With `trusted` a stranger's connection stays the node's own, with `none` that of all but pods does."""
    settings, target = replace(SERVICES, host_ports=setting), NODE[version]
    found = {
        "strangers": led(version, target, settings),
        "trusted": led(version, target, settings, source=TRUSTED[version]),
        "pods": led(version, target, settings, iif=OTHER_POD),
    }
    assert by.split() == [name for name, verdict in found.items() if verdict != "accept"]


def forwarded(settings: Settings, version: int, original: str, **packet: object) -> str:
    """Return what happens to a translated packet on its way to the pod."""
    fields = {"target": TO_EVERY[version], "dport": 80, "original": original, "original_port": 8080, **packet}
    return table(settings).verdict("edge", inbound(version, **fields))


@KNOWN
@VERSIONS
@pytest.mark.parametrize(
    ("setting", "stranger", "trusted"),
    [("open", "accept", "accept"), ("trusted", "drop", "accept"), ("none", "drop", "drop")],
)
def test_a_translated_connection_is_judged_by_the_setting(
    version: int, known: Settings, setting: str, stranger: str, trusted: str
) -> None:
    """Whatever is known of Services, and in every packet: a connection may be older than the setting."""
    settings = replace(known, host_ports=setting)
    for state in ("new", "established"):
        assert forwarded(settings, version, NODE[version], state=state) == stranger
        assert forwarded(settings, version, NODE[version], state=state, source=TRUSTED[version]) == trusted
        assert forwarded(settings, version, NODE[version], state=state, iif=OTHER_POD) == "accept"


@VERSIONS
@pytest.mark.parametrize("setting", ["open", "trusted", "none"])
def test_a_service_is_judged_as_a_service(version: int, setting: str) -> None:
    """Also where it has the pod's and the host port's numbers, if its address is not the node's own."""
    settings = replace(SERVICES, host_ports=setting)
    assert forwarded(settings, version, ELSEWHERE[version]) == "accept"
    assert forwarded(settings, version, NODE[version], original_port=30080) == "accept"
    assert forwarded(settings, version, ELSEWHERE[version], dport=81) == "accept"


@VERSIONS
@pytest.mark.parametrize(("setting", "expected"), [("open", "accept"), ("trusted", "drop"), ("none", "drop")])
def test_a_trusted_source_from_a_wrong_link_is_a_stranger(version: int, setting: str, expected: str) -> None:
    """Its connection may have been translated, since the source is a trusted one; then it is dropped."""
    for known in (SERVICES, PODS_KNOWN):
        fields = {"target": TO_EVERY[version], "dport": 80, "original": NODE[version], "original_port": 8080}
        packet = inbound(version, source=TRUSTED[version], way_back=False, **fields)
        assert table(replace(known, host_ports=setting)).verdict("reverse_path", packet) == expected


@VERSIONS
def test_who_would_not_get_the_answer_is_hidden_behind_the_node(version: int) -> None:
    """A pod that uses its own host port, and programs of the node that ask loopback; others keep their source."""
    itself = {"target": TO_EVERY[version], "iif": POD, "oif": POD, "original": NODE[version]}
    masquerading = [
        outbound(version, source=TO_EVERY[version], **itself),
        inbound(version, source=LOOPBACK[version], target=TO_EVERY[version], iif=""),
    ]
    kept = [
        outbound(version, source=TO_EVERY[version], **{**itself, "original": ""}),
        inbound(version, source=TO_ONE[version], target=TO_EVERY[version], iif=OTHER_POD, original=NODE[version]),
        inbound(version, source=STRANGER[version], target=TO_EVERY[version], original=NODE[version]),
        inbound(version, source=NODE[version], target=TO_EVERY[version], iif="", original=NODE[version]),
    ]
    found = [table(SERVICES).verdict("masquerading", packet) for packet in (*masquerading, *kept)]
    assert ["masquerade"] * 2 + ["accept"] * 4 == found


def test_it_comes_after_kube_proxy() -> None:
    """So no host port takes a Service's address and port from it, in whichever order the tables were made."""
    assert table(SERVICES).hook("hostport_prerouting") == ("prerouting", -99, "accept")
    assert table(SERVICES).hook("hostport_output") == ("output", -99, "accept")
