"""Part `routes`: routes to other nodes, and none of ours beside them."""

import errno
from ipaddress import ip_address, ip_network

from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.part import attempt
from slash80.agent.reconcilers.routes import Routes
from slash80.desired.node import Desired
from slash80.desired.problems import Problem, Reason
from slash80.wiring import route_messages
from slash80.wiring.plan import NodeRoute
from unit.agent.reconcilers.fakes import OTHER4, OTHER6, Setting
from unit.wiring.plans import route

GATEWAY4, GATEWAY6 = "192.0.2.2", "2001:db8:1::2"
WANTED = (
    NodeRoute(ip_network(OTHER4), ip_address(GATEWAY4)),
    NodeRoute(ip_network(OTHER6), ip_address(GATEWAY6)),
)
ADD4, ADD6 = (route_messages.add_node_route(one.dst, one.gateway).what for one in WANTED)
STALE = ("10.80.9.0/24", "192.0.2.9")
DELETE = route_messages.delete_node_route(ip_network(STALE[0]), ip_address(STALE[1])).what


def _want(setting: Setting, *routes: NodeRoute) -> None:
    setting.board.want(Desired({"ipv6": [], "ipv4": []}, {}, routes, tuple(one.dst for one in WANTED), ()))


def _kernel(setting: Setting, **more: int | list[bytes]) -> None:
    """Have both neighbours on a link, and a route of slash80 that is not needed."""
    setting.kernel._answers |= {
        f"ip route get {GATEWAY4}": [route("192.0.2.0/24", proto=2)],
        f"ip route get {GATEWAY6}": [route("2001:db8:1::/64", proto=2)],
        "ip route get 10.80.2.1": [route("0.0.0.0/0", gateway="192.0.2.1", proto=3)],
        "ip -4 route show": [route(STALE[0], gateway=STALE[1])],
        ADD4: 0,
        ADD6: 0,
        DELETE: 0,
        **more,
    }


def _changes(setting: Setting) -> list[str]:
    return [step for step in setting.kernel.done if " add " in step or " del " in step]


def test_nothing_is_removed_while_it_is_not_known_what_should_be(setting: Setting) -> None:
    """A restarted agent does not know the other nodes yet."""
    _kernel(setting)
    assert attempt(Routes(setting.around), setting.around)
    assert [] == setting.kernel.done
    assert Outcome(in_force=False) == setting.board.outcome("routes")


def test_the_routes_are_made_and_others_of_ours_removed(setting: Setting) -> None:
    """IPv4 prefixes that have no route but the default are told, as the kernel sees it afterwards."""
    _kernel(setting)
    _want(setting, *WANTED)
    assert attempt(Routes(setting.around), setting.around)
    assert [DELETE, ADD4, ADD6] == _changes(setting)
    assert [OTHER4] == [*setting.board.unrouted]
    assert Outcome(in_force=True) == setting.board.outcome("routes")

    _kernel(setting, **{"ip route get 10.80.2.1": [route(OTHER4, gateway=GATEWAY4)]})
    attempt(Routes(setting.around), setting.around)
    assert [] == [*setting.board.unrouted]


def test_a_foreign_route_in_the_way_is_a_problem(setting: Setting) -> None:
    """It is left alone, and named with the next step; the other family's route is made."""
    _kernel(setting, **{ADD4: errno.EEXIST})
    _want(setting, *WANTED)
    assert not attempt(Routes(setting.around), setting.around)
    message = f"another program's route is in the way of `{ADD4}`; delete it, or set nodeRoutes to none"
    problems = (Problem(Reason.ROUTE_CONFLICT, ADD4, message),)
    assert Outcome(in_force=False, problems=problems) == setting.board.outcome("routes")
    assert ADD6 in _changes(setting)


def test_a_kernel_that_refuses_is_a_problem(setting: Setting) -> None:
    """It is tried again soon."""
    _kernel(setting, **{ADD4: errno.EPERM})
    _want(setting, *WANTED)
    assert not attempt(Routes(setting.around), setting.around)
    (problem,) = setting.board.outcome("routes").problems
    assert Reason.ROUTES_FAILED == problem.reason
    assert ADD4 in problem.message
