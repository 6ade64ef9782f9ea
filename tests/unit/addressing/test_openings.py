"""Openings of pods: which host ports exclude each other, and how the store's text has them."""

from ipaddress import ip_address

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.family import FAMILIES, IPV4, IPV6, Family
from slash80.addressing.openings import (
    NO_OPENINGS,
    Openings,
    PortMapping,
    PortRequest,
    conflicts,
    from_text,
    mappings_of,
    text_of,
)
from slash80.addressing.ports import SCTP, TCP, UDP, Protocol
from unit.builders import OPENINGS


def mapping(host_ip: str, port: int = 8080, protocol: Protocol = TCP) -> PortMapping:
    """Return a mapping of a port of an address of the node's."""
    return PortMapping(protocol, ip_address(host_ip), port, 80)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (mapping("192.0.2.1"), mapping("192.0.2.1"), True),
        (mapping("192.0.2.1"), mapping("0.0.0.0"), True),
        (mapping("::"), mapping("2001:db8::1"), True),
        (mapping("::"), mapping("::"), True),
        (mapping("192.0.2.1"), mapping("192.0.2.2"), False),
        (mapping("0.0.0.0"), mapping("::"), False),
        (mapping("192.0.2.1"), mapping("192.0.2.1", port=8081), False),
        (mapping("192.0.2.1"), mapping("192.0.2.1", protocol=UDP), False),
    ],
)
def test_mappings_of_one_port_of_one_address_exclude_each_other(
    one: PortMapping, other: PortMapping, *, expected: bool
) -> None:
    """The unspecified address is every one of its family; protocols and families have ports of their own."""
    assert expected is one.takes_from(other) is other.takes_from(one)


def test_only_mappings_of_one_port_are_compared(mocker: MockerFixture) -> None:
    """Two pods with a thousand host ports each with one in common cost one comparison and not a million."""
    compared = mocker.spy(PortMapping, "takes_from")
    held = [mapping("0.0.0.0", port) for port in range(1000, 2000)]
    asked = [mapping("192.0.2.1", port) for port in range(1999, 2999)]

    assert [(asked[0], held[-1])] == list(conflicts(asked, held))
    assert 1 == compared.call_count


def test_a_request_without_address_is_of_all_families_of_the_pod() -> None:
    """One with an address is of its family; the same one twice is one."""
    every, one = PortRequest(TCP, None, 8080, 80), PortRequest(TCP, ip_address("192.0.2.1"), 8080, 80)

    assert (mapping("0.0.0.0"), mapping("::")) == mappings_of([every, every], FAMILIES)
    assert (mapping("::"),) == mappings_of([every], [IPV6])
    assert (mapping("0.0.0.0"), mapping("192.0.2.1"), mapping("::")) == mappings_of([one, every], FAMILIES)


def test_a_request_that_cannot_be_fulfilled_is_refused() -> None:
    """An address of a family that the pod has not, and one port that is to lead to two."""
    one, other = PortRequest(TCP, ip_address("::1"), 8080, 80), PortRequest(TCP, ip_address("::1"), 8080, 81)
    with pytest.raises(ValueError, match=r"tcp \[::1\]:8080 cannot lead to the pod, which gets no IPv6 address"):
        mappings_of([one], [IPV4])
    with pytest.raises(ValueError, match=r"tcp .*8080 is asked for twice, for different ports of the pod"):
        mappings_of([one, other], FAMILIES)
    with pytest.raises(ValueError, match="twice"):
        mappings_of([PortRequest(TCP, None, 8080, 80), PortRequest(TCP, ip_address("0.0.0.0"), 8080, 81)], FAMILIES)


@pytest.mark.parametrize(
    ("hosts", "families"),
    [
        (["0.0.0.0"], [IPV4]),
        (["::", "192.0.2.1"], [IPV6]),
        (["127.7.7.7", "::1", "::"], [IPV4, IPV6]),
        (["192.0.2.1", "2001:db8::1"], []),
    ],
)
def test_loopback_is_one_of_all_addresses(hosts: list[str], families: list[Family]) -> None:
    """Only for mappings with it a pod's link needs settings of its own."""
    assert families == list(Openings(tuple(map(mapping, hosts))).loopback)


def test_openings_are_read_back() -> None:
    """A pod without any has an empty text, and so has what a version wrote that knew none."""
    assert OPENINGS == from_text(text_of(OPENINGS))
    assert ("", NO_OPENINGS) == (text_of(NO_OPENINGS), from_text(""))


def test_protocols_are_named_as_kubernetes_does() -> None:
    """A protocol that has no name there is named by its number."""
    assert ["tcp", "udp", "sctp", "33"] == [str(one) for one in (TCP, UDP, SCTP, Protocol(33))]
    assert str(mapping("::")) == "tcp [::]:8080"
