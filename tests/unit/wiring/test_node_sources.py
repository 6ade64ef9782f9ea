"""What keeps the node's own packets from its pods."""

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from slash80.wiring import node_sources
from unit.kernels import Kernel
from unit.wiring.plans import address, link, route, rule

PODS = ip_network("10.80.1.0/24")
OWN = address(ip_address("192.0.2.2"), 28)
USUAL = [rule(0, 255), rule(32766, 254), rule(32767, 253)]


def problems(addresses: list[bytes], *rules: bytes, **tables: list[bytes]) -> list[str]:
    """Return what is wrong on a node with these addresses, rules and tables."""
    known: dict[str, Any] = {"ip address show (index 0)": addresses, "ip -4 rule show": [*USUAL, *rules]}
    known |= {"ip -4 route show": [route("10.80.1.0/24", index=0, kind=7)], "ip link show (index 6)": [link("eth0", 6)]}
    known |= {f"ip -4 route show table {name[1:]}": routes for name, routes in tables.items()}
    return node_sources.problems(Kernel(known), [PODS])


def test_node_with_an_address_has_no_problem() -> None:
    """A node whose address no rule is about has no problem."""
    assert [] == problems([OWN], rule(7, 52, src="203.0.113.0/24"), t52=[route("0.0.0.0/0", index=6)])


@pytest.mark.parametrize("scope", [253, 254])
def test_address_of_limited_scope_is_not_a_source(scope: int) -> None:
    """The kernel uses no address of scope link, or of scope host on another link."""
    (problem,) = problems([address(ip_address("169.254.1.1"), 32, scope=scope)])

    assert "the node has no IPv4 address" in problem


@pytest.mark.parametrize(("number", "advice"), [(30400, "nm-cloud-setup.timer"), (7, "delete that rule")])
def test_routing_rule_about_the_nodes_address_is_named(number: int, advice: str) -> None:
    """It is named once, with the program that adds such rules where that is known."""
    (problem,) = problems(
        [OWN], rule(number, number, src="192.0.2.2/32"), **{f"t{number}": [route("0.0.0.0/0", index=6, table=number)]}
    )

    assert f"from 192.0.2.2/32 lookup {number}' sends them to route default dev eth0" in problem
    assert advice in problem
