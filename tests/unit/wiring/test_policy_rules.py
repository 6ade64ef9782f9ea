"""Routing rules, read from the kernel's messages, and which packets they are for."""

from ipaddress import ip_address, ip_network

import pytest

from slash80.addressing.family import IPV4
from slash80.wiring import policy_rules
from unit.kernels import Kernel
from unit.wiring.plans import rule

POD, THERE = ip_address("10.80.1.5"), ip_address("192.0.2.1")
PODS = "10.80.1.0/24"


def read(body: bytes) -> policy_rules.Rule:
    """Read one rule."""
    (found,) = policy_rules.rules(Kernel({"ip -4 rule show": [body]}), IPV4)
    return found


def test_routing_rule_is_parsed() -> None:
    """Attributes and what only the header says are read."""
    found = read(rule(7, 52, src=PODS, dst="192.0.2.0/24", iifname="eth0", suppress_prefixlen=0))

    assert (7, 1, 52, "eth0", 0) == (found.priority, found.action, found.table, found.iif, found.suppressed)
    assert (ip_network(PODS), ip_network("192.0.2.0/24")) == (found.source, found.target)
    assert (-1, 9) == (read(rule(7, suppress_prefixlen=2**32 - 1)).suppressed, read(rule(7, action=2, goto=9)).goto)


TEXTS = {
    "7: from all lookup 52": rule(7, 52),
    "7: from 10.80.1.0/24 to 192.0.2.0/24 iif eth0 lookup 52": rule(
        7, 52, src=PODS, dst="192.0.2.0/24", iifname="eth0"
    ),
    "7: not from all to 10.80.1.0/24 prohibit": rule(7, 0, dst=PODS, action=8, flags=2),
}


@pytest.mark.parametrize("text", TEXTS)
def test_routing_rule_is_shown_as_ip_rule_does(text: str) -> None:
    """The text can be found in the output of `ip rule`."""
    assert text == read(TEXTS[text]).text


@pytest.mark.parametrize(
    ("body", "to_pod", "from_pod"),
    [
        (rule(7), True, True),
        (rule(7, dst=PODS), True, False),
        (rule(7, src=PODS), False, True),
        (rule(7, src=PODS, flags=2), True, False),
        (rule(7, iifname="lo"), True, False),
        (rule(7, iifname="s80aaaaaaaaaaaa"), False, True),
        (rule(7, fwmark=1), False, False),
        (rule(7, fwmark=1, flags=2), True, True),
        (rule(7, fwmark=0, fwmask=255), True, True),
        (rule(7, oifname="eth0"), False, False),
        (rule(7, ip_proto=6), False, False),
        (rule(7, tos=4), False, False),
    ],
)
def test_routing_rule_matches_some_packets(body: bytes, to_pod: bool, from_pod: bool) -> None:  # noqa: FBT001
    """The node's own packets have no source yet; a pod's packets come in through its host end."""
    found = read(body)

    matched = found.matches(POD, None, "lo"), found.matches(THERE, POD, "s80aaaaaaaaaaaa")
    assert (to_pod, from_pod) == matched
