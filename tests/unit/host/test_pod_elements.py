"""The firewall's elements of pods and the records: which goes first, and what is repaired."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from lab.rulesets import CLOSED
from slash80.addressing.openings import Openings, PortMapping
from slash80.addressing.ports import TCP, PortRange
from slash80.errors import FirewallUnusable, IoFailure
from slash80.firewall.elements import of_attachments
from slash80.firewall.ruleset import build
from slash80.host import pod_elements, removal
from slash80.host.cache import TtlCache
from slash80.host.context import Host
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from unit.builders import attachment
from unit.conftest import Connections
from unit.host.tables import FakeTable
from unit.kernels import Kernel
from unit.wiring.plans import link

pytestmark = pytest.mark.usefixtures("connections")
POD = attachment()
EXPOSED = Openings(expose=(PortRange("udp", 8000, 8100),), expose_allowed=True)
SECOND = attachment(2, key=replace(POD.key, ifname="net1"))


def _reap(host: Host, host_ifname: str) -> None:
    host.store.mark_terminating(host_ifname)
    removal.reap(host)


REMOVALS: dict[str, Callable[[Host, str], None]] = {
    "released": removal.release,
    "never linked": removal.unreserve,
    "reaped": _reap,
}


def _host(tmp_path: Path, table: FakeTable, links: dict[str, int | list[bytes]] | None = None) -> Host:
    store = SqliteStore(tmp_path / "state", survey=list, timeout=5, clock=lambda: 2000.0)
    locks = AttachmentLocks(tmp_path / "state", 5)
    return Host(Kernel(links or {}), table, store=store, locks=locks, cache=TtlCache())


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS.keys())
def test_elements_are_deleted_with_the_record(tmp_path: Path, remove: Callable[[Host, str], None]) -> None:
    """However an attachment goes, its addresses may be another pod's next, so its elements go too."""
    table = FakeTable()
    host = _host(tmp_path, table)
    host.store.keep(POD)
    remove(host, POD.host_ifname)

    assert [(frozenset(), of_attachments([POD]))] == table.changes
    assert [] == host.store.attachments()


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS.keys())
def test_a_record_stays_while_its_elements_cannot_be_deleted(
    tmp_path: Path, remove: Callable[[Host, str], None]
) -> None:
    """Its addresses are given to no other pod; the next removal, GC or exhausted pool tries again."""
    host = _host(tmp_path, FakeTable(refusal="no"))
    host.store.keep(POD)
    with pytest.raises(FirewallUnusable, match="no"):
        remove(host, POD.host_ifname)

    assert [POD.key] == [left.key for left in host.store.attachments()]


def test_elements_are_deleted_though_the_store_cannot_be_read(tmp_path: Path, mocker: MockerFixture) -> None:
    """They are found by the host end's name; the record stays, which the next GC finds without its link."""
    table = FakeTable()
    host = _host(tmp_path, table)
    table.found = of_attachments([POD, attachment(2)])
    host.store.keep(POD)
    mocker.patch.object(host.store, "get", side_effect=IoFailure("read-only"))
    removal.release(host, POD.host_ifname)

    assert [(frozenset(), of_attachments([POD]))] == table.changes
    assert [POD.key] == [left.key for left in host.store.attachments()]


def test_what_another_call_has_reaped_meanwhile_is_not_deleted_again(tmp_path: Path, connections: Connections) -> None:
    """A hundred ADDs of a full node reap the same links at once; one of them does the work under the lock."""
    table = FakeTable()
    host = _host(tmp_path, table)
    host.store.keep(POD)
    host.store.mark_terminating(POD.host_ifname)
    connections.at_each = lambda: host.store.release(POD.host_ifname)
    removal.reap(host)

    assert [] == table.changes


def test_an_element_of_a_recreated_attachment_stays(tmp_path: Path) -> None:
    """A record that was read before its successor came has the same host end, and may have one of its addresses."""
    table = FakeTable()
    host = _host(tmp_path, table)
    host.store.keep(replace(POD, assignment=replace(POD.assignment, ipv4=None)))
    pod_elements.delete_with_records(host, [POD], lambda: None)

    expected = frozenset(one for one in of_attachments([POD]) if one.set_name == "pods4")
    assert [(frozenset(), expected)] == table.changes


@pytest.mark.parametrize("remove", REMOVALS.values(), ids=REMOVALS.keys())
def test_with_an_interface_goes_what_it_brought_to_its_container(
    tmp_path: Path, remove: Callable[[Host, str], None]
) -> None:
    """The other interface keeps its own addresses, and may send from those no more that another pod may get."""
    table = FakeTable()
    host = _host(tmp_path, table)
    for one in (POD, SECOND):
        host.store.keep(one)
    remove(host, SECOND.host_ifname)

    assert [(frozenset(), of_attachments([POD, SECOND]) - of_attachments([POD]))] == table.changes


@pytest.mark.parametrize("readable", [True, False])
def test_without_a_record_the_others_tell_what_is_theirs(
    tmp_path: Path, mocker: MockerFixture, *, readable: bool
) -> None:
    """Two host ends have the same addresses; without any record only those of the host end itself are known to go."""
    table = FakeTable()
    host = _host(tmp_path, table)
    host.store.keep(POD)
    table.found = of_attachments([POD, SECOND])
    if not readable:
        mocker.patch.object(host.store, "attachments", side_effect=IoFailure("read-only"))
    pod_elements.delete_of(host, SECOND.host_ifname)

    gone = table.found - of_attachments([POD])
    own = frozenset(one for one in gone if one.ifname == SECOND.host_ifname)
    assert [(frozenset(), gone if readable else own)] == table.changes


