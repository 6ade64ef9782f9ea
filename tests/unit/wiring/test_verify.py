"""Holding an attachment against the kernel."""

from dataclasses import replace
from typing import Any

import pytest

from slash80.addressing.family import IPV4, IPV6
from slash80.wiring import verify
from slash80.wiring.plan import Plan
from unit.builders import MAC
from unit.kernels import Kernel
from unit.wiring.plans import PLAN, address, link, neighbour, route

NAME, EXPECTED = PLAN.host_ifname, verify.expected_of(PLAN)
FOUR, SIX = PLAN.addresses
COVERED = replace(EXPECTED, prefixes=PLAN.prefixes)
Tables = dict[str, Any]
HOST: Tables = {
    f"ip link show {NAME}": [link(NAME)],
    "ip address show (index 5)": [address(IPV4.gateway, 32, scope=254), address(IPV6.gateway, 64, scope=253)],
    "ip -4 route show": [route(f"{FOUR}/32"), route("10.80.1.0/24", index=0, kind=7)],
    "ip -6 route show": [route(f"{SIX}/128"), route("2001:db8:0:1:1::/80", index=0, kind=7)],
}
POD: Tables = {
    "ip link show eth0": [link("eth0", address=str(MAC), ifalias=None, group=0)],
    "ip address show (index 5)": [address(FOUR, 32), address(SIX, 128)],
    "ip -4 route show": [route("0.0.0.0/0", gateway="169.254.1.1")],
    "ip -6 route show": [route("::/0", gateway="fe80::1")],
    "ip neighbour show (index 5)": [neighbour(str(f.gateway), str(PLAN.host_mac)) for f in (IPV4, IPV6)],
}


def _differences(host: Tables, pod: Tables, expected: verify.Expected = COVERED) -> list[str]:
    return verify.differences(Kernel(HOST | host), Kernel(POD | pod), expected)


def test_nothing_is_wrong_with_what_a_plan_makes() -> None:
    """Right after it was made, and with the node's prefixes covered."""
    assert [[], []] == [_differences({}, {}, expected) for expected in (EXPECTED, COVERED)]


WRONG: list[tuple[Tables, Tables, str]] = [
    ({f"ip link show {NAME}": 19}, {}, f"host end {NAME} is missing"),
    ({f"ip link show {NAME}": [link(NAME, up=0)]}, {}, f"host end {NAME} is down"),
    ({f"ip link show {NAME}": [link(NAME, group=7)]}, {}, f"host end {NAME} is in group 7 instead of 21376"),
    ({f"ip link show {NAME}": [link(NAME, ifalias="x")]}, {}, f"host end {NAME} has the alias 'x' instead of"),
    ({f"ip link show {NAME}": [link(NAME, address=str(MAC))]}, {}, f"host end {NAME} has the MAC {MAC} instead of"),
    (
        {"ip address show (index 5)": [address(IPV4.gateway, 32), address(IPV6.gateway, 64)]},
        *({}, f"gateway address 169.254.1.1 is missing on {NAME}"),
    ),
    ({"ip -4 route show": [route("10.80.1.0/24", kind=7)]}, {}, f"host route {FOUR}/32 dev {NAME} is missing"),
    ({"ip -6 route show": [route(f"{SIX}/128")]}, {}, "route unreachable 2001:db8:0:1:1::/80 is missing"),
    ({}, {"ip link show eth0": 19}, "interface eth0 is missing in the pod"),
    ({}, {"ip link show eth0": [link("eth0", address=str(MAC), up=0)]}, "interface eth0 is down in the pod"),
    (
        {},
        {"ip address show (index 5)": [address(FOUR, 24), address(SIX, 128)]},
        f"address {FOUR}/32 is missing on eth0",
    ),
    ({}, {"ip -6 route show": []}, "route ::/0 via fe80::1 is missing in the pod"),
    (
        {},
        {"ip neighbour show (index 5)": POD["ip neighbour show (index 5)"][:1]},
        "neighbour fe80::1 of eth0 is missing",
    ),
    (
        *({}, {"ip neighbour show (index 5)": [neighbour(g, str(MAC)) for g in ("169.254.1.1", "fe80::1")]}),
        f"neighbour 169.254.1.1 of eth0 has the MAC {MAC} instead of {PLAN.host_mac}",
    ),
]


@pytest.mark.parametrize(("host", "pod", "told"), WRONG, ids=[told for _, _, told in WRONG])
def test_what_is_missing_or_wrong_is_told(host: Tables, pod: Tables, told: str) -> None:
    """Each by its name, with the value found."""
    assert told in "; ".join(_differences(host, pod))


def test_another_plugin_may_change_the_mac() -> None:
    """The neighbours went with it, and the final result has the new one."""
    changed = {"ip link show eth0": [link("eth0", address="02:00:00:00:00:09")], "ip neighbour show (index 5)": []}

    assert [] == _differences({}, changed, replace(COVERED, mac="02:00:00:00:00:09"))
    assert [f"interface eth0 has the MAC 02:00:00:00:00:09 instead of {MAC}"] == _differences({}, changed)


def test_a_route_without_gateway_is_met_by_any() -> None:
    """A previous result may name the destination only."""
    routes = tuple((dst, None) for dst, _ in EXPECTED.routes)
    other = {"ip -6 route show": [route("::/0", gateway="fe80::2")]}

    assert [] == _differences({}, other, replace(EXPECTED, routes=routes))
    assert 1 == len(_differences({}, other, EXPECTED))


@pytest.mark.parametrize("plan", [PLAN, replace(PLAN, addresses=(SIX,), routes=PLAN.routes[1:])])
def test_a_family_that_the_pod_has_not_is_not_expected(plan: Plan) -> None:
    """Neither its gateway nor its neighbour."""
    expected = verify.expected_of(plan)

    assert plan.families == expected.families
    assert [] == _differences({}, {}, expected)
