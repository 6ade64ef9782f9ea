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


def test_attachment_is_recovered_from_link_and_routes() -> None:
    """Key and network come from the alias, addresses from the routes; the rest is unknown to the kernel."""
    assert [LOST] == list(recover.attachments(_kernel(link("lo", 1, kind="", group=0), link(NAME))))


def test_only_host_routes_of_slash80_are_addresses() -> None:
    """A wider route, another protocol's, and one on another link are ignored."""
    four = [route("10.80.1.0/24"), route("10.80.1.7/32", proto=3), route("10.80.1.8/32", index=6)]
    kernel = _kernel(link(NAME), **{"ip -4 route show": four, "ip -6 route show": []})

    assert [Assignment(None, None, None)] == [found.assignment for found in recover.attachments(kernel)]


def test_long_id_is_recovered_as_its_hash() -> None:
    """The name of the link still identifies the attachment."""
    key = Key("c" * 400, "eth0")
    (found,) = recover.attachments(_kernel(link(key.host_ifname, ifalias=alias_of(key, "net"))))

    assert (key.host_ifname, True) == (found.host_ifname, found.same_network("net"))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "eth0"},
        {"kind": "dummy"},
        {"group": 0, "ifalias": None},
        {"group": 0, "ifalias": "foreign"},
    ],
)
def test_foreign_link_is_not_a_host_end(changes: dict[str, Any]) -> None:
    """Name, kind, and group or alias are needed; any single one may be another program's."""
    found = {"name": NAME, **changes}

    assert [] == recover.host_ends(_kernel(link(**found)))


@pytest.mark.parametrize("changes", [{"group": 0}, {"ifalias": None}])
def test_changed_host_end_is_still_recognised(changes: dict[str, Any]) -> None:
    """Its group or its alias is enough; without the alias its owner is unknown."""
    kernel = _kernel(link(NAME, **changes))

    assert [NAME] == [found.name for found in recover.host_ends(kernel)]
    assert ("ifalias" not in changes) == bool(list(recover.attachments(kernel)))