def test_a_container_is_asked_for_under_the_lock_unless_it_has_one_interface(
    tmp_path: Path, mocker: MockerFixture
) -> None:
    """A removal may have taken an interface away since the reservation; pods with only one are spared the query."""
    host = _host(tmp_path, FakeTable())
    ensure = mocker.patch.object(host.table, "ensure")
    for one in (POD, SECOND):
        host.store.keep(one)
    host.ensure_firewall(build(CLOSED), "net", SECOND)
    host.store.release(POD.host_ifname)
    host.ensure_firewall(build(CLOSED), "net", SECOND)
    mocker.patch.object(host.store, "attachments", side_effect=AssertionError)
    host.ensure_firewall(build(CLOSED), "net", SECOND, alone=True)

    alone = of_attachments([SECOND])
    both = of_attachments([POD, SECOND]) - of_attachments([POD])
    assert [both, alone, alone] == [call.kwargs["new"] for call in ensure.call_args_list]


def test_a_check_of_the_firewall_takes_no_lock(tmp_path: Path) -> None:
    """The controller checks every ten seconds; nothing is made in the state directory for that."""
    assert not _host(tmp_path, FakeTable()).ensure_firewall(build(CLOSED), "net")
    assert not (tmp_path / "state").exists()


def test_elements_are_reconciled_with_the_records(tmp_path: Path) -> None:
    """What is missing is added. What has no record goes, unless another state directory's link exists with it."""
    lost, others = attachment(2), attachment(3)
    moved = replace(POD, assignment=replace(POD.assignment, ipv6=None, ipv4=lost.assignment.ipv4))
    table = FakeTable()
    host = _host(tmp_path, table, {f"ip link show {others.host_ifname}": [link(others.host_ifname)]})
    host.store.keep(POD)
    table.found = of_attachments([moved, lost, others])

    assert 5 == pod_elements.reconcile(host)
    assert [(of_attachments([POD]), of_attachments([moved, lost]))] == table.changes


def test_exposed_ports_of_a_pod_of_another_state_directory_stay(tmp_path: Path) -> None:
    """They are at an address of a link that exists; those at any other address are left over."""
    lost, others = (replace(attachment(number), openings=EXPOSED) for number in (2, 3))
    table = FakeTable()
    host = _host(tmp_path, table, {f"ip link show {others.host_ifname}": [link(others.host_ifname)]})
    opened = replace(POD, openings=EXPOSED)
    host.store.keep(opened)
    table.found = of_attachments([POD, lost, others])
    pod_elements.reconcile(host)

    assert [(of_attachments([opened]) - of_attachments([POD]), of_attachments([lost]))] == table.changes


def test_without_a_record_exposed_ports_go_with_their_addresses(tmp_path: Path) -> None:
    """The address may be another pod's next, which exposes nothing."""
    opened, other = (replace(attachment(number), openings=EXPOSED) for number in (2, 3))
    table = FakeTable()
    table.found = of_attachments([opened, other])
    pod_elements.delete_of(_host(tmp_path, table), opened.host_ifname)

    assert [(frozenset(), of_attachments([opened]))] == table.changes


def test_without_a_table_nothing_is_reconciled(tmp_path: Path) -> None:
    """The next ADD installs it with the elements of all pods."""
    table = FakeTable()
    table.found = None
    host = _host(tmp_path, table)
    host.store.keep(POD)

    assert 0 == pod_elements.reconcile(host)
    assert [] == table.changes


MAPPED = replace(POD, openings=Openings((PortMapping(TCP, ip_address("0.0.0.0"), 8080, 80),)))
OTHERS = replace(attachment(3), openings=MAPPED.openings)


def test_openings_are_closed_before_the_link_is_deleted(tmp_path: Path) -> None:
    """What of them is there is deleted, and not the rest of the pod's elements; a pod without costs nothing."""
    table = FakeTable()
    host = _host(tmp_path, table)
    elsewhere = replace(OTHERS, openings=Openings((PortMapping(TCP, ip_address("0.0.0.0"), 8081, 80),)))
    table.found = of_attachments([MAPPED, elsewhere])
    pod_elements.close(host, MAPPED)
    pod_elements.close(host, SECOND)

    assert [(frozenset(), of_attachments([MAPPED]) - of_attachments([POD]))] == table.changes


def test_a_pod_without_host_ports_asks_nothing(tmp_path: Path, mocker: MockerFixture) -> None:
    """Neither the kernel nor the table, at ADD and at DEL."""
    table = FakeTable()
    mocker.patch.object(table, "elements", side_effect=AssertionError)
    mocker.patch("slash80.host.pod_elements.query", side_effect=AssertionError)
    host = _host(tmp_path, table)
    for use in (pod_elements.make_room, pod_elements.forget_ports, pod_elements.close):
        use(host, POD)

    assert [] == table.changes


def test_the_final_removal_spares_a_port_that_leads_to_another_pod(tmp_path: Path) -> None:
    """Its key in the maps is that pod's by now."""
    table = FakeTable()
    host = _host(tmp_path, table)
    host.store.keep(MAPPED)
    table.found = of_attachments([POD, OTHERS])
    _reap(host, MAPPED.host_ifname)

    assert [(frozenset(), of_attachments([POD]))] == table.changes


def test_room_is_made_only_where_an_element_is_in_the_way(tmp_path: Path) -> None:
    """An element that says the same stays; what else leads to the pod that is gone goes as well."""
    table = FakeTable()
    host = _host(tmp_path, table)
    table.found = of_attachments([MAPPED])
    pod_elements.make_room(host, MAPPED)
    assert [] == table.changes

    table.found = of_attachments([OTHERS])
    pod_elements.make_room(host, MAPPED)
    ((added, deleted),) = table.changes
    assert (frozenset(), of_attachments([OTHERS]) - of_attachments([attachment(3)])) == (added, deleted)
