"""Reading the attachments back from the kernel."""

from dataclasses import replace
from typing import Any

import pytest

from slash80.addressing.attachment import Assignment, Key, alias_of
from slash80.wiring import recover
from unit.kernels import Kernel
from unit.wiring.plans import ATTACHMENT, PLAN, link, route

NAME = PLAN.host_ifname
LOST = replace(
    ATTACHMENT, assignment=replace(ATTACHMENT.assignment, mac=None), netns="", pod=type(ATTACHMENT.pod)(), since=0.0
)
HOST_ROUTES = {"ip -4 route show": [route("10.80.1.1/32")], "ip -6 route show": [route("2001:db8:0:1:1::1/128")]}


def _kernel(*links: bytes, **routes: list[bytes]) -> Kernel:
    return Kernel({"ip link show": list(links), **HOST_ROUTES, **routes})


def test_an_attachment_is_read_back_from_its_link_and_routes() -> None:
    """Key and network from the alias, addresses from the routes; the rest the kernel does not know."""
    assert [LOST] == list(recover.attachments(_kernel(link("lo", 1, kind="", group=0), link(NAME))))


def test_only_our_host_routes_tell_addresses() -> None:
    """Not a wider one, not another protocol's, not another link's."""
    four = [route("10.80.1.0/24"), route("10.80.1.7/32", proto=3), route("10.80.1.8/32", index=6)]
    kernel = _kernel(link(NAME), **{"ip -4 route show": four, "ip -6 route show": []})

    assert [Assignment(None, None, None)] == [found.assignment for found in recover.attachments(kernel)]


def test_a_long_id_comes_back_hashed_under_its_own_name() -> None:
    """The name of the link still tells whose it is."""
    key = Key("c" * 400, "eth0")
    (found,) = recover.attachments(_kernel(link(key.host_ifname, ifalias=alias_of(key, "net"))))

    assert (key.host_ifname, True) == (found.host_ifname, found.same_network("net"))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "eth0"},
        {"kind": "dummy"},
        {"group": 0, "ifalias": None},
        {"group": 0, "ifalias": "somebody's"},
    ],
)
def test_a_link_of_others_is_no_host_end(changes: dict[str, Any]) -> None:
    """By name, kind, and group or alias; one of these alone is anybody's."""
    found = {"name": NAME, **changes}

    assert [] == recover.host_ends(_kernel(link(**found)))


@pytest.mark.parametrize("changes", [{"group": 0}, {"ifalias": None}])
def test_a_host_end_is_known_though_somebody_changed_it(changes: dict[str, Any]) -> None:
    """Its group or its alias is enough; without the alias its owner is not known."""
    kernel = _kernel(link(NAME, **changes))

    assert [NAME] == [found.name for found in recover.host_ends(kernel)]
    assert ("ifalias" not in changes) == bool(list(recover.attachments(kernel)))
