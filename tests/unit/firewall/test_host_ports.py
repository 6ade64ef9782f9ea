"""Elements of host ports from attachments, and mappings read back out of them."""

from dataclasses import replace
from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.openings import Openings, PortMapping, in_order
from slash80.addressing.ports import PROTOCOLS, TCP, UDP
from slash80.firewall import host_ports
from slash80.firewall.elements import of_attachments, with_openings
from slash80.firewall.records import Element
from unit.builders import attachment

PORTS = st.integers(1, 65535)
HOSTS = st.ip_addresses() | st.sampled_from([ip_address("0.0.0.0"), ip_address("::")])
MAPPINGS = st.builds(PortMapping, st.sampled_from(PROTOCOLS), HOSTS, PORTS, PORTS)
UNIQUE = st.lists(MAPPINGS, unique_by=lambda one: (one.protocol, one.host_ip, one.host_port), max_size=6)


def test_a_mapping_is_in_two_maps_and_a_set() -> None:
    """Under one key: where it leads, and to which port; and by the pod, to know what was translated."""
    every = PortMapping(TCP, ip_address("0.0.0.0"), 8080, 80)
    one = PortMapping(UDP, ip_address("2001:db8::2"), 53, 5353)
    pod4, pod6 = attachment().assignment.addresses
    expected = {
        Element("anyhostport_address4", (TCP, 8080), data=(pod4,)),
        Element("anyhostport_port4", (TCP, 8080), data=(80,)),
        Element("hostport_pod4", (pod4, TCP, 80, 8080)),
        Element("hostport_address6", (one.host_ip, UDP, 53), data=(pod6,)),
        Element("hostport_port6", (one.host_ip, UDP, 53), data=(5353,)),
        Element("hostport_pod6", (pod6, UDP, 5353, 53)),
    }
    opened = attachment(openings=Openings((every, one)))

    assert (
        expected == set(host_ports.of_attachment(opened)) == of_attachments([opened]) - of_attachments([attachment()])
    )


def test_a_family_that_the_pod_has_not_has_no_element() -> None:
    """As of a pod that was read back from the kernel after its IPv4 route was deleted."""
    opened = attachment(openings=Openings((PortMapping(TCP, ip_address("0.0.0.0"), 8080, 80),)))
    only6 = replace(opened, assignment=replace(opened.assignment, ipv4=None))

    assert [] == list(host_ports.of_attachment(only6))


@given(UNIQUE, UNIQUE)
def test_mappings_are_read_back_from_the_elements(ours: list[PortMapping], others: list[PortMapping]) -> None:
    """Those of one pod among those of another, whose keys are others."""
    keys = {(one.protocol, one.host_ip, one.host_port) for one in ours}
    free = [one for one in others if (one.protocol, one.host_ip, one.host_port) not in keys]
    pods = [attachment(1, openings=Openings(in_order(ours))), attachment(2, openings=Openings(in_order(free)))]
    installed = of_attachments(pods)

    assert pods == [with_openings(attachment(number), installed) for number in (1, 2)]
    assert host_ports.leading_to(pods[0].assignment.addresses, installed) == set(host_ports.of_attachment(pods[0]))


def test_half_a_mapping_is_not_one() -> None:
    """An element of a map that has lost the other one leads nowhere."""
    opened = attachment(openings=Openings((PortMapping(TCP, ip_address("::"), 8080, 80),)))
    installed = [one for one in of_attachments([opened]) if one.set_name != "anyhostport_port6"]

    assert attachment() == with_openings(attachment(), installed)


def test_rivals_are_elements_with_the_same_key_that_lead_elsewhere() -> None:
    """Those of other keys and those that say the same stay."""
    mine, same = (
        attachment(1, openings=Openings((PortMapping(TCP, ip_address("::"), port, 80),))) for port in (80, 81)
    )
    theirs = attachment(2, openings=mine.openings)
    installed = of_attachments([theirs, same])
    found = host_ports.rivals(host_ports.of_attachment(mine), installed | of_attachments([attachment(1)]))

    assert {"anyhostport_address6"} == {one.set_name for one in found}
    assert found <= set(host_ports.of_attachment(theirs))


def test_a_port_is_not_an_address() -> None:
    """What rivals lead to is an address or a port; by a port nothing of another pod is found."""
    installed = of_attachments([attachment(openings=Openings((PortMapping(TCP, ip_address("::"), 8080, 80),)))])

    assert set() == host_ports.leading_to({80, 8080}, installed)
