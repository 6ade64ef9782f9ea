"""Elements of exposed ports from attachments, and ports read back out of them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.attachment import State
from slash80.addressing.openings import Openings
from slash80.addressing.ports import TCP, UDP, PortRange, merged
from slash80.firewall import exposed_ports
from slash80.firewall.elements import brought_by, of_attachments, wanted, with_openings
from slash80.firewall.records import Element
from unit.builders import attachment

POD = attachment()
PORTS = PortRange("tcp", 443, 443), PortRange("udp", 8000, 8100)
OPENED = replace(POD, openings=Openings(expose=PORTS, expose_allowed=True))
RANGES = st.builds(
    lambda protocol, one, other: PortRange(protocol, min(one, other), max(one, other)),
    st.sampled_from(["tcp", "udp", "sctp"]),
    *[st.integers(1, 65535)] * 2,
)


def test_a_pod_has_an_interval_for_each_range_and_address() -> None:
    """ADD brings them with the pod's other elements."""
    four, six = POD.assignment.addresses
    expected = {
        Element(name, (address, protocol, first), end=(address, protocol, last))
        for name, address in (("exposed4", four), ("exposed6", six))
        for protocol, first, last in ((TCP, 443, 443), (UDP, 8000, 8100))
    }
    assert expected == of_attachments([OPENED]) - of_attachments([POD])
    assert expected | of_attachments([POD]) == brought_by(OPENED, [])


def test_without_the_right_a_pod_has_none() -> None:
    """Nor while its link waits for its deletion."""
    asking = replace(POD, openings=Openings(expose=PORTS))
    assert of_attachments([POD]) == wanted([asking])
    assert not wanted([replace(OPENED, state=State.TERMINATING)])


@given(st.lists(RANGES, max_size=5), st.lists(RANGES, max_size=5))
def test_ports_are_read_back_from_the_elements(ours: list[PortRange], others: list[PortRange]) -> None:
    """Those of one pod among those of another, as they were; what it asked for without the right is lost."""
    lists = merged(ours), merged(others)
    pods = [
        attachment(number, openings=Openings(expose=ports, expose_allowed=bool(ports)))
        for number, ports in enumerate(lists, 1)
    ]
    installed = of_attachments(pods)

    assert pods == [with_openings(attachment(number), installed) for number in (1, 2)]
    assert exposed_ports.at(pods[0].assignment.addresses, installed) == set(exposed_ports.of_attachment(pods[0]))
