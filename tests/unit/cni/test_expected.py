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
def test_the_interface_is_found_by_name_and_sandbox(sandbox: str, mac: str, address: str) -> None:
    """Only its addresses are claimed, with whatever length a later plugin gave; routes are the sandbox's."""
    assert ExpectedInterface(mac, (ip_interface(address),), ROUTES) == expected.read(RESULT, "eth0", sandbox)


def test_an_interface_of_another_sandbox_is_none() -> None:
    """A sandbox in prevResult that is not CNI_NETNS is of another attachment: code 7, naming both."""
    with pytest.raises(CniError, match="'eth0' in sandbox '/c'") as caught:
        expected.read(RESULT, "eth0", "/c")

    assert 7 == caught.value.code


def test_interfaces_that_are_no_list_are_refused() -> None:
    """Code 6, as for everything of another shape."""
    with pytest.raises(CniError, match="'prevResult' has ") as caught:
        expected.read(RESULT | {"interfaces": "x"}, "eth0", "/a")

    assert 6 == caught.value.code


def test_a_route_is_claimed_as_the_kernel_has_it() -> None:
    """Host bits of a destination are not kept there, and Go lets them pass."""
    claimed = expected.read(RESULT | {"routes": [{"dst": "2001:db8::5/32"}]}, "eth0", "/a")

    assert (ExpectedRoute(ip_network("2001:db8::/32"), None),) == claimed.routes
