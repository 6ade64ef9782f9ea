"""The tests that are run on every kernel are there: one that is renamed would run on none."""

import ast
from pathlib import Path

import pytest

from kernels.stories import STORIES

NETNS = Path(__file__).parents[1] / "netns"


@pytest.mark.parametrize("story", STORIES)
def test_a_story_is_a_test_of_the_netns_tier(story: str) -> None:
    """Its file has a test of that name."""
    name, _, test = story.partition("::")
    parsed = ast.parse((NETNS / name).read_text(encoding="utf-8"))
    assert test in {one.name for one in parsed.body if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize("name", sorted({story.partition("::")[0] for story in STORIES}))
def test_a_story_needs_nothing_of_other_tiers(name: str) -> None:
    """The machine of an older kernel has the netns tier and the laboratory, and no other tests."""
    parsed = ast.parse((NETNS / name).read_text(encoding="utf-8"))
    modules = {one.module or "" for one in ast.walk(parsed) if isinstance(one, ast.ImportFrom)}
    assert set() == {one for one in modules if one.partition(".")[0] in {"unit", "bench", "cluster", "runtime"}}
