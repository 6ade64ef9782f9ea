"""The check of the documents' references: what it must find, and what it must leave alone."""

from pathlib import Path

import pytest

from checks.links import anchors, broken

README = "# Project\n\n[the manual](docs/manual.md#first-steps)\n"
MANUAL = "# Manual\n\n## First steps\n"


def tree(root: Path, **files: str) -> list[str]:
    """Write a project of a README, a manual and these files, and return their names; `a__b` stands for `a/b.md`."""
    texts = {"README": README, "docs__manual": MANUAL} | files
    names = {name.replace("__", "/") + ("" if "." in name else ".md"): text for name, text in texts.items()}
    for name, text in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return list(names)


def test_links_to_files_and_headings_that_exist_pass(tmp_path: Path) -> None:
    """A tree whose links all lead somewhere has no problems."""
    assert [] == broken(tmp_path, tree(tmp_path))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("[gone](docs/gone.md)", "the link docs/gone.md leads to no file"),
        ("[a text on\ntwo lines](docs/gone.md)", "the link docs/gone.md leads to no file"),
        ("![picture](docs/gone.svg)", "the link docs/gone.svg leads to no file"),
        ("[out](../elsewhere)", "the link ../elsewhere leads to no file"),
        (
            "[step](docs/manual.md#second-steps)",
            "the link docs/manual.md#second-steps names no heading of docs/manual.md",
        ),
        ("[top](#nowhere)", "the link #nowhere names no heading of README.md"),
        ("see `src/gone.py`", "src/gone.py is not in the tree"),
        ("see docs/gone.md", "docs/gone.md is not in the tree"),
        ("    kubectl apply -k manifests/gone", "manifests/gone is not in the tree"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(tmp_path: Path, line: str, problem: str) -> None:
    """Each kind of broken reference is reported with file, line and target."""
    assert f"README.md:4: {problem}" in broken(tmp_path, tree(tmp_path, README=README + line + "\n"))


@pytest.mark.parametrize(
    "line",
    ["[spec](https://example.org/gone.md)", "`[not](a-link.md)`", "```\n[not](a-link.md)\n```", "`tests/` `docs`"],
)
def test_what_is_not_a_reference_of_the_tree_is_left_alone(tmp_path: Path, line: str) -> None:
    """Links to other sites, code and fenced blocks are not looked up."""
    files = tree(tmp_path, README=README + line + "\n")

    assert [] == broken(tmp_path, files)


def test_a_source_that_names_a_missing_document_is_reported(tmp_path: Path) -> None:
    """A comment keeps naming a document after it was moved."""
    files = tree(tmp_path, **{"tool.py": "# see docs/manual.md\n# see docs/old.md\n"})

    assert ["tool.py:2: docs/old.md is not in the tree"] == broken(tmp_path, files)


def test_a_page_without_a_link_to_it_is_reported(tmp_path: Path) -> None:
    """Every document can be reached from the README."""
    assert ["docs/lost.md:1: no link leads here from README.md"] == broken(
        tmp_path, tree(tmp_path, docs__lost="# Lost\n")
    )


def test_anchors_are_those_of_github() -> None:
    """Headings lose their punctuation and markup, and equal ones are numbered."""
    text = "# A [link](x.md)\n## `node.json`: who, what?\n## Same\n## Same\n```\n# comment\n```\n"

    assert {"a-link", "nodejson-who-what", "same", "same-1"} == anchors(text)
