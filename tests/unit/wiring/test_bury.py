"""Putting aside and deleting together: what is done to whose links."""

import errno
from unittest.mock import patch

import pytest

from slash80.errors import Failure
from slash80.wiring import bury, netns
from unit.kernels import Kernel
from unit.wiring.plans import ATTACHMENT, PLAN, address, link

NAME, DYING = PLAN.host_ifname, PLAN.host_ifname.replace("s80", "x80")
ALL = "ip link show"
GROUP = "ip link del group 21377"
LOOK = [f"{ALL} eth0", "ip address show (index 7)"]
PUT_ASIDE = [f"ip link set {NAME} down", f"ip link set {NAME} name {DYING} group 21377"]


def buried(host: Kernel, pod: Kernel) -> bool:
    """Bury the attachment with the pod's namespace at hand."""
    with patch.object(netns, "socket_inside", lambda _: pod):
        return bury.bury(host, ATTACHMENT.key, 9)


def living() -> Kernel:
    """Give a host with the host end, whose other end has index 7."""
    return Kernel({f"{ALL} {NAME}": [link(NAME, link=7)], **dict.fromkeys(PUT_ASIDE, 0)})


def test_both_ends_are_put_aside() -> None:
    """The pod keeps neither name nor address, and the host end is put aside at last."""
    gone = ["ip link set eth0 down", "ip address del 10.80.1.1/32 dev eth0", f"ip link set eth0 name {DYING}"]
    pod = Kernel({f"{ALL} eth0": [link("eth0", 7, link=5)], **dict.fromkeys(gone, 0)})
    pod._answers["ip address show (index 7)"] = [address(value, value.max_prefixlen) for value in PLAN.addresses]
    host = living()

    assert buried(host, pod)
    assert [f"{ALL} {NAME}", *PUT_ASIDE] == host.done
    assert [*LOOK, *gone] == pod.done


@pytest.mark.parametrize(
    "end", [None, link("eth0", 7, link=6), link("eth0", 8, link=5), link("eth0", 7, link=5, kind="macvlan")]
)
def test_what_is_not_the_other_end_is_left_alone(end: bytes | None) -> None:
    """Then the whole pair must be deleted at once."""
    pod = Kernel({f"{ALL} eth0": [end]} if end else {})

    with pytest.raises(Failure, match="not the other end"):
        buried(living(), pod)
    assert LOOK == pod.done


@pytest.mark.parametrize(
    ("answers", "there"),
    [
        ({}, False),
        ({f"{ALL} {DYING}": [link(DYING)]}, True),
        ({f"{ALL} {NAME}": [link(NAME, kind="dummy")]}, False),
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

    assert 2 == bury.delete_all(host)
    assert [GROUP] == host.done


ALONE = [f"ip link del x80aaaaaaaaaaa{number}" for number in (1, 2)]
STRANGER = link("tap0", 9, kind="tun", group=21377, ifalias=None)


@pytest.mark.parametrize(
    ("links", "group"), [([dying(1), dying(2), STRANGER], None), ([dying(1), dying(2)], errno.EOPNOTSUPP)]
)
def test_one_by_one_where_the_group_cannot_go(links: list[bytes], group: int | None) -> None:
    """With a stranger in the group, who would go with it, or when the kernel refuses."""
    host = Kernel({ALL: links, GROUP: group or 0, ALONE[0]: [], ALONE[1]: errno.ENODEV})

    assert 2 == bury.delete_all(host)
    assert [*([GROUP] if group else []), *ALONE] == host.done


def test_one_that_lost_its_group_is_deleted_too() -> None:
    """Its name and alias say whose it is."""
    host = Kernel({ALL: [dying(1, group=0), dying(2), dying(3)], GROUP: [], ALONE[0]: []})

    assert 3 == bury.delete_all(host)
    assert [GROUP, ALONE[0]] == host.done


def test_nothing_is_dying() -> None:
    """Then nothing is deleted, whoever is in the group."""
    host = Kernel({ALL: [STRANGER, link(NAME)]})

    assert 0 == bury.delete_all(host)
    assert [] == host.done


def test_what_cannot_be_deleted_is_told() -> None:
    """With the command."""
    with pytest.raises(OSError, match="ip link del x80aaaaaaaaaaa1"):
        bury.delete_all(Kernel({ALL: [dying(1)], ALONE[0]: errno.EPERM}))
