"""The capability `portMappings`, as runtimes and their mistakes bring it."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.openings import PortRequest
from slash80.addressing.ports import SCTP, TCP, UDP
from slash80.cni import port_mappings
from slash80.errors import CniError

PLAIN = {"hostPort": 8080, "containerPort": 80}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = st.fixed_dictionaries(
    {},
    optional={
        "hostPort": JSON | st.integers(-1, 65536),
        "containerPort": JSON | st.integers(-1, 65536),
        "protocol": JSON | st.sampled_from(["tcp", "UDP", "sctp", ""]),
        "hostIP": JSON | st.ip_addresses().map(str) | st.sampled_from(["", "fe80::1%eth0", "::ffff:10.0.0.1"]),
    },
)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (PLAIN, PortRequest(TCP, None, 8080, 80)),
        (PLAIN | {"protocol": "", "hostIP": ""}, PortRequest(TCP, None, 8080, 80)),
        (PLAIN | {"protocol": "UDP", "hostIP": "0.0.0.0"}, PortRequest(UDP, ip_address("0.0.0.0"), 8080, 80)),
        (PLAIN | {"protocol": "sctp", "hostIP": "::1"}, PortRequest(SCTP, ip_address("::1"), 8080, 80)),
        (PLAIN | {"hostIP": "::ffff:192.0.2.1"}, PortRequest(TCP, ip_address("192.0.2.1"), 8080, 80)),
        ({"HostPort": 1, "CONTAINERPORT": 65535}, PortRequest(TCP, None, 1, 65535)),
    ],
)
def test_an_entry_is_read_as_go_reads_it(entry: dict[str, Any], expected: PortRequest) -> None:
    """Without a protocol it is TCP, without an address every one; keys match in any case."""
    assert (expected,) == port_mappings.read([entry])


@pytest.mark.parametrize("value", [None, [], [{"containerPort": 80}], [{"hostPort": 0, "containerPort": 80}]])
def test_without_a_host_port_nothing_is_asked_for(value: object) -> None:
    """Port 0 stands for none in a Pod's spec, and runtimes may hand it on."""
    assert () == port_mappings.read(value)


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        ("tcp:80", 6, "tcp:80"),
        ([80], 6, "[80]"),
        ([PLAIN | {"hostPort": 65536}], 7, "hostPort must be a number from 0 to 65535"),
        ([PLAIN | {"hostPort": "8080"}], 7, "hostPort must be a number"),
        ([PLAIN | {"hostPort": True}], 7, "hostPort must be a number"),
        ([PLAIN | {"hostPort": -1}], 7, "-1"),
        ([PLAIN | {"containerPort": 0}], 7, "containerPort must be a number from 1 to 65535"),
        ([{"hostPort": 80}], 7, "containerPort"),
        ([PLAIN | {"protocol": "icmp"}], 7, "protocol must be tcp, udp, sctp"),
        ([PLAIN | {"protocol": 6}], 7, "protocol must be"),
        ([PLAIN | {"hostIP": "fe80::1%eth0"}], 7, "zone"),
        ([PLAIN | {"hostIP": "host"}], 7, "hostIP cannot be used"),
        ([PLAIN | {"hostIP": 5}], 7, "hostIP cannot be used"),
        ([PLAIN | {"hostIP": "224.0.0.1"}], 7, "must be an address of the node's"),
        ([PLAIN | {"hostIP": "255.255.255.255"}], 7, "must be an address of the node's"),
        ([PLAIN | {"hostIP": "ff02::1"}], 7, "must be an address of the node's"),
        ([PLAIN] * 1001, 7, "1001 entries"),
    ],
)
def test_an_entry_that_cannot_be_used_is_refused(value: object, code: int, shown: str) -> None:
    """A malformed list is code 6, a value that cannot be used 7; the message shows it."""
    with pytest.raises(CniError) as caught:
        port_mappings.read(value)

    assert (code, True) == (caught.value.code, shown in caught.value.msg)


@given(JSON | st.lists(ENTRIES, max_size=4))
def test_any_value_is_read_or_refused(value: object) -> None:
    """Whatever JSON a runtime sends: a CNI error, or requests that are what they say."""
    try:
        found = port_mappings.read(value)
    except CniError:
        return
    assert all(1 <= one.host_port <= 65535 and 1 <= one.container_port <= 65535 for one in found)
