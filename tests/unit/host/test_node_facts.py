"""What the firewall is told of the node: asked from kernel and store, and written when it is otherwise."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.firewall.node_facts import NodeFacts
from slash80.host import node_facts
from slash80.host.cache import TtlCache
from slash80.host.context import Host, boottime
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from unit.host.tables import FakeTable
from unit.kernels import Kernel

NOTED, KEPT, GIVEN = (ip_network(f"2001:db8:0:{number}:1::/80") for number in (1, 2, 3))
ADDRESS = ip_network("192.0.2.2/32")
FACTS = NodeFacts.of([ADDRESS, NOTED, KEPT], {("eth0", "eth1"), ("eth1", "eth0")})


@pytest.fixture
def host(tmp_path: Path, mocker: MockerFixture) -> Host:
    """Return a host with an address, a network, a discard route of another one, and a route with two links."""
    mocker.patch("slash80.wiring.discard_routes.present", return_value=[KEPT])
    mocker.patch("slash80.wiring.return_paths.own_addresses", return_value=[ADDRESS[0]])
    mocker.patch("slash80.wiring.return_paths.multipath", return_value=set(FACTS.multipath))
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=boottime)
    store.read(lambda register: register.note("net", [NOTED], boottime()))
    locks = AttachmentLocks(tmp_path / "state", 5)
    return Host(Kernel({}), FakeTable(), store=store, locks=locks, cache=TtlCache())


def _told(host: Host) -> NodeFacts | None:
    return host.table.facts()


def test_what_changed_is_told_once(host: Host) -> None:
    """The node's addresses, the prefixes of its networks, and of those whose pods live on."""
    assert [True, False] == [node_facts.reconcile(host) for _ in range(2)]
    assert FACTS == _told(host)


def test_a_new_prefix_is_told_with_all_others(host: Host) -> None:
    """A network that comes later does not take away what is another one's."""
    node_facts.cover(host, [GIVEN])

    assert NodeFacts.of([*FACTS.own, GIVEN], FACTS.multipath) == _told(host)


def test_a_known_prefix_is_not_told_again(host: Host) -> None:
    """An ADD asks only whether the table has it."""
    node_facts.reconcile(host)
    host.table.update(NodeFacts.of([NOTED]))
    node_facts.cover(host, [NOTED])

    assert NodeFacts.of([NOTED]) == _told(host)


def test_where_there_is_no_table_nothing_is_told(host: Host) -> None:
    """It gets the facts when it is installed."""
    assert isinstance(host.table, FakeTable)
    host.table.told = None
    node_facts.cover(host, [NOTED])

    assert not node_facts.reconcile(host)
