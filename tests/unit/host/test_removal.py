"""Removing attachments, as far as no kernel is needed."""

from pathlib import Path

import pytest

from slash80.addressing.attachment import State
from slash80.errors import FirewallUnusable
from slash80.host import removal
from slash80.host.cache import TtlCache
from slash80.host.context import Host
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from unit.builders import attachment
from unit.conftest import Connections
from unit.host.tables import FakeTable
from unit.kernels import Kernel
from unit.wiring.plans import link


def _refuse() -> None:
    raise FirewallUnusable("no")


@pytest.mark.parametrize("verb", ["DEL", "GC"])
def test_address_with_connections_is_not_released(connections: Connections, tmp_path: Path, verb: str) -> None:
    """DEL succeeds all the same; the address is released once its connections can be deleted."""
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    host = Host(Kernel({}), FakeTable(), store=store, locks=AttachmentLocks(tmp_path / "state", 5), cache=TtlCache())
    connections.at_each = _refuse
    one = attachment()
    store.keep(one)
    if verb == "DEL":
        removal.defer_delete(host, one.key, None)
    else:
        with pytest.raises(FirewallUnusable):
            removal.remove(host, one.host_ifname)

    assert [State.TERMINATING] == [left.state for left in store.attachments()]
    with pytest.raises(FirewallUnusable):
        removal.reap(host)
    connections.at_each = lambda: None
    removal.reap(host)
    assert [list(one.assignment.addresses)] == connections.forgotten
    assert [] == store.attachments()


@pytest.mark.usefixtures("connections")
def test_address_is_not_released_while_its_link_exists(tmp_path: Path) -> None:
    """A dump of links may miss it where links come and go."""
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    links: dict[str, int | list[bytes]] = {f"ip link show {attachment(1).dying_name}": [link(attachment(1).dying_name)]}
    host = Host(Kernel(links), FakeTable(), store=store, locks=AttachmentLocks(tmp_path / "state", 5), cache=TtlCache())
    for number in (1, 2):
        store.keep(attachment(number))
        store.mark_terminating(attachment(number).host_ifname)
    removal.reap(host)

    assert [attachment(1).key] == [left.key for left in store.attachments()]


def test_terminating_attachments_are_released_together(connections: Connections, tmp_path: Path) -> None:
    """They are released once their connections are deleted, except those that another call works on."""
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    host = Host(Kernel({}), FakeTable(), store=store, locks=AttachmentLocks(tmp_path / "state", 5), cache=TtlCache())
    others = AttachmentLocks(tmp_path / "state", 5)
    for number in (1, 2, 3):
        store.keep(attachment(number))
    with others.held(attachment(2).host_ifname):
        assert 2 == removal.release_dead(host)

    (addresses,) = connections.forgotten
    assert {*attachment(1).assignment.addresses, *attachment(3).assignment.addresses} == set(addresses)
    assert [attachment(2)] == store.attachments()
