"""How a cluster stands by the file: a mistake changes nothing, and what is gone is remembered for a while."""

from ipaddress import ip_network

import pytest

from lab.members import certificate, clusterset, entry, text
from slash80.clusterset.membership import Membership, Standing
from slash80.clusterset.silence import GONE
from slash80.settings.clusterset import KEY, render

BOTH = text(entry(0), entry(1))
OTHER = text(entry(1))  # without this cluster
OURS = certificate(0)


def data(file: str = BOTH) -> dict[str, str]:
    """Return the data of the ConfigMap."""
    return {KEY: file}


def ids(standing: Standing) -> list[str]:
    """Name the other members."""
    return [one.id for one in standing.others]


def test_a_cluster_finds_itself_by_its_certificate() -> None:
    """The file is the same everywhere, so nothing else says which of the members this one is."""
    standing = Membership(OURS).read(data(), 0)

    assert standing.own
    assert "c0" == standing.own.id
    assert ["c1"] == ids(standing)
    assert standing.active
    assert not standing.problem
    assert BOTH == standing.kept


def test_a_cluster_that_is_not_listed_is_no_member() -> None:
    """It has no entry and follows no one, and says which command adds it."""
    standing = Membership(OURS).read(data(OTHER), 0)

    assert standing.own is None
    assert not standing.active
    assert standing.known
    assert "slash80 clusterset add" in standing.problem


def test_a_mistake_in_the_file_keeps_the_last_good_one() -> None:
    """The key is named, and nothing else changes."""
    membership = Membership(OURS)
    membership.read(data(), 0)
    standing = membership.read(data(text(entry(0), entry(1, prefixes=["::/0"]))), 1)

    assert standing.active
    assert ["c1"] == ids(standing)
    assert "prefixes" in standing.problem
    assert "last good" in standing.problem
    assert BOTH == standing.kept


def test_a_mistake_is_repaired_by_the_next_file() -> None:
    """Also by the very file that was good before."""
    membership = Membership(OURS)
    for file in (BOTH, "members: 7", BOTH):
        standing = membership.read(data(file), 0)

    assert standing.active
    assert not standing.problem


def test_the_last_good_file_survives_a_restart() -> None:
    """A program that begins while the file is wrong goes on with what its predecessor used."""
    standing = Membership(OURS, kept=BOTH).read(data("members: 7"), 0)

    assert standing.active
    assert ["c1"] == ids(standing)


def test_nothing_is_concluded_from_a_file_that_never_was_good() -> None:
    """What an earlier process imported stays until a person has corrected the file."""
    standing = Membership(OURS).read(data("members: 7"), 0)

    assert not standing.known
    assert standing.own is None
    assert standing.problem


def test_a_key_that_is_missing_in_the_config_map_is_a_mistake() -> None:
    """A ConfigMap of another content must not end a membership."""
    membership = Membership(OURS)
    membership.read(data(), 0)

    assert membership.read({"other": ""}, 1).active


def test_prefixes_among_services_are_a_mistake() -> None:
    """No member has pods where this cluster has its Services."""
    services = [ip_network("2001:db8:1:ffff::/112")]
    standing = Membership(OURS).read(data(), 0, services)

    assert not standing.active
    assert "2001:db8:1::/48" in standing.problem


def test_services_that_come_to_have_a_members_addresses_change_nothing() -> None:
    """The file was right when it was applied, so its members stay: what they may not export is refused one by one."""
    membership = Membership(OURS, kept=BOTH)
    standing = membership.read(data(), 0, [ip_network("2001:db8:1:ffff::/112")])

    assert standing.active
    assert ["c1"] == ids(standing)
    assert "2001:db8:1::/48" in standing.problem
    assert "no endpoint with such an address is imported" in standing.problem


def test_a_deleted_file_ends_the_exchange_and_is_remembered() -> None:
    """No one is asked or served from then on; for a quarter of an hour it is known what was."""
    membership = Membership(OURS)
    membership.read(data(), 0)
    for moment in (10, 10 + GONE - 1):
        standing = membership.read(None, moment)
        assert not standing.active
        assert ["c1"] == ids(standing)
        assert "slash80 clusterset apply" in standing.problem

    assert Standing(problem=standing.problem, reason=standing.reason) == membership.read(None, 10 + GONE)


def test_a_cluster_that_is_struck_from_the_file_is_remembered_as_well() -> None:
    """A bad merge that drops its entry does not end what it has imported, within that time."""
    membership = Membership(OURS)
    membership.read(data(), 0)

    assert ["c1"] == ids(membership.read(data(OTHER), 10))
    assert [] == ids(membership.read(data(OTHER), 10 + GONE))
    assert membership.read(data(), 20 + GONE).active


def test_the_time_without_a_file_begins_again_with_each_loss() -> None:
    """A file that was back in between is good for another quarter of an hour."""
    membership = Membership(OURS)
    for moment, file in ((0, data()), (10, None), (GONE, data()), (GONE + 10, None)):
        membership.read(file, moment)

    assert ["c1"] == ids(membership.read(None, 2 * GONE))


def test_a_restart_without_a_file_remembers() -> None:
    """What the predecessor kept says what it was a member of; no one is asked because of it."""
    membership = Membership(OURS, kept=BOTH)

    assert ["c1"] == ids(membership.read(None, 0))
    assert not membership.read(None, 0).active
    assert [] == ids(membership.read(None, GONE))


def test_a_new_key_is_remembered_as_the_member_that_it_was() -> None:
    """The kept file does not list it yet; until the next one does it is trusted by no one and trusts no one."""
    standing = Membership(certificate(7), kept=BOTH, member_id="c0").read(data(), 0)

    assert standing.own
    assert ("c0", ["c1"], False) == (standing.own.id, ids(standing), standing.active)


@pytest.mark.parametrize("member_id", ["", "c7"])
def test_who_was_no_member_is_not_remembered(member_id: str) -> None:
    """Without a member of that id there is nothing that the file could say of this cluster."""
    standing = Membership(certificate(7), kept=BOTH, member_id=member_id).read(data(), 0)

    assert Standing(problem=standing.problem, reason=standing.reason) == standing


def test_what_was_kept_and_cannot_be_read_is_as_if_there_were_no_file() -> None:
    """A person may have changed the state by hand."""
    assert not Membership(OURS, kept="{").read(None, 0).others
    assert Membership(OURS, kept="{").read(data(), 0).active


def test_a_file_as_the_commands_write_it_is_read() -> None:
    """Whatever `render` writes of a hundred members is a file of a hundred members."""
    assert 99 == len(Membership(OURS).read(data(render(clusterset(100))), 0).others)
