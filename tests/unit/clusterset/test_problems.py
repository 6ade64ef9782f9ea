"""The reasons that programs read."""

import re
from pathlib import Path

from slash80.clusterset.problems import Problem, Reason, documents, sentences


def test_each_reason_is_explained() -> None:
    """The table of the page has all of them and no other."""
    page = (Path(__file__).parents[3] / "docs/clusters.md").read_text(encoding="utf-8")
    table = page.partition("## What `status` says")[2].partition("\n## ")[0]
    names = re.findall(r"`(\w+)`", "".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `")))

    assert sorted(Reason) == sorted(names)


def test_a_problem_is_said_once() -> None:
    """Two parts may find the same; people have the sentence, and programs the rest too."""
    found = Problem(Reason.WATCH_FAILED, "/api/v1/services", "it is away")

    assert ["it is away"] == sentences([found, found])
    assert [{"reason": "WatchFailed", "subject": "/api/v1/services", "message": "it is away"}] == documents([found] * 2)
    assert "it is away" == str(found)
