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
    """Bury the attachment with the pod's namespace at hand."""
    with patch.object(netns, "socket_inside", lambda _: pod):
        return deferred.defer(host, ATTACHMENT.key, 9)


def living(number: int | None = 3, called: int = 3) -> Kernel:
    """Give a host with the host end, whose other end has index 7 in namespace `number`; the call's is `called`."""
    answers: dict[str, int | list[bytes]] = {
        LOOK[0]: [link(NAME, link=7, link_netnsid=number)],
        LOOK[1]: [body("namespace", [("NETNSA_NSID", called)])],
    }
    return Kernel({**answers, DOWN: 0, ASIDE: 0})


@pytest.mark.parametrize("address", [0, errno.EADDRNOTAVAIL])
def test_both_ends_are_put_aside(address: int) -> None:
    """The pod keeps neither name nor address, if it had one of IPv4, and the host end is put aside at last."""
    host, pod = living(), Kernel({**dict.fromkeys(GONE, 0), GONE[1]: address})

    assert buried(host, pod)
    assert [*LOOK, DOWN, ASIDE] == host.done
    assert pod.done == GONE


@pytest.mark.parametrize(("number", "called"), [(None, 3), (None, -1), (-1, -1), (4, 3)])
def test_in_another_namespace_nothing_is_touched(number: int | None, called: int) -> None:
    """There the other end's index may be somebody else's link; so the pair must be deleted at once."""
    host, pod = living(number, called % 2**32), Kernel({})

    with pytest.raises(Failure, match=f"the other end of {NAME} is not in the namespace"):
        buried(host, pod)
    assert (LOOK, []) == (host.done, pod.done)


def test_a_namespace_that_cannot_be_numbered_is_told() -> None:
    """With the kernel's reason."""
    host = living()
    host._answers[LOOK[1]] = errno.EBADF

    with pytest.raises(Failure, match="list-id"):
        buried(host, Kernel({}))


@pytest.mark.parametrize("step", GONE)
def test_a_pods_end_that_resists_is_told(step: str) -> None:
    """The host end is not put aside then: what is half done must be deleted."""
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
def test_what_was_put_aside_is_found(links: list[str], there: bool) -> None:  # noqa: FBT001
    """Unless it has been made again since."""
    assert there == deferred.is_deferred(Kernel({f"{ALL} {name}": [link(name)] for name in links}), ATTACHMENT.key)


@pytest.mark.parametrize(
    ("answers", "there"),
    [
        ({}, False),
        ({f"{ALL} {TERMINATING}": [link(TERMINATING)]}, True),
        ({LOOK[0]: [link(NAME, kind="dummy")], LOOK[1]: [body("namespace", [("NETNSA_NSID", 2**32 - 1)])]}, False),
    ],
)
def test_nothing_to_put_aside(answers: dict[str, int | list[bytes]], there: bool) -> None:  # noqa: FBT001
    """No link, one that was put aside before, or somebody else's."""
    assert there == buried(Kernel(answers), Kernel({}))


def dying(number: int, **changes: object) -> bytes:
    """Give a link that was put aside."""
    return link(f"x80aaaaaaaaaaa{number}", number, **{"group": 21377, **changes})


def test_several_are_deleted_in_one_go() -> None:
    """One message for all of them, and nothing else."""
    host = Kernel({ALL: [dying(1), dying(2), link(NAME), link("eth0", kind="", group=0, ifalias=None)], GROUP: []})

    assert 2 == deferred.delete_all(host)
    assert [GROUP] == host.done


ALONE = [f"ip link del x80aaaaaaaaaaa{number}" for number in (1, 2)]
STRANGER = link("tap0", 9, kind="tun", group=21377, ifalias=None)


@pytest.mark.parametrize(
    ("links", "group"), [([dying(1), dying(2), STRANGER], None), ([dying(1), dying(2)], errno.EOPNOTSUPP)]
)
def test_one_by_one_where_the_group_cannot_go(links: list[bytes], group: int | None) -> None:
    """With a stranger in the group, who would go with it, or when the kernel refuses."""
    host = Kernel({ALL: links, GROUP: group or 0, ALONE[0]: [], ALONE[1]: errno.ENODEV})

    assert 2 == deferred.delete_all(host)
    assert [*([GROUP] if group else []), *ALONE] == host.done


def test_one_that_lost_its_group_is_deleted_too() -> None:
    """Its name and alias say whose it is."""
    host = Kernel({ALL: [dying(1, group=0), dying(2), dying(3)], GROUP: [], ALONE[0]: []})

    assert 3 == deferred.delete_all(host)
    assert [GROUP, ALONE[0]] == host.done


def test_nothing_is_dying() -> None:
    """Then nothing is deleted, whoever is in the group."""
    host = Kernel({ALL: [STRANGER, link(NAME)]})

    assert 0 == deferred.delete_all(host)
    assert [] == host.done


def test_what_cannot_be_deleted_is_told() -> None:
    """With the command."""
    with pytest.raises(OSError, match="ip link del x80aaaaaaaaaaa1"):
        deferred.delete_all(Kernel({ALL: [dying(1)], ALONE[0]: errno.EPERM}))
