"""CHECK's look at one attachment: each thing that is missing or wrong has its sentence."""

import errno
from dataclasses import replace
from typing import Any

import pytest

from slash80.addressing.family import IPV4, IPV6
from slash80.wiring import verify
from slash80.wiring.verify import Expected
from unit.builders import MAC
from unit.kernels import Kernel
from unit.wiring.plans import PLAN, address, link, neighbour, route, rule

NAME, HOST_MAC = PLAN.host_ifname, str(PLAN.host_mac)
GATEWAYS = [address(IPV4.gateway, 32, scope=254), address(IPV6.gateway, 64, scope=253)]
TO_POD = {4: route("10.80.1.1/32"), 6: route("2001:db8:0:1:1::1/128")}
WAY4, WAY6 = "ip route get 10.80.1.1", "ip route get 2001:db8:0:1:1::1"
USUAL = [rule(0, 255), rule(32766, 254), rule(32767, 253)]
HOST: dict[str, Any] = {
    f"ip link show {NAME}": [link(NAME)],
    "ip address show (index 5)": GATEWAYS,
    WAY4: [TO_POD[4]],
    WAY6: [TO_POD[6]],
    "ip -4 route show": [TO_POD[4], route("10.80.1.2/32", index=6)],
    "ip -6 route show": [TO_POD[6]],
    "ip -4 rule show": USUAL,
    "ip -6 rule show": USUAL,
}
ETH0: dict[str, Any] = {"group": 0, "ifalias": None, "address": str(MAC), "index": 7}
DEFAULT4 = route("0.0.0.0/0", index=7, gateway=str(IPV4.gateway))
DEFAULT6 = route("::/0", index=7, gateway=str(IPV6.gateway))
POD: dict[str, Any] = {
    "ip link show eth0": [link("eth0", **ETH0)],
    "ip address show (index 7)": [address(PLAN.addresses[0], 32), address(PLAN.addresses[1], 128)],
    "ip neighbour show (index 7)": [neighbour(str(f.gateway), HOST_MAC) for f in (IPV4, IPV6)],
    "ip -4 route show table all": [DEFAULT4],
    "ip -6 route show table all": [DEFAULT6],
}
EXPECTED = Expected(
    host_ifname=NAME,
    host_mac=PLAN.host_mac,
    alias=PLAN.alias,
    ifname="eth0",
    mac=str(MAC),
    our_mac=MAC,
    addresses=PLAN.addresses,
    routes=((IPV4.everything, IPV4.gateway), (IPV6.everything, IPV6.gateway)),
    only_ours=True,
)


def _found(host: dict[str, Any] | None = None, pod: dict[str, Any] | None = None, **expected: Any) -> list[str]:  # noqa: ANN401
    """Hold an attachment against both sides, each with these answers changed."""
    return verify.differences(Kernel(HOST | (host or {})), Kernel(POD | (pod or {})), replace(EXPECTED, **expected))


def test_an_attachment_as_add_leaves_it_has_no_differences() -> None:
    """Link, addresses, neighbours and routes of both sides are as they were made."""
    assert [] == _found()


def test_without_its_host_end_nothing_else_is_told() -> None:
    """The pod's end and all addresses and routes go with the host end, so they are not listed one by one."""
    assert [f"host end {NAME} is missing"] == _found({f"ip link show {NAME}": errno.ENODEV}, {"ip link show eth0": 19})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"group": 3}, "is in group 3 instead of 21376"),
        ({"ifalias": "mine"}, f"has the alias 'mine' instead of '{PLAN.alias}'"),
        ({"address": str(MAC)}, f"has the MAC {MAC} instead of {HOST_MAC}"),
        ({"up": 0}, "is down"),
    ],
)
def test_each_attribute_of_the_host_end_is_compared(changes: dict[str, Any], words: str) -> None:
    """A changed one is named, with the value that it has."""
    assert [f"host end {NAME} {words}"] == _found({f"ip link show {NAME}": [link(NAME, **changes)]})


@pytest.mark.parametrize("there", [[], [address(IPV4.gateway, 32, scope=0)], [address(IPV4.gateway, 24, scope=254)]])
def test_a_gateway_address_that_is_missing_or_changed_is_named(there: list[bytes]) -> None:
    """Its prefix length and its scope count as well."""
    (problem,) = _found({"ip address show (index 5)": [*there, GATEWAYS[1]]})

    assert problem == f"gateway address {IPV4.gateway} is missing or changed on {NAME}"


