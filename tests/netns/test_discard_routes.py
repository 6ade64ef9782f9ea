"""Discard routes of the node's prefixes: there while a network or a pod needs them, and deleted afterwards."""

import json

import pytest

from lab import snapshot
from lab.rig import Rig
from slash80.cli import commands

WRONG4, WRONG6 = "10.90.1.0/24", "2001:db8:0:1:90::/80"


def wrong(rig: Rig) -> Rig:
    """Return the rig with a prefix that was configured by mistake."""
    return rig.having(ipv4={"prefixes": [WRONG4]}, ipv6={"prefixes": [WRONG6]})


def covered(rig: Rig) -> set[str]:
    """Name the prefixes that have a cover."""
    found = [route for f in "46" for route in rig.host.query(f"-{f} route show type unreachable proto 180")]
    return {str(route["dst"]) for route in found}


def right(rig: Rig) -> set[str]:
    """Name the node's prefixes."""
    return {rig.node.prefix4, rig.node.prefix6}


def test_discard_route_of_a_changed_prefix_goes_with_the_next_add(rig: Rig) -> None:
    """No pod has an address of the old prefix any more; the right discard routes stay."""
    wrong(rig).cycle()
    assert {WRONG4, WRONG6} == covered(rig)
    rig.attach()

    assert right(rig) == covered(rig)


def test_discard_route_of_a_changed_prefix_goes_with_its_last_pod(rig: Rig) -> None:
    """Pods with an address of it keep the discard route; the DEL may come with either configuration."""
    first, second = wrong(rig).attach(), wrong(rig).attach()
    rig.attach()
    assert right(rig) | {WRONG4, WRONG6} == covered(rig)
    rig.detach(first)
    assert right(rig) | {WRONG4, WRONG6} == covered(rig)
    wrong(rig).detach(second)

    assert right(rig) == covered(rig)


def test_discard_route_of_another_network_stays(rig: Rig) -> None:
    """Its configuration still exists, with pods or without; a renamed network leaves nothing for good."""
    other = wrong(rig).having(name="other")
    pod = other.attach()
    for _ in range(2):
        rig.cycle()
        assert right(rig) | {WRONG4, WRONG6} == covered(rig)
        other.detach(pod)
    rig.attach()
    assert right(rig) | {WRONG4, WRONG6} == covered(rig)

    other.having(ipv4={"prefixes": ["10.91.1.0/24"]}, ipv6={"prefixes": ["2001:db8:0:1:91::/80"]}).cycle()
    assert right(rig) | {"10.91.1.0/24", "2001:db8:0:1:91::/80"} == covered(rig)


def test_draining_prefix_keeps_its_discard_route(rig: Rig) -> None:
    """It belongs to the node until node.json says otherwise."""
    rig = rig.having(source="node", ipv4=None, ipv6=None)
    drains = {"prefix": WRONG6, "state": "draining"}
    rig.state_dir.mkdir(mode=0o700, exist_ok=True)
    path = rig.state_dir / "node.json"
    path.write_text(json.dumps({"version": 1, "ipv6": [{"prefix": rig.node.prefix6}, drains]}))
    rig.cycle()
    assert {rig.node.prefix6, WRONG6} == covered(rig)
    path.write_text(json.dumps({"version": 1, "ipv6": [{"prefix": rig.node.prefix6}]}))
    rig.cycle()

    assert {rig.node.prefix6} == covered(rig)


def test_foreign_discard_routes_are_left_alone(rig: Rig) -> None:
    """They stay even if they look like slash80's."""
    lines = [f"unreachable {WRONG4} metric 4294967295", f"unreachable {WRONG6} proto 180 metric 7"]
    rig.host.ip(*(f"route add {line}" for line in lines))
    before = snapshot.take(rig.host)
    rig.cycle()
    wrong(rig).cycle()
    rig.cycle()

    gone = [line for line in snapshot.difference(before, snapshot.take(rig.host)) if line.startswith("-")]
    assert [] == [line for line in gone if "route" in line]


@pytest.mark.with_and_without_agent
def test_first_del_deletes_discard_routes_left_by_a_killed_call(rig: Rig) -> None:
    """A call was killed between the change of the prefix and the deletion of its route."""
    wrong(rig).cycle()
    pod = rig.attach()
    rig.host.ip(f"route add unreachable {WRONG4} proto 180 metric 4294967295")
    rig.detach(pod)

    assert right(rig) == covered(rig)


def test_status_shows_discard_routes(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is listed with the networks and the pods that need it."""
    wrong(rig).attach()
    rig.attach()
    rig.having(name="other").attach()
    capsys.readouterr()
    rig.host.run(commands.main, ["status", "-o", "json", "--state-dir", str(rig.state_dir)])
    shown = {one["prefix"]: one for one in json.loads(capsys.readouterr().out)["covers"]}

    assert {"prefix": WRONG4, "networks": [], "pods": 1} == shown[WRONG4]
    assert {"prefix": rig.node.prefix6, "networks": ["other", "slash80"], "pods": 2} == shown[rig.node.prefix6]
