"""Chain `source`: which addresses a pod may send from."""

import pytest

from unit.firewall.chains.packets import CLOSED, DYING, OTHER_POD, POD, POD_ADDRESS, STRANGER, UPLINK, Table, outbound

PODS = frozenset({(POD, POD_ADDRESS[4]), (POD, POD_ADDRESS[6])})
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def sending(version: int, *, pods: frozenset[tuple[str, str]] = PODS, **packet: object) -> str:
    """Return what happens to a pod's packet."""
    return Table(CLOSED, pods).verdict("source", outbound(version, **packet))


@VERSIONS
def test_a_pod_sends_from_its_own_address(version: int) -> None:
    """The set of pods has host end and address, so the route is not asked for, which costs more."""
    assert sending(version, way_back=False) == "accept"


@VERSIONS
def test_a_pod_without_an_element_sends_from_what_is_routed_to_it(version: int) -> None:
    """After `nft flush set` the route back to the source says the same as the element did."""
    assert sending(version, pods=frozenset()) == "accept"


@VERSIONS
def test_a_forged_source_is_dropped(version: int) -> None:
    """Neither a stranger's address nor that of another pod leads back to the link that the packet came by."""
    assert sending(version, source=STRANGER[version], way_back=False) == "drop"
    assert sending(version, iif=OTHER_POD, way_back=False) == "drop"


@VERSIONS
@pytest.mark.parametrize("state", ["new", "established"])
def test_the_link_of_a_deleted_pod_sends_nothing(version: int, state: str) -> None:
    """Its address may be another pod's by now."""
    assert sending(version, iif=DYING, state=state) == "drop"


@VERSIONS
def test_packets_from_other_links_are_not_judged(version: int) -> None:
    """What comes from outside has its own rules."""
    assert sending(version, iif=UPLINK, source=STRANGER[version], way_back=False) == "accept"


def test_duplicate_address_detection_may_have_no_source() -> None:
    """Neighbour solicitations from :: are how a pod finds out that an address is free (RFC 4862, 5.4.2)."""
    assert sending(6, source="::", l4proto=58, way_back=False) == "accept"
    assert sending(6, source="::", l4proto=17, way_back=False) == "drop"


def test_the_chain_judges_what_the_pod_sent() -> None:
    """It comes after fragments were joined (-400) and before Services are translated (dstnat, -100)."""
    hook, priority, policy = Table(CLOSED).hook("source")

    assert ("prerouting", "accept") == (hook, policy)
    assert -400 < priority < -100
