"""Putting aside and deleting together: what is done to whose links."""

import errno
from unittest.mock import patch

import pytest

from slash80.errors import Failure
from slash80.wiring import deferred, netns
from unit.kernels import Kernel
from unit.wiring.plans import ATTACHMENT, PLAN, body, link

NAME, TERMINATING = PLAN.host_ifname, PLAN.host_ifname.replace("s80", "x80")
ALL = "ip link show"
GROUP = "ip link del group 21377"
LOOK = [f"{ALL} {NAME}", "ip netns list-id"]
DOWN, ASIDE = f"ip link set {NAME} down", f"ip link set {NAME} name {TERMINATING} group 21377"
GONE = ["ip link set eth0 down", "ip -4 address flush dev eth0", f"ip link set eth0 name {TERMINATING} mtu 1279"]


def buried(host: Kernel, pod: Kernel) -> bool:
    """Defer the deletion of the attachment, with the pod's namespace open."""
    with patch.object(netns, "socket_inside", lambda *_: pod):
        return deferred.defer(host, ATTACHMENT.key, 9)


def living(number: int | None = 3, called: int = 3) -> Kernel:
    """Return a host with the host end, whose peer has index 7 in namespace `number`; the call's is `called`."""
    answers: dict[str, int | list[bytes]] = {
        LOOK[0]: [link(NAME, link=7, link_netnsid=number)],
        LOOK[1]: [body("namespace", [("NETNSA_NSID", called)])],
    }
    return Kernel({**answers, DOWN: 0, ASIDE: 0})


@pytest.mark.parametrize("address", [0, errno.EADDRNOTAVAIL])
def test_deferred_delete_takes_both_ends_out_of_use(address: int) -> None:
    """The pod's end loses its name and addresses, and the host end is renamed last."""
    host, pod = living(), Kernel({**dict.fromkeys(GONE, 0), GONE[1]: address})

    assert buried(host, pod)
    assert [*LOOK, DOWN, ASIDE] == host.done
    assert pod.done == GONE


@pytest.mark.parametrize(("number", "called"), [(None, 3), (None, -1), (-1, -1), (4, 3)])
def test_deferred_delete_touches_no_other_namespace(number: int | None, called: int) -> None:
    """There the peer's index may be a foreign link, so the pair must be deleted at once."""
    host, pod = living(number, called % 2**32), Kernel({})

    with pytest.raises(Failure, match=f"the other end of {NAME} is not in the namespace"):
        buried(host, pod)
    assert (LOOK, []) == (host.done, pod.done)


def test_namespace_without_an_id_is_reported() -> None:
    """The error has the kernel's reason."""
    host = living()
    host._answers[LOOK[1]] = errno.EBADF

    with pytest.raises(Failure, match="list-id"):
        buried(host, Kernel({}))


@pytest.mark.parametrize("step", GONE)
def test_refused_change_of_the_pod_end_is_reported(step: str) -> None:
    """The host end is not deferred then: a half-done attachment must be deleted."""
    host, pod = living(), Kernel({**dict.fromkeys(GONE, 0), step: errno.EBUSY})

    with pytest.raises(Failure, match=step):
        buried(host, pod)
    assert ASIDE not in host.done


@pytest.mark.parametrize(
    ("links", "there"),
    [
        ([], False),
        ([NAME], False),
        ([TERMINATING], True),
        ([NAME, TERMINATING], False),
    ],
)
def test_deferred_link_is_found_by_its_attachment(links: list[str], there: bool) -> None:  # noqa: FBT001
    """A deferred link is found, unless the attachment was created again since."""
    assert there == deferred.is_deferred(Kernel({f"{ALL} {name}": [link(name)] for name in links}), ATTACHMENT.key)


@pytest.mark.parametrize(
    ("answers", "there"),
    [
        ({}, False),
        ({f"{ALL} {TERMINATING}": [link(TERMINATING)]}, True),
        ({LOOK[0]: [link(NAME, kind="dummy")], LOOK[1]: [body("namespace", [("NETNSA_NSID", 2**32 - 1)])]}, False),
    ],
)
def test_deferred_delete_without_a_link_does_nothing(answers: dict[str, int | list[bytes]], there: bool) -> None:  # noqa: FBT001
    """No link, a deferred one and a foreign one are left alone."""
    assert there == buried(Kernel(answers), Kernel({}))


def dying(number: int, **changes: object) -> bytes:
    """Return a deferred link."""
    return link(f"x80aaaaaaaaaaa{number}", number, **{"group": 21377, **changes})


def test_deferred_links_are_deleted_in_one_message() -> None:
    """The group is deleted with one message."""
    host = Kernel({ALL: [dying(1), dying(2), link(NAME), link("eth0", kind="", group=0, ifalias=None)], GROUP: []})

    assert 2 == len(deferred.delete_all(host))
    assert [GROUP] == host.done


ALONE = [f"ip link del x80aaaaaaaaaaa{number}" for number in (1, 2)]
STRANGER = link("tap0", 9, kind="tun", group=21377, ifalias=None)


@pytest.mark.parametrize(
    ("links", "group"), [([dying(1), dying(2), STRANGER], None), ([dying(1), dying(2)], errno.EOPNOTSUPP)]
)
def test_deferred_links_are_deleted_singly_beside_a_foreign_link(links: list[bytes], group: int | None) -> None:
    """With a foreign link in the group, or when the kernel refuses, each is deleted by itself."""
    host = Kernel({ALL: links, GROUP: group or 0, ALONE[0]: [], ALONE[1]: errno.ENODEV})

    assert 2 == len(deferred.delete_all(host))
    assert [*([GROUP] if group else []), *ALONE] == host.done


def test_deferred_link_without_its_group_is_deleted() -> None:
    """Name and alias identify a link that lost its group."""
    host = Kernel({ALL: [dying(1, group=0), dying(2), dying(3)], GROUP: [], ALONE[0]: []})

    assert 3 == len(deferred.delete_all(host))
    assert [GROUP, ALONE[0]] == host.done


def test_reaping_without_deferred_links_deletes_nothing() -> None:
    """The group is not deleted, whatever is in it."""
    host = Kernel({ALL: [STRANGER, link(NAME)]})

    assert 0 == len(deferred.delete_all(host))
    assert [] == host.done


def test_undeletable_deferred_link_names_the_ip_command() -> None:
    """The error has the `ip` command that fails the same way."""
    with pytest.raises(OSError, match="ip link del x80aaaaaaaaaaa1"):
        deferred.delete_all(Kernel({ALL: [dying(1)], ALONE[0]: errno.EPERM}))
