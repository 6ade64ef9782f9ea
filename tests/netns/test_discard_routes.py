"""Covers of the node's prefixes: there while a network or a pod needs them, and gone when nobody does."""

import json

import pytest

from lab import snapshot
from lab.rig import Rig
from slash80.cli import commands

WRONG4, WRONG6 = "10.90.1.0/24", "2001:db8:0:1:90::/80"


def wrong(rig: Rig) -> Rig:
    """Give the rig as somebody configured it by mistake."""
    return rig.having(ipv4={"prefixes": [WRONG4]}, ipv6={"prefixes": [WRONG6]})


def covered(rig: Rig) -> set[str]:
    """Name the prefixes that have a cover."""
    found = [route for f in "46" for route in rig.host.query(f"-{f} route show type unreachable proto 180")]
    return {str(route["dst"]) for route in found}


def right(rig: Rig) -> set[str]:
    """Name the node's prefixes."""
    return {rig.node.prefix4, rig.node.prefix6}


def test_a_prefix_that_was_corrected_is_uncovered_with_the_next_pod(rig: Rig) -> None:
    """When no pod has an address of it any more; what is right stays."""
    wrong(rig).cycle()
    assert {WRONG4, WRONG6} == covered(rig)
    rig.attach()

    assert right(rig) == covered(rig)


def test_a_prefix_that_was_corrected_is_uncovered_with_its_last_pod(rig: Rig) -> None:
    """Pods that have an address of it keep the cover; the DEL may come with either configuration."""
    first, second = wrong(rig).attach(), wrong(rig).attach()
    rig.attach()
    assert right(rig) | {WRONG4, WRONG6} == covered(rig)
    rig.detach(first)
    assert right(rig) | {WRONG4, WRONG6} == covered(rig)
    wrong(rig).detach(second)

    assert right(rig) == covered(rig)


def test_another_network_keeps_its_cover(rig: Rig) -> None:
    """With pods or without: its configuration is still there. One that is renamed leaves nothing for good."""
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


def test_draining_prefixes_keep_their_cover(rig: Rig) -> None:
    """They are the node's until the file says otherwise."""
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


def test_routes_of_others_that_discard_are_left_alone(rig: Rig) -> None:
    """Whoever made them, and though they look alike."""
    lines = [f"unreachable {WRONG4} metric 4294967295", f"unreachable {WRONG6} proto 180 metric 7"]
    rig.host.ip(*(f"route add {line}" for line in lines))
    before = snapshot.take(rig.host)
    rig.cycle()
    wrong(rig).cycle()
    rig.cycle()

    gone = [line for line in snapshot.difference(before, snapshot.take(rig.host)) if line.startswith("-")]
    assert [] == [line for line in gone if "route" in line]


@pytest.mark.every_shape
def test_the_first_removal_uncovers_what_a_killed_call_left(rig: Rig) -> None:
    """Somebody was killed between the correction and its consequence."""
    wrong(rig).cycle()
    pod = rig.attach()
    rig.host.ip(f"route add unreachable {WRONG4} proto 180 metric 4294967295")
    rig.detach(pod)

    assert right(rig) == covered(rig)


def test_status_shows_covers(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    """With the networks and the pods that need them."""
    wrong(rig).attach()
    rig.attach()
    rig.having(name="other").attach()
    capsys.readouterr()
    rig.host.run(commands.main, ["status", "-o", "json", "--state-dir", str(rig.state_dir)])
    shown = {one["prefix"]: one for one in json.loads(capsys.readouterr().out)["covers"]}

    assert {"prefix": WRONG4, "networks": [], "pods": 1} == shown[WRONG4]
    assert {"prefix": rig.node.prefix6, "networks": ["other", "slash80"], "pods": 2} == shown[rig.node.prefix6]
