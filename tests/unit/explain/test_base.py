"""What the base firewall is said to do, and what its rules do."""

from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product

import pytest

from slash80.addressing.family import family_of
from slash80.addressing.metadata import SERVICES4, SERVICES6
from slash80.addressing.ports import PortRange, Protocol
from slash80.explain import base
from slash80.explain.records import Known, Member, Result, Translation, Via, Way
from slash80.firewall import host_ports
from slash80.firewall.records import Element, Settings
from unit.explain.ways import (
    FAR,
    FRONT,
    KNOWN,
    NODE_A,
    SETTINGS,
    STRANGER,
    TRUSTED,
    WEB,
    host,
    way,
)
from unit.firewall.chains.packets import OTHER_POD, POD, UPLINK, Packet, Table

VERSIONS = pytest.mark.parametrize("version", [4, 6])
MODES = {
    "closed": SETTINGS,
    "open": replace(SETTINGS, closed=False),
    "services trusted": replace(SETTINGS, services=()),
    "services of one family": replace(SETTINGS, services=(ip_network("10.96.0.0/16"),)),
    "exposing": replace(SETTINGS, expose=(PortRange("tcp", 80, 90), PortRange("udp", 53, 53))),
    "no annotations": replace(SETTINGS, pods_expose=False),
    "echo drop": replace(SETTINGS, echo="drop"),
    "echo open": replace(SETTINGS, echo="open"),
    "host ports trusted": replace(SETTINGS, host_ports="trusted"),
    "node closed": replace(SETTINGS, node=(PortRange("tcp", 9100, 9200),)),
    "metadata opened": replace(SETTINGS, metadata_open=(SERVICES4[0], SERVICES6[1])),
}
IN_EVERY_MODE = pytest.mark.parametrize("mode", sorted(MODES))
EXPOSED = PortRange("tcp", 443, 443)
ASKED = [(6, 80), (6, 443), (6, 9150), (6, 53), (17, 53), (17, 123), (17, 80), (132, 80), (0, 0)]  # 0: an echo request
LED = [None, *Via]
HOST_PORT = 8080


def settled(settings: Settings) -> Known:
    """Return what is known with these settings, where one pod has a port of its own open."""
    return replace(KNOWN, settings=settings, exposed=tuple((address, EXPOSED) for address in WEB.addresses))


def translated(via: Via | None, version: int) -> Translation | None:
    """Return a translation on the node of the pod."""
    clusterip, node = {6: "fd00:10:96::7", 4: "10.96.0.7"}[version], NODE_A.address(version)
    if via is None:
        return None
    port = HOST_PORT if via is Via.HOST_PORT else 30080
    return Translation(via, "x", ip_address(clusterip) if via is Via.CLUSTER_IP else node, port, receiver=NODE_A)


def packet(one: Way, iif: str = UPLINK, oif: str = POD) -> Packet:
    """Return the packet of a connection as the destination's node sees it."""
    original = one.translation.address if one.translation else None
    return Packet(
        source=str(one.source_address),
        target=str(one.address),
        iif=iif,
        oif=oif,
        original=str(original or ""),
        original_port=one.translation.port if one.translation else 0,
        icmp="echo-request" if one.is_ping else "",
        l4proto=int(one.protocol),
        dport=one.port,
    )


def mapped() -> list[Element]:
    """Return the elements by which the firewall knows connections by host ports."""
    return [
        Element(host_ports.translated_set(family_of(address)), (address, Protocol(protocol), port, HOST_PORT))
        for address, (protocol, port) in product(WEB.addresses, ASKED)
    ]


def real(protocol: int, version: int) -> int:
    """Return the protocol's number, where 0 is ICMP of the family."""
    return protocol or {4: 1, 6: 58}[version]


@VERSIONS
@IN_EVERY_MODE
@pytest.mark.parametrize("source", ["stranger", "trusted", "sibling", "far"])
def test_the_edge_is_explained_as_its_rules_judge(mode: str, source: str, version: int) -> None:
    """Whatever the settings, the source, the port and the way: what is said is what chain `edge` does."""
    settings, sources = MODES[mode], {"stranger": STRANGER[version], "trusted": TRUSTED[version]}
    sources |= {"sibling": FRONT, "far": FAR}  # type: ignore[dict-item]
    exposed = [(str(address), EXPOSED.number, EXPOSED.first) for address in WEB.addresses]
    own = [f"{address}/{address.max_prefixlen}" for address in NODE_A.addresses]
    table = Table(settings, exposed=exposed, mapped=mapped(), own=own)
    for (protocol, port), via in product(ASKED, LED):
        if via and (source in {"sibling", "far"} or not protocol):
            continue  # translated by the node of the pod that asks; pings are never
        one = way(
            sources[source], WEB, real(protocol, version), port, version=version, translation=translated(via, version)
        )
        (step,) = base.edge(one, settled(settings))
        expected = table.verdict("edge", packet(one, OTHER_POD if source == "sibling" else UPLINK))

        assert (expected == "accept") is (step.result is not Result.DROP), (one, step)


