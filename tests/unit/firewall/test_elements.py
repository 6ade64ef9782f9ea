"""Elements of pods from attachments."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from slash80.addressing.attachment import Attachment, Key, State
from slash80.addressing.ports import SCTP, TCP, UDP, Protocol
from slash80.firewall.elements import brought_by, of_attachments, wanted
from slash80.firewall.records import Element, NamedSet
from unit.builders import attachment

POD = attachment()


def second_of(one: Attachment, container_id: str) -> Attachment:
    """Return another interface of the same container."""
    return attachment(2, key=Key(container_id, "net1"), host_ifname=Key(one.key.container_id, "net1").host_ifname)


def test_a_pod_has_an_element_for_each_address() -> None:
    """Each element is in the set of its address's family; a pod without IPv4 has one element."""
    expected = {
        Element("pods4", (POD.host_ifname, ip_address("10.80.1.1"))),
        Element("pods6", (POD.host_ifname, ip_address("2001:db8:0:1:1::1"))),
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
        assert expected == {one.key for one in found}


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


@pytest.mark.parametrize(
    ("of_set", "element", "sizes", "text"),
    [
        (
            NamedSet("pods4", "ifname . ipv4_addr"),
            Element("pods4", ("s80aaaaaaaaaaaa", ip_address("10.80.1.1"))),
            (20, 0, 0),
            '"s80aaaaaaaaaaaa" . 10.80.1.1',
        ),
        (
            NamedSet("ports6", "ipv6_addr . inet_proto . inet_service", "flags interval;"),
            Element("ports6", (ip_address("2001:db8::1"), TCP, 8000), end=(ip_address("2001:db8::1"), TCP, 8100)),
            (24, 24, 0),
            "2001:db8::1 . 6 . 8000-8100",
        ),
        (
            NamedSet("ports4", "ipv4_addr . inet_proto . inet_service", "flags interval;"),
            Element("ports4", (ip_address("10.80.1.1"), UDP, 53), end=(ip_address("10.80.1.1"), UDP, 53)),
            (12, 12, 0),
            "10.80.1.1 . 17 . 53",
        ),
        (
            NamedSet("leads4", "inet_proto . inet_service", data="ipv4_addr"),
            Element("leads4", (SCTP, 36412), data=(ip_address("10.80.1.1"),)),
            (8, 0, 4),
            "132 . 36412 : 10.80.1.1",
        ),
        (
            NamedSet("leads4", "inet_proto . inet_service", data="inet_service"),
            Element("leads4", (Protocol(33), 5001), data=(80,)),
            (8, 0, 2),
            "33 . 5001 : 80",
        ),
    ],
)
def test_an_element_is_read_back(of_set: NamedSet, element: Element, sizes: tuple[int, ...], text: str) -> None:
    """Names are padded to the kernel's IFNAMSIZ, each part to whole words; nft's words name protocols by number."""
    packed = element.packed

    assert sizes == tuple(map(len, packed))
    assert element == Element.of_packed(of_set, packed)
    assert text == str(element)
