"""What docs/clusters.md tells people to type is what the program takes."""

import re
import shlex
from pathlib import Path

import pytest

from slash80.cli import commands

PAGE = Path(__file__).parents[4] / "docs/clusters.md"
LINES = [
    command
    for block in re.findall(r"^    \S.*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    for command in re.split(r"&&|;", block)
    if command.strip().startswith("slash80 ")
]


@pytest.mark.parametrize("line", LINES)
def test_each_command_of_the_page_is_one(line: str) -> None:
    """Names and options are those of the command line, and each command is for some clusters."""
    _, *arguments = shlex.split(line)

    assert commands._parser().parse_args(arguments).contexts


def test_the_page_has_every_command() -> None:
    """People find all five there."""
    assert {"add", "apply", "dns", "leave", "status"} == {shlex.split(line)[2] for line in LINES}
