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
