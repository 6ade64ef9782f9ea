"""Who changed the table, from what the kernel multicasts: bytes as Linux 6.18 sends them for nft's own commands."""

import errno
from collections.abc import Iterator

import pytest

from slash80.firewall import messages, monitor
from slash80.firewall.elements import POD_SETS
from slash80.firewall.monitor import UNKNOWN, Monitor
from slash80.netlink.codec import Message, attribute

INET, ANY = b"\x01\x00\x00\x02", b"\x00\x00\x00\x02"
OURS, OTHERS = attribute(1, b"slash80\0"), attribute(1, b"filter\0")


def generation(name: bytes = b"nft\0", pid: int = 7) -> Message:
    """Return the message that ends a commit."""
    attributes = ((1, (2).to_bytes(4, "big")), (2, pid.to_bytes(4, "big")), (3, name))
    return Message(messages.NEW_GENERATION, ANY + b"".join(attribute(*one) for one in attributes))


def change(kind: int, table: bytes = OURS, set_name: str = "") -> Message:
    """Return the message of one change."""
    return Message(0xA00 | kind, INET + table + (attribute(2, set_name.encode() + b"\0") if set_name else b""))


NEWTABLE, DELTABLE, NEWRULE, NEWSETELEM, DELSETELEM = 0, 2, 6, 12, 14
CHANGES = {
    "table deleted": ([change(DELTABLE), generation()], ["nft (process 7)"]),
    "rule added": ([change(NEWRULE), generation()], ["nft (process 7)"]),
    "element of a prefix set": ([change(NEWSETELEM, set_name="trusted6"), generation()], ["nft (process 7)"]),
    "element of a pod": (
        [change(NEWSETELEM, set_name="pods4"), change(DELSETELEM, set_name="pods6"), generation()],
        [],
    ),
    "openings of a pod": (
        [*(change(NEWSETELEM, set_name=one.name) for one in POD_SETS), change(DELSETELEM, set_name="hostport_port6")],
        [],
    ),
    "element of a pod and a rule": (
        [change(NEWSETELEM, set_name="pods4"), change(NEWRULE), generation()],
        ["nft (process 7)"],
    ),
    "another table": ([change(NEWTABLE, OTHERS), change(NEWSETELEM, OTHERS, "pods4"), generation()], []),
    "two commits": (
        [change(NEWRULE), generation(), change(NEWRULE), generation(b"firewalld\0", 9)],
        ["nft (process 7)", "firewalld (process 9)"],
    ),
    "no name": (
        [change(NEWRULE), Message(messages.NEW_GENERATION, ANY + attribute(1, bytes(4)))],
        ["a program (process 0)"],
    ),
    "another subsystem": ([Message(0x100, INET + OURS), generation()], []),
}


class FakeSocket:
    """Hands out what a test puts in, and ends the test's loop when there is no more."""

    told: Iterator[list[Message] | OSError] = iter(())

    def __init__(self, _: int) -> None:
        self.groups: list[int] = []

    def subscribe(self, group: int) -> None:
        """Note the group."""
        self.groups.append(group)

    def notifications(self) -> list[Message]:
        """Return or raise what is next."""
        found = next(self.told, OSError(errno.EBADF, "the end"))
        if isinstance(found, OSError):
            raise found
        return found


def _followed(monkeypatch: pytest.MonkeyPatch, *told: list[Message] | OSError) -> list[str]:
    monkeypatch.setattr(monitor, "Socket", FakeSocket)
    monkeypatch.setattr(monitor, "TOGETHER", 0)
    monkeypatch.setattr(FakeSocket, "told", iter(told))
    found: list[str] = []

    def follow() -> None:
        for author in Monitor().changes():
            found.append(author)  # noqa: PERF402 -- what came before the end is kept

    with pytest.raises(OSError, match="the end"):
        follow()
    return found


@pytest.mark.parametrize(("told", "authors"), CHANGES.values(), ids=CHANGES.keys())
def test_commits_that_change_the_skeleton_are_named(
    monkeypatch: pytest.MonkeyPatch, told: list[Message], authors: list[str]
) -> None:
    """Elements of pods are changed by every ADD and DEL of ours, and other tables are not ours."""
    assert authors == _followed(monkeypatch, told)


def test_a_change_and_its_generation_may_come_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large commit is told of in several parts."""
    assert ["nft (process 7)"] == _followed(monkeypatch, [change(NEWRULE)], [change(NEWRULE)], [generation()])


def test_what_comes_after_a_loss_is_not_blamed_on_the_next_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a commit too large to be told of whole is lost, and the next one may be that of an ADD of ours."""
    lost = OSError(errno.ENOBUFS, "lost")
    assert [UNKNOWN, UNKNOWN, "nft (process 7)"] == _followed(
        monkeypatch, lost, [change(NEWRULE), generation(b"engine\0")], [change(NEWRULE), generation()]
    )
    assert [UNKNOWN, "nft (process 7)"] == _followed(
        monkeypatch, lost, [generation(b"engine\0"), change(NEWRULE), generation()]
    )


def test_lost_notifications_count_as_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """ENOBUFS means that more came than fits; silence for 30 s is a reason to look, too."""
    assert [UNKNOWN, UNKNOWN] == _followed(monkeypatch, OSError(errno.ENOBUFS, "lost"), [])