@pytest.mark.parametrize(
    ("way", "words"),
    [
        (errno.ENETUNREACH, "is missing"),
        ([route("10.80.1.0/24", index=0, kind=7)], "is missing"),
        ([route("10.80.1.1/32", index=0, kind=7)], "is missing"),
        ([route("0.0.0.0/0", index=6, gateway="192.0.2.1", proto=3)], "is missing"),
        ([route("10.80.1.1/32", index=6, proto=4)], "is overridden by one of protocol 4"),
        ([route("10.80.1.1/32", kind=2, proto=4)], "is overridden by one of protocol 4"),
        ([route("10.80.1.1/32", proto=4)], "has protocol 4 instead of 180"),
    ],
)
def test_the_way_to_each_address_is_asked_for(way: int | list[bytes], words: str) -> None:
    """It must be the host route, by the host end, of ours."""
    assert [f"host route 10.80.1.1/32 dev {NAME} {words}"] == _found({WAY4: way})


def test_a_rule_that_leads_astray_is_not_the_pods() -> None:
    """Deleting the pod would not help against it."""
    rules = [*USUAL, rule(7, 52, dst="10.80.1.0/24")]
    table = {"ip -4 route show table 52": [route("0.0.0.0/0", index=6, proto=3, table=52)]}

    assert [] == _found({WAY4: errno.ENETUNREACH, "ip -4 rule show": rules, **table})


def test_a_second_route_to_an_address_is_named() -> None:
    """It leads to another link and may win one day."""
    both = {"ip -6 route show": [TO_POD[6], route("2001:db8:0:1:1::1/128", index=6)]}

    assert [f"host route 2001:db8:0:1:1::1/128 dev {NAME} has another beside it"] == _found(both)
    assert [] == _found(both, only_ours=False)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"up": 0}, "interface eth0 is down in the pod"),
        ({"address": "02:00:5e:00:53:99"}, f"interface eth0 has the MAC 02:00:5e:00:53:99 instead of {MAC}"),
    ],
)
def test_each_attribute_of_the_pods_end_is_compared(changes: dict[str, Any], words: str) -> None:
    """A changed one is named, with the value that it has."""
    assert [words] == _found(pod={"ip link show eth0": [link("eth0", **ETH0 | changes)]})


def test_a_pods_end_that_is_missing_is_told_alone() -> None:
    """Its addresses and routes went with it."""
    assert ["interface eth0 is missing in the pod"] == _found(pod={"ip link show eth0": errno.ENODEV})


def test_a_mac_that_nobody_claims_is_not_compared() -> None:
    """A previous result may name none."""
    assert [] == _found(mac="", our_mac=None, pod={"ip link show eth0": [link("eth0", **ETH0 | {"address": HOST_MAC})]})


def test_an_address_that_is_missing_or_wider_is_named() -> None:
    """A pod's address is a /32 or a /128."""
    there = [address(PLAN.addresses[0], 24), address(PLAN.addresses[1], 128)]

    assert ["address 10.80.1.1/32 is missing on eth0 in the pod"] == _found(pod={"ip address show (index 7)": there})


@pytest.mark.parametrize("kept", [[], [route("0.0.0.0/0", index=7, gateway="169.254.1.9")]])
def test_a_route_that_is_missing_is_named_with_its_gateway(kept: list[bytes]) -> None:
    """One through another gateway does not stand for it, unless the result claims no gateway."""
    there = {"ip -4 route show table all": kept}
    (problem,) = _found(pod=there)

    assert problem == f"route 0.0.0.0/0 via {IPV4.gateway} dev eth0 is missing in the pod"
    anywhere = _found(pod=there, routes=((IPV4.everything, None),))
    assert anywhere == ([] if kept else ["route 0.0.0.0/0 dev eth0 is missing in the pod"])


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ([], "is missing in the pod"),
        ([neighbour(str(IPV4.gateway), "02:00:5e:00:53:99")], f"has the MAC 02:00:5e:00:53:99 instead of {HOST_MAC}"),
        ([neighbour(str(IPV4.gateway), HOST_MAC, state=2)], "is not permanent in the pod"),
    ],
)
def test_the_gateways_neighbour_entry_is_compared(entry: list[bytes], words: str) -> None:
    """Another host could answer a request for it."""
    there = [*entry, neighbour(str(IPV6.gateway), HOST_MAC)]

    assert [f"neighbour {IPV4.gateway} of eth0 {words}"] == _found(pod={"ip neighbour show (index 7)": there})


@pytest.mark.parametrize("entry", [[], [neighbour(str(IPV4.gateway), HOST_MAC, state=2)]])
def test_a_neighbour_entry_that_was_lost_with_our_mac_is_no_fault(entry: list[bytes]) -> None:
    """A plugin of the chain that changes the MAC makes the kernel forget the entry."""
    changed = [link("eth0", **ETH0 | {"address": "02:00:5e:00:53:99"})]
    there = {
        "ip link show eth0": changed,
        "ip neighbour show (index 7)": [*entry, neighbour(str(IPV6.gateway), HOST_MAC)],
    }

    assert [] == _found(pod=there, mac="02:00:5e:00:53:99")
