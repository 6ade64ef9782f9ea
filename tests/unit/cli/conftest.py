"""Every command looks at the same node, whatever machine the tests run on."""

from ipaddress import ip_address

import pytest

from slash80.firewall.installed import InstalledTable
from slash80.wiring import netns
from unit.kernels import Kernel
from unit.wiring.plans import address


@pytest.fixture(autouse=True)
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """Return the kernel of a node with one IPv4 address, no pod and no table."""
    made = Kernel({"ip address show (index 0)": [address(ip_address("192.0.2.2"), 28)]})
    monkeypatch.setattr(netns, "socket_here", lambda: made)
    monkeypatch.setattr(InstalledTable, "misrouted", lambda _: frozenset())
    return made
