"""Problems: codes for programs, sentences for people."""

import re
from pathlib import Path

from slash80.desired.problems import Problem, Reason, documents, sentences

ONE = Problem(Reason.NO_PREFIX, "a", "node a has no prefix; give it one")


def test_what_two_parts_report_is_told_once() -> None:
    """The same problem is one document; the same sentence under two reasons is one sentence."""
    same = Problem(Reason.NODE_FAILED, "a", ONE.message)

    assert [ONE.message] == sentences([ONE, ONE, same])
    assert [
        {"reason": "NoPrefix", "subject": "a", "message": ONE.message},
        {"reason": "NodeFailed", "subject": "a", "message": ONE.message},
    ] == documents([ONE, same, ONE])


def test_a_reason_is_a_word_as_kubernetes_writes_them() -> None:
    """Conditions, Events and metrics can carry it as it is, and its value tells the same as its name."""
    for reason in Reason:
        assert re.fullmatch("([A-Z][a-z]+)+", reason.value)
        assert reason.value == reason.name.replace("_", " ").title().replace(" ", "")


def test_each_reason_is_explained_to_operators() -> None:
    """The table of the codes has all of them and no other."""
    text = (Path(__file__).parents[3] / "docs/operations.md").read_text()
    table = text.partition("## Problem codes")[2].partition("\n## ")[0]
    names = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `")))
    assert sorted(Reason) == sorted(names)
