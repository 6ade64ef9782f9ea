"""What a call works with on its host, as far as it needs no kernel."""

from pathlib import Path

import pytest

from slash80.errors import Failure
from unit.builders import host_in
from unit.kernels import Kernel
from unit.wiring.plans import link, route

DEFAULT, SHOW = "ip route get 2000::", "ip link show (index 6)"
UPLINK = {DEFAULT: [route("::/0", index=6, gateway="fe80::1")]}


def test_the_mtu_of_the_default_route_is_cached(tmp_path: Path) -> None:
    """ADDs in quick succession ask the kernel once."""
    kernel = Kernel({**UPLINK, SHOW: [link("eth0", index=6, mtu=1450)]})
    host = host_in(tmp_path, kernel)

    assert [1450, 1450] == [host.uplink_mtu() for _ in range(2)]
    assert 1 == kernel.done.count(DEFAULT)


def test_an_uplink_that_the_kernel_does_not_show_is_a_failure(tmp_path: Path) -> None:
    """It is a sentence with the command, and no error of netlink."""
    with pytest.raises(Failure, match="ip link show"):
        host_in(tmp_path, Kernel({**UPLINK})).uplink_mtu()