@VERSIONS
@IN_EVERY_MODE
def test_what_pods_send_to_metadata_services_is_explained_as_the_rules_judge(mode: str, version: int) -> None:
    """Each address of a service, those that a NAT64 leads to one, and others; with each port."""
    by_nat64 = [f"64:ff9b::{address}" for address in SERVICES4]
    named = SERVICES4 if version == 4 else (*SERVICES6, *map(ip_address, by_nat64))
    table = Table(MODES[mode])
    for address, (protocol, port) in product([*named, STRANGER[version].addresses[0]], ASKED):
        one = way(WEB, host(str(address)), real(protocol, version), port, version=version)
        steps = [*base.leaving(one, settled(MODES[mode]))]
        dropped = any(step.result is Result.DROP for step in steps)
        verdict = table.verdict("edge", packet(one, POD, UPLINK))

        assert (verdict == "drop") is dropped, (one, steps)


@VERSIONS
@IN_EVERY_MODE
def test_what_pods_send_to_their_node_is_explained_as_the_rules_judge(mode: str, version: int) -> None:
    """Each port, as the pod sends it and as a Service leads it there."""
    table = Table(MODES[mode])
    closed = "node" in {chain.name for chain in table.chains}
    for (protocol, port), via in product(ASKED, (None, Via.CLUSTER_IP)):
        translation = translated(via if protocol else None, version)
        one = way(WEB, NODE_A, real(protocol, version), port, version=version, translation=translation)
        (step,) = base.at_own_node(one, settled(MODES[mode]))
        expected = table.verdict("node", packet(one, POD, "")) if closed else "accept"

        assert (expected == "accept") is (step.result is Result.ALLOW), (one, step)


@pytest.mark.parametrize("setting", ["open", "trusted", "none"])
@pytest.mark.parametrize(("source", "link"), [(STRANGER[4], UPLINK), (TRUSTED[4], UPLINK), (FRONT, OTHER_POD)])
def test_host_ports_are_explained_as_their_rules_translate(setting: str, source: object, link: str) -> None:
    """Whether a host port leads to a pod depends on `firewall.hostPorts`, and never for the pods of its node."""
    settings, node = replace(SETTINGS, host_ports=setting), NODE_A.address(4)
    one = way(source, WEB, version=4, translation=translated(Via.HOST_PORT, 4))  # type: ignore[arg-type]
    (step,) = base.led(one, settled(settings))
    to_address, to_port = host_ports.maps(family_of(one.address), every=True)
    key = (Protocol(6), HOST_PORT)
    elements = [Element(to_address, key, data=(one.address,)), Element(to_port, key, data=(80,))]
    table = Table(settings, local=[str(node)], mapped=elements)
    arriving = replace(packet(one, link), target=str(node), dport=HOST_PORT, original="")
    leads = table.verdict("hostport_prerouting", arriving).startswith("dnat")

    assert leads is (step.result is not Result.DROP), step


OF_US = Member("shop", "us", ip_network("2001:db8:b::/48"))


def test_a_source_of_a_member_is_let_in_by_name() -> None:
    """The sentence says which member of which clusterset has the prefix, and what would shut it out."""
    (step,) = base.edge(way(TRUSTED[6], WEB), replace(KNOWN, members=(OF_US,)))
    assert (Result.ALLOW, "clusterset") == (step.result, step.rule)
    assert "is in the prefix 2001:db8:b::/48 of member us of clusterset shop" in step.sentence
    assert "to shut it out, strike it there" in step.sentence


def test_a_member_that_is_not_trusted_is_named_with_the_reason() -> None:
    """Its hosts are strangers then, and the reason is the next step of who asks."""
    refused = replace(OF_US, prefix=ip_network("2a00::/32"), refusal="its prefix 2a00::/32 holds 2a00:1::/64")
    (step,) = base.edge(way(STRANGER[6], WEB), replace(KNOWN, members=(refused,)))
    assert (Result.DROP, "chain untrusted") == (step.result, step.rule)
    assert "member us of clusterset shop, but not trusted: its prefix 2a00::/32 holds 2a00:1::/64" in step.sentence
