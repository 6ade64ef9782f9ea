"""Elements of pods from attachments."""

from dataclasses import replace
from ipaddress import ip_address

from slash80.addressing.attachment import State
from slash80.firewall.elements import of_attachments, wanted
from slash80.firewall.records import Element
from unit.builders import attachment

POD = attachment()


def test_a_pod_has_an_element_for_each_address() -> None:
    """Each element is in the set of its address's family; a pod without IPv4 has one element."""
    expected = {
        Element("pods4", POD.host_ifname, ip_address("10.80.1.1")),
        Element("pods6", POD.host_ifname, ip_address("2001:db8:0:1:1::1")),
    }
    assert expected == of_attachments([POD])
    only6 = replace(POD, assignment=replace(POD.assignment, ipv4=None))
    assert {"pods6"} == {one.set_name for one in of_attachments([only6])}


def test_a_link_that_waits_for_its_deletion_needs_no_element() -> None:
    """It sends nothing; what is deleted before its record goes is all that it may have had."""
    dying = replace(POD, state=State.TERMINATING)

    assert set() == wanted([dying])
    assert of_attachments([POD]) == of_attachments([dying])


def test_a_key_is_read_back() -> None:
    """The name is padded to the kernel's IFNAMSIZ; in nft's words it is quoted."""
    for element in of_attachments([POD]):
        assert element == Element.of_key(element.set_name, element.key)
        assert len(element.key) == 16 + len(element.address.packed)
        assert f'"{POD.host_ifname}" . {element.address}' == str(element)
