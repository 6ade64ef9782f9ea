"""Chain `edge`: who may open a connection to a pod from outside of its node."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from unit.firewall.chains.packets import CLOSED, DYING, OTHER_POD, TRUSTED, Table, inbound, outbound

NODE_PORT = {4: "192.0.2.2", 6: "2001:db8:1::2"}
MODES = {
    "closed": CLOSED,
    "trusting": replace(CLOSED, trusted=tuple(map(ip_network, TRUSTED.values()))),
    "services": replace(CLOSED, services=tuple(map(ip_network, ("10.96.0.0/16", "fd00:10:96::/112")))),
    "echo open": replace(CLOSED, echo="open"),
    "echo drop": replace(CLOSED, echo="drop"),
    "open": replace(CLOSED, closed=False),
}
VERSIONS = pytest.mark.parametrize("version", [4, 6])
IN_EVERY_CLOSED_MODE = pytest.mark.parametrize("mode", sorted(MODES.keys() - {"open"}))
IN_EVERY_MODE = pytest.mark.parametrize("mode", sorted(MODES))


def arriving(mode: str, version: int, **packet: object) -> str:
    """Return what happens to a packet that is forwarded to a pod."""
    return Table(MODES[mode]).verdict("edge", inbound(version, **packet))


@VERSIONS
@IN_EVERY_CLOSED_MODE
@pytest.mark.parametrize("state", ["new", "invalid", "untracked"])
def test_a_stranger_opens_no_connection_to_a_closed_pod(mode: str, state: str, version: int) -> None:
    """Its packet is dropped whatever connection tracking makes of it, and whichever other setting there is."""
    assert arriving(mode, version, state=state) == "drop"


@VERSIONS
def test_an_open_network_lets_every_stranger_in(version: int) -> None:
    """With `firewall.mode: open` new connections reach every pod."""
    assert arriving("open", version) == "accept"


@VERSIONS
@IN_EVERY_MODE
@pytest.mark.parametrize("packet", [{"state": "established"}, {"iif": OTHER_POD}, {}])
def test_nothing_reaches_the_link_of_a_deleted_pod(mode: str, packet: dict[str, object], version: int) -> None:
    """Its address may be another pod's by now, so even an open network sends nothing to the link that waits."""
    for source in (TRUSTED[version], inbound(version).source):
        assert arriving(mode, version, oif=DYING, source=source, **packet) == "drop"


@VERSIONS
@IN_EVERY_MODE
@pytest.mark.parametrize("packet", [{"state": "established"}, {"state": "related"}])
def test_replies_to_a_pods_own_connections_come_in(mode: str, packet: dict[str, object], version: int) -> None:
    """ICMP errors about such connections come in as well: connection tracking calls them related."""
    assert arriving(mode, version, direction="reply", **packet) == "accept"


@VERSIONS
@IN_EVERY_CLOSED_MODE
def test_who_began_a_connection_outside_is_judged_by_every_packet(mode: str, version: int) -> None:
    """The connection may be older than the rules; what a helper expects of a pod's own connection comes in."""
    assert arriving(mode, version, state="established") == "drop"
    assert arriving(mode, version, state="related") == "accept"
    assert arriving(mode, version, state="established", expected=True) == "accept"


@VERSIONS
@pytest.mark.parametrize(("mode", "packet"), [("trusting", {}), ("services", {"original": NODE_PORT})])
def test_an_established_connection_goes_on_where_it_may_begin(
    mode: str, packet: dict[str, dict[int, str]], version: int
) -> None:
    """The connection of a trusted host, or one to a NodePort."""
    changes = {name: address[version] for name, address in packet.items()}
    assert arriving(mode, version, source=TRUSTED[version], state="established", **changes) == "accept"


@VERSIONS
@IN_EVERY_MODE
def test_pods_of_a_node_reach_each_other(mode: str, version: int) -> None:
    """A packet from another host end of ours is not from outside."""
    assert arriving(mode, version, iif=OTHER_POD) == "accept"


@VERSIONS
@IN_EVERY_MODE
def test_what_leaves_by_other_links_passes(mode: str, version: int) -> None:
    """A pod's packets to the Internet pass, and so do packets that the node routes between other links."""
    for packet in (outbound(version), inbound(version, oif="eth1")):
        assert Table(MODES[mode]).verdict("edge", packet) == "accept"


@VERSIONS
def test_a_nodeport_leads_to_a_pod_only_where_services_are_open(version: int) -> None:
    """What kube-proxy translated passes where the ranges of Services are known, and is a stranger's otherwise."""
    accepted = [mode for mode in MODES if arriving(mode, version, original=NODE_PORT[version]) == "accept"]

    assert ["services", "open"] == accepted


@IN_EVERY_CLOSED_MODE
def test_packet_too_big_comes_in_whatever_connection_tracking_says(mode: str) -> None:
    """Without it large packets vanish for a pod whose connection the node does not track (RFC 4890, 4.3.1)."""
    assert arriving(mode, 6, icmp="packet-too-big", state="invalid") == "accept"


@IN_EVERY_CLOSED_MODE
def test_packet_too_big_of_no_known_connection_is_limited(mode: str) -> None:
    """One about a connection of the pod's is related to it, and not counted."""
    packet = {"icmp": "packet-too-big", "within_rate": False}

    assert arriving(mode, 6, state="invalid", **packet) == "drop"
    assert arriving(mode, 6, state="related", **packet) == "accept"


@IN_EVERY_CLOSED_MODE
@pytest.mark.parametrize("kind", ["destination-unreachable", "nd-router-advert", "nd-redirect", "echo-reply"])
def test_no_other_icmpv6_message_comes_in_unasked(mode: str, kind: str) -> None:
    """Errors about a pod's own connections are related to those, and replies are established."""
    assert arriving(mode, 6, icmp=kind, state="invalid") == "drop"


def test_the_chain_is_asked_before_other_filters() -> None:
    """What is dropped here no other table at priority 0 sees; what is accepted others may still drop."""
    hook, priority, policy = Table(CLOSED).hook("edge")

    assert ("forward", "accept") == (hook, policy)
    assert priority < 0
