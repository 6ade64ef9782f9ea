"""What a run writes into the page."""

import shlex

import pytest

from conformance.page import command, with_section

PAGE = "# Conformance\n\nText.\n\n## Results\n\n### `one`\n\nold\n\n| a |\n\n### `other`\n\nstays\n"


def test_a_run_replaces_its_own_results_only() -> None:
    """Those of other commands, which may take hours, stay as they are and where they are."""
    new = with_section(PAGE, "one", ["new", "", "| b |"])
    assert PAGE.replace("old\n\n| a |", "new\n\n| b |") == new
    assert PAGE == with_section(new, "one", ["old", "", "| a |"])


def test_the_first_run_of_a_command_comes_after_the_others() -> None:
    """So a section moves only if it is taken away by hand."""
    assert f"{PAGE}\n### `third`\n\nnew\n" == with_section(PAGE, "third", ["new"])
    assert "# Conformance\n## Results\n\n### `one`\n\nnew\n" == with_section("# Conformance\n", "one", ["new"])


@pytest.mark.parametrize(
    ("options", "typed"),
    [
        ([], "make conformance"),
        (["--config", "dual-v6"], "make conformance ARGS='--config dual-v6'"),
        (["--focus", r"\[sig-network\] Netpol"], r"""make conformance ARGS='--focus "\[sig-network\] Netpol"'"""),
    ],
)
def test_a_command_can_be_typed_as_it_stands(options: list[str], typed: str) -> None:
    """A shell and make take out of it what was chosen."""
    assert typed == command(options)


@pytest.mark.parametrize("focus", [r"\[sig-network\] Netpol|a b", "it's", '"$x`'])
def test_a_shell_understands_every_command(focus: str) -> None:
    """Make puts what follows ARGS= into a line that a second shell reads."""
    (_, _, arguments) = shlex.split(command(["--focus", focus]))
    assert ["--focus", focus] == shlex.split(arguments.removeprefix("ARGS="))
