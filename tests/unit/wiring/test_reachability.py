"""What is told when packets to or from a pod go astray."""

import errno
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from pytest_mock import MockerFixture

from slash80.errors import BelongsToAnother, CniError, Failure
from slash80.netlink.codec import Message, Response
from slash80.wiring import reachability
from unit.kernels import Kernel
from unit.wiring.plans import PLAN, link, route, rule

NAME, INDEX, POD = PLAN.host_ifname, 5, ip_address("10.80.1.1")
OWN, OUT = route("10.80.1.1/32"), route("0.0.0.0/0", index=6, gateway="192.0.2.1", proto=3)
USUAL = [rule(0, 255), rule(32766, 254), rule(32767, 253)]
TO, ANYWHERE = f"ip route get {POD}", "ip route get 192.88.99.0"
LINKS = {"ip link show (index 6)": [link("eth0", index=6)]}
MAIN = {"ip -4 route show": [OWN, OUT]}


def errors(
    to_pod: bytes | int, out: bytes | int, *rules: bytes, addresses: Sequence[Any] = (POD,), **tables: list[bytes]
) -> list[CniError]:
    """Return what is wrong with the kernel's two answers, with these rules and tables."""
    answers = [Response(a) if isinstance(a, int) else Response(messages=[Message(0, a)]) for a in (to_pod, out)]
    known: dict[str, Any] = {"ip -4 rule show": [*USUAL, *rules], ANYWHERE: [OUT], **LINKS, **MAIN}
    known |= {f"ip -4 route show table {name[1:]}": routes for name, routes in tables.items()}
    return list(reachability._wrong(Kernel(known), NAME, INDEX, addresses=addresses, answers=answers))


def test_correct_routes_need_no_rule_lookup() -> None:
    """The pod's own route in and any route out are correct, and rules are not read."""
    assert [] == errors(OWN, OUT)
    assert reachability.questions(NAME, INDEX, [POD])[0].what == TO


@pytest.mark.parametrize("answer", [errno.EHOSTUNREACH, errno.EINVAL, route("0.0.0.0/0", index=6, table=52)])
def test_routing_rule_that_diverts_a_pod_is_named(answer: bytes | int) -> None:
    """The kernel may return a route or a refusal, and the rule is named in either case."""
    (error,) = errors(
        answer, OUT, rule(7, 52, dst="10.80.1.0/24"), t52=[route("0.0.0.0/0", index=6, proto=3, table=52)]
    )

    assert BelongsToAnother is type(error)
    assert (
        "rule '7: from all to 10.80.1.0/24 lookup 52' sends them to route default dev eth0 proto boot table 52"
        in str(error)
    )


def test_routing_rules_are_followed_like_the_kernel() -> None:
    """Tables without a match, throw routes, suppressed routes and goto are handled, up to the deciding rule."""
    rules = [
        rule(1, 51),
        rule(2, 52),
        rule(3, 254, suppress_prefixlen=32),
        rule(4, 0, action=2, goto=6),
        rule(5, 0, action=8),
        rule(6, 0, dst="10.80.0.0/16", action=7),
    ]
    tables = {"t51": [route("10.99.0.0/16", table=51)], "t52": [route("10.80.0.0/16", kind=9, table=52)]}
    (error,) = errors(errno.ENETUNREACH, OUT, *rules, **tables)

    assert "rule '6: from all to 10.80.0.0/16 unreachable' discards them" in str(error)


def test_longest_prefix_with_the_lowest_metric_decides() -> None:
    """It is the route of the table to which the rule leads."""
    table = [
        route("0.0.0.0/0", index=6, proto=3, table=52),
        route("10.80.1.0/24", index=0, kind=6, proto=4, table=52, priority=9),
        route("10.80.1.0/24", index=0, kind=8, proto=4, table=52, priority=5),
    ]
    (error,) = errors(errno.EACCES, OUT, rule(7, 52), t52=table)

    assert "sends them to route prohibit 10.80.1.0/24 proto static table 52" in str(error)


def test_transient_wrong_route_is_not_reported() -> None:
    """If the rules lead to the pod's own route, the link was not up yet when the kernel was asked."""
    assert [] == errors(errno.EHOSTUNREACH, OUT)


def test_overriding_route_is_not_reported_as_a_rule() -> None:
    """ADD names such a route, and CHECK says that the pod's route is overridden."""
    other = route("10.80.1.1/32", index=6, proto=4)
    known: dict[str, Any] = {"ip -4 rule show": USUAL, TO: [other], ANYWHERE: [OUT], **LINKS}
    known |= {"ip -4 route show": [other], f"{ANYWHERE} from {POD} iif {NAME}": [OUT]}
    kernel = Kernel(known)

    assert ([], False) == (
        reachability.misled(kernel, NAME, INDEX, addresses=[POD]),
        reachability.is_misled(kernel, POD),
    )
    with pytest.raises(BelongsToAnother, match=r"take route 10\.80\.1\.1/32 dev eth0 proto static; delete that"):
        reachability.judge(
            kernel, NAME, INDEX, addresses=[POD], answers=kernel.exchange(reachability.questions(NAME, INDEX, [POD]))
        )


def test_routing_rule_that_blocks_egress_is_named() -> None:
    """The kernel only returns a refusal."""
    (error,) = errors(OWN, errno.EINVAL, rule(7, 52, src="10.80.1.0/24"), t52=[route("0.0.0.0/0", kind=6, table=52)])

    assert BelongsToAnother is type(error)
    assert "rule '7: from 10.80.1.0/24 lookup 52' sends them to route blackhole default" in str(error)


def test_node_without_a_default_route_needs_no_egress() -> None:
    """A site may be closed to the Internet."""
    answers = [Response(messages=[Message(0, OWN)]), Response(errno.ENETUNREACH)]
    kernel = Kernel({ANYWHERE: errno.ENETUNREACH})

    assert [] == list(reachability._wrong(kernel, NAME, INDEX, addresses=[POD], answers=answers))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("net/ipv4/conf/s80/forwarding", "net/ipv4/conf/s80/forwarding is 0; set it to 1"),
        ("", "No route to host; look at"),
    ],
)
def test_sysctl_that_blocks_egress_is_named(mocker: MockerFixture, setting: str, words: str) -> None:
    """The setting is named, or the kernel's answer with the equivalent command."""
    mocker.patch("slash80.wiring.reachability.sysctl.keeps_from_forwarding", return_value=setting)
    (error,) = errors(OWN, errno.EHOSTUNREACH)

    assert (Failure, True) == (type(error), words in str(error))
