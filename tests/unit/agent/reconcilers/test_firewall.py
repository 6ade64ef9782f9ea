"""Part `firewall`: the table follows from `node.json`, and from nothing else."""

import json
from typing import Any

from pytest_mock import MockerFixture

from slash80.agent.firewall_keeper import FirewallMonitor
from slash80.agent.reconcilers.board import Outcome
from slash80.agent.reconcilers.firewall import Firewall
from slash80.agent.reconcilers.part import attempt
from slash80.desired.problems import Problem, Reason
from slash80.errors import FirewallUnusable
from slash80.firewall.elements import of_attachments
from unit.agent.reconcilers.fakes import V4, V6, Setting
from unit.builders import attachment
from unit.host.tables import FakeTable


def _write(setting: Setting, **keys: Any) -> None:  # noqa: ANN401 -- any key
    document = {"version": 1, "ipv6": [{"prefix": V6}], "ipv4": [{"prefix": V4}], **keys}
    (setting.state_dir / "node.json").write_text(json.dumps(document))


def test_without_node_json_there_is_nothing_to_put_in_place(setting: Setting) -> None:
    """The part `node` says what is waited for, so this one has no problem of its own."""
    assert attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    assert [] == setting.host.ensured
    assert Outcome(in_force=False) == setting.board.outcome("firewall")


def test_the_table_is_ensured_at_each_look(setting: Setting) -> None:
    """It may have been flushed since; neither the API nor the settings are read."""
    setting.sources.given.synced = False
    (setting.folder / "config.yaml").write_text("nonsense: [")
    _write(setting)
    for _ in range(2):
        assert attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    assert 2 == len(setting.host.ensured)
    assert Outcome(in_force=True) == setting.board.outcome("firewall")


def test_elements_of_pods_are_reconciled_at_each_look(setting: Setting) -> None:
    """An element that was deleted from the sets is there again within ten seconds, and one without a record is gone."""
    _write(setting)
    setting.host.store.keep(attachment(1))
    table = setting.host.table
    assert isinstance(table, FakeTable)
    table.found = of_attachments([attachment(2)])
    assert attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    assert [(of_attachments([attachment(1)]), of_attachments([attachment(2)]))] == table.changes


def test_the_table_follows_node_json(setting: Setting) -> None:
    """When the settings in node.json change, the next look installs the table that follows from them."""
    for trusted in ("2001:db8:7::/48", "2001:db8:8::/48"):
        _write(setting, firewall={"trusted": [trusted]})
        attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    first, second = setting.host.ensured
    assert first.fingerprint != second.fingerprint
    assert "2001:db8:8::/48" in second.text


def test_the_table_is_kept_while_all_prefixes_drain(setting: Setting) -> None:
    """The pods that have their addresses are there still; it is the table that they had before."""
    for state in ("active", "draining"):
        _write(setting, ipv6=[{"prefix": V6, "state": state}], ipv4=[{"prefix": V4, "state": state}])
        assert attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    before, now = setting.host.ensured
    assert before.fingerprint == now.fingerprint
    assert Outcome(in_force=True) == setting.board.outcome("firewall")


def test_a_table_that_cannot_be_put_in_place_is_a_problem(setting: Setting) -> None:
    """It is tried again soon, and until then no pod may come."""
    _write(setting)
    setting.host.failure = FirewallUnusable("nft failed; see why")
    assert not attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    problems = (Problem(Reason.FIREWALL_FAILED, "a", "nft failed; see why"),)
    assert Outcome(in_force=False, problems=problems) == setting.board.outcome("firewall")


def test_connections_end_after_the_table_is_in_place(setting: Setting, mocker: MockerFixture) -> None:
    """Or they would begin again; and where they cannot be ended pods are attached all the same."""
    order: list[str] = []
    _write(setting)

    def ensure(*_: object, **__: object) -> bool:
        order.append("table")
        return True

    setting.host.ensure_firewall = ensure  # type: ignore[method-assign]

    def end(*_: object) -> int:
        order.append("connections")
        raise FirewallUnusable("nf_conntrack_netlink is missing; load it")

    mocker.patch("slash80.agent.reconcilers.trusted_before.end_others", end)
    assert attempt(Firewall(setting.around, FirewallMonitor(setting.woken.clear)), setting.around)
    assert ["table", "connections"] == order
    outcome = setting.board.outcome("firewall")
    assert outcome.in_force
    assert [Reason.CONNECTIONS_NOT_ENDED] == [one.reason for one in outcome.problems]
