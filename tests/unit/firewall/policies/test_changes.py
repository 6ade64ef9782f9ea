"""Which commits were another program's."""

from slash80.firewall.policies.changes import Changes

OURS, OTHERS, FURTHER = 11, 12, 13


def test_a_commit_of_ours_between_others_is_known_as_ours() -> None:
    """A run of nft takes seconds, while kube-proxy commits every second to another table, which is not seen."""
    told: list[int] = []
    changes = Changes(told.append)
    changes.own_within(OURS - 5, FURTHER)
    assert not changes.of_others()
    changes.seen(OURS)
    assert not changes.of_others()
    assert [] == told  # which of these commits it is has to be seen


def test_a_second_change_meanwhile_is_anothers() -> None:
    """Whichever of the two was ours, the table has to be put back, and however late the kernel tells of it."""
    changes = Changes()
    changes.own_within(OURS - 5, FURTHER)
    changes.seen(OURS)
    assert not changes.of_others()
    changes.seen(OTHERS)
    assert {OTHERS} == changes.of_others()


def test_what_is_seen_while_we_commit_is_judged_when_we_have() -> None:
    """The kernel tells of a commit before who has made it has its answer; the table is not looked at for our own."""
    looks: list[int] = []
    changes = Changes(changed=lambda: looks.append(1))
    with changes.ours():
        assert not changes.seen(OURS)
        changes.own(OURS)
    assert [] == looks
    with changes.ours():
        assert not changes.seen(OTHERS)
        changes.own(FURTHER)
    assert [1] == looks


def test_a_change_before_or_after_is_anothers() -> None:
    """Only what was committed while nft ran may be its commit."""
    changes = Changes()
    changes.own_within(OURS, FURTHER)
    for generation in (OURS, FURTHER + 1):
        changes.seen(generation)
    assert {OURS, FURTHER + 1} == changes.of_others()


def test_where_there_was_one_commit_it_is_ours() -> None:
    """Then it is known which one, and who has to know is told."""
    told: list[int] = []
    changes = Changes(told.append)
    changes.own_within(OURS - 1, OURS)
    assert not changes.seen(OURS)
    assert changes.seen(OTHERS)
    changes.undone(frozenset({OTHERS}))
    assert not changes.of_others()
    assert [OURS] == told
