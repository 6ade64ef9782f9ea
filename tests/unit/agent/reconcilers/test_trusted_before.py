"""Prefixes that were trusted are remembered until their connections have ended, over any kill."""

import json
from collections.abc import Collection
from ipaddress import ip_network
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.family import Prefix
from slash80.agent.reconcilers import trusted_before
from slash80.agent.reconcilers.part import network_in_force
from slash80.errors import FirewallUnusable
from unit.agent.reconcilers.fakes import V4, V6, Setting

ONE, TWO = ip_network("2001:db8:2::/48"), ip_network("10.82.0.0/16")


class Ended:
    """Notes what ends, and fails as often as it is told."""

    def __init__(self) -> None:
        self.gone: list[list[str]] = []
        self.ours: list[list[str]] = []
        self.failures = 0

    def end(self, gone: Collection[Prefix], *, ours: Collection[Prefix], trusted: Collection[Prefix]) -> int:
        """Note the prefixes."""
        assert not {*gone} & {*trusted}
        self.gone.append(sorted(map(str, gone)))
        self.ours.append(sorted(map(str, ours)))
        if self.failures:
            self.failures -= 1
            raise FirewallUnusable("nf_conntrack_netlink is missing; load it")
        return 3


@pytest.fixture
def ended(mocker: MockerFixture) -> Ended:
    """Stand in for connection tracking."""
    found = Ended()
    mocker.patch("slash80.firewall.cut_off.end", found.end)
    return found


def _noted(folder: Path) -> list[str]:
    found: list[str] = json.loads((folder / "trusted.json").read_text())["prefixes"]
    return found


def _trust(setting: Setting, *prefixes: Prefix) -> None:
    with trusted_before.noted(setting.state_dir, prefixes):
        setting.write_node_file(trusted=[*map(str, prefixes)], clusterPrefixes=["2001:db8:0:2:1::/80"])


def _end(setting: Setting) -> int:
    """End what is not trusted by the firewall that is in place, which follows from `node.json`."""
    found = network_in_force(setting.state_dir)
    assert found
    return trusted_before.end_others(setting.state_dir, found.network)


def test_prefixes_are_noted_before_they_are_trusted(setting: Setting) -> None:
    """An agent that is killed in between has noted too much, and never too little."""
    with trusted_before.noted(setting.state_dir, [ONE]):
        assert [str(ONE)] == _noted(setting.state_dir)
    with trusted_before.noted(setting.state_dir, [TWO]):
        assert sorted([str(ONE), str(TWO)]) == _noted(setting.state_dir)


def test_connections_end_when_trust_has_gone(setting: Setting, ended: Ended) -> None:
    """Once: what has ended is not remembered any more. Pods are those of the node and of its cluster."""
    _trust(setting, ONE, TWO)
    assert 0 == _end(setting)
    _trust(setting, ONE)
    assert [3, 0] == [_end(setting) for _ in range(2)]
    assert [[str(TWO)]] == ended.gone
    assert [sorted([V4, V6, "2001:db8:0:2:1::/80"])] == ended.ours
    assert [str(ONE)] == _noted(setting.state_dir)


def test_what_could_not_be_ended_is_tried_again(setting: Setting, ended: Ended) -> None:
    """The prefix is still remembered, also by the next process."""
    _trust(setting, ONE)
    _trust(setting)
    ended.failures = 1
    with pytest.raises(FirewallUnusable):
        _end(setting)
    assert 3 == _end(setting)
    assert [[str(ONE)]] * 2 == ended.gone


def test_a_prefix_that_is_trusted_again_meanwhile_stays_noted(setting: Setting, mocker: MockerFixture) -> None:
    """Its connections of later have to end the next time."""
    _trust(setting, ONE)
    _trust(setting)

    def end(*_: object, **__: object) -> int:
        _trust(setting, ONE)
        return 0

    mocker.patch("slash80.firewall.cut_off.end", end)
    _end(setting)
    assert [str(ONE)] == _noted(setting.state_dir)


def test_a_note_that_cannot_be_read_is_none(setting: Setting, ended: Ended) -> None:
    """It is replaced with the next one; nothing is ended for it."""
    setting.write_node_file()
    for text in ("{", '{"prefixes": 5}', '{"prefixes": ["x"]}'):
        (setting.state_dir / "trusted.json").write_text(text)
        assert 0 == _end(setting)
    assert [] == ended.gone


def test_a_firewall_of_before_ends_nothing_that_it_trusts(setting: Setting, ended: Ended) -> None:
    """A file that was written since is not in force yet: connections would go on, and nothing would end them later."""
    _trust(setting, ONE)
    before = network_in_force(setting.state_dir)
    _trust(setting)
    assert before
    assert 0 == trusted_before.end_others(setting.state_dir, before.network)
    assert [] == ended.gone
    assert [str(ONE)] == _noted(setting.state_dir)
