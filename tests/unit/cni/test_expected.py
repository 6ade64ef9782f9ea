"""What a chain's final result claims of an interface."""

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from slash80.cni import expected
from slash80.cni.document import Document
from slash80.cni.expected import ExpectedInterface, ExpectedRoute
from slash80.errors import CniError

RESULT: Document = {
    "interfaces": [
        {"name": "eth0", "mac": "02:00:00:00:00:01"},
        {"name": "eth0", "mac": "02:00:00:00:00:02", "sandbox": "/a"},
        {"Name": "eth0", "Sandbox": "/b"},
    ],
    "ips": [
        {"address": "10.0.0.1/32", "interface": 1},
        {"address": "10.0.0.2/24", "interface": 2},
        {"address": "10.0.0.3/32"},
    ],
    "routes": [{"dst": "0.0.0.0/0", "gw": "169.254.1.1"}, {"dst": "2001:db8::/32"}],
}
ROUTES = (
    ExpectedRoute(ip_network("0.0.0.0/0"), ip_address("169.254.1.1")),
    ExpectedRoute(ip_network("2001:db8::/32"), None),
)


@pytest.mark.parametrize(
    ("sandbox", "mac", "address"),
    [("/a", "02:00:00:00:00:02", "10.0.0.1/32"), ("/b", "", "10.0.0.2/24")],
)
def test_expected_interface_is_found_by_name_and_sandbox(sandbox: str, mac: str, address: str) -> None:
    """Only that interface's addresses are expected, with any length set later; routes are the sandbox's."""
    assert ExpectedInterface(mac, (ip_interface(address),), ROUTES) == expected.read(RESULT, "eth0", sandbox)


def test_interface_of_another_sandbox_is_code_7() -> None:
    """A sandbox in prevResult that is not CNI_NETNS belongs to another attachment; the message names both."""
    with pytest.raises(CniError, match="'eth0' in sandbox '/c'") as caught:
        expected.read(RESULT, "eth0", "/c")

    assert 7 == caught.value.code


def test_interfaces_that_are_not_a_list_are_code_6() -> None:
    """Interfaces of another shape than a list are code 6, as everywhere."""
    with pytest.raises(CniError, match="'prevResult' has ") as caught:
        expected.read(RESULT | {"interfaces": "x"}, "eth0", "/a")

    assert 6 == caught.value.code


def test_expected_route_has_no_host_bits() -> None:
    """The kernel keeps no host bits in a destination, while Go accepts them."""
    claimed = expected.read(RESULT | {"routes": [{"dst": "2001:db8::5/32"}]}, "eth0", "/a")

    assert (ExpectedRoute(ip_network("2001:db8::/32"), None),) == claimed.routes
