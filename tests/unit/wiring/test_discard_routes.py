"""Covers of the node's prefixes."""

import errno
from ipaddress import ip_network

import pytest

from slash80.netlink.codec import NetlinkError
from slash80.wiring import discard_routes, route_messages
from unit.kernels import Kernel
from unit.wiring.plans import route

PREFIX = ip_network("2001:db8:0:1:1::/80")
ADD, DELETE = route_messages.add_unreachable(PREFIX).what, route_messages.delete_unreachable(PREFIX).what


def test_discard_route_is_added_once() -> None:
    """An existing one, or a missing one at deletion, is fine; any other error has the command."""
    assert [ADD] == discard_routes.ensure(Kernel({ADD: 0}), (PREFIX,))
    assert [] == discard_routes.ensure(Kernel({ADD: errno.EEXIST}), (PREFIX,))
    assert [DELETE] == discard_routes.delete(Kernel({DELETE: 0}), [PREFIX])
    assert [] == discard_routes.delete(Kernel({DELETE: errno.ESRCH}), [PREFIX])

    with pytest.raises(NetlinkError, match=f"'{ADD}' failed: Operation not permitted"):
        discard_routes.ensure(Kernel({ADD: errno.EPERM}), (PREFIX,))


def test_discard_route_is_recognised_by_protocol_and_metric() -> None:
    """Other programs add discarding routes too."""
    found = [
        route(str(PREFIX), index=1, kind=7, priority=2**32 - 1),
        route("2001:db8:1::/48", kind=7, proto=4, priority=2**32 - 1),
        route("2001:db8:2::/48", kind=7, priority=1024),
    ]

    assert [PREFIX] == discard_routes.present(Kernel({"ip -6 route show": found}))
