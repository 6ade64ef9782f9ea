"""Elements of pods from attachments."""

from dataclasses import replace
from ipaddress import ip_address

from slash80.addressing.attachment import Attachment, Key, State
from slash80.firewall.elements import brought_by, of_attachments, wanted
from slash80.firewall.records import Element
from unit.builders import attachment

POD = attachment()


def second_of(one: Attachment, container_id: str) -> Attachment:
    """Return another interface of the same container."""
    return attachment(2, key=Key(container_id, "net1"), host_ifname=Key(one.key.container_id, "net1").host_ifname)


def test_a_pod_has_an_element_for_each_address() -> None:
    """Each element is in the set of its address's family; a pod without IPv4 has one element."""
    expected = {
        Element("pods4", POD.host_ifname, ip_address("10.80.1.1")),
        Element("pods6", POD.host_ifname, ip_address("2001:db8:0:1:1::1")),
    }
    assert expected == of_attachments([POD])
    only6 = replace(POD, assignment=replace(POD.assignment, ipv4=None))
    assert {"pods6"} == {one.set_name for one in of_attachments([only6])}


def test_each_host_end_of_a_container_has_the_addresses_of_all() -> None:
    """Also where the container's ID was read back from the kernel as a hash; another container has no part in it."""
    other = attachment(3)
    for container_id in (POD.key.container_id, POD.key.container):
        second = second_of(POD, container_id)
        expected = {
            (name, address)
            for name in (POD.host_ifname, second.host_ifname)
            for address in (*POD.assignment.addresses, *second.assignment.addresses)
        }
        found = of_attachments([POD, second, other]) - of_attachments([other])
        assert expected == {(one.ifname, one.address) for one in found}


def test_an_attachment_brings_its_addresses_and_its_host_end() -> None:
    """What the container had before is there already; an interface that is being removed is not counted."""
    second = second_of(POD, POD.key.container_id)

    assert of_attachments([POD, second]) - of_attachments([POD]) == brought_by(second, [POD, second])
    assert of_attachments([POD]) == brought_by(POD, [replace(second, state=State.TERMINATING)])


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
