"""The check of words: what it finds, where it looks, and what it leaves alone."""

import pytest

from checks import wording
from checks.wording import findings


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("The link is made anew.", "anew"),
        ("Whoever calls it waits.", "Whoever"),
        ("Mend the uplink.", "Mend"),
        ("An address that is none fails.", "is none"),
        ("This is no JSON parser.", "is no J"),
        ("It tells whether the pod runs.", "tells whether"),
        ("An ADD that nobody hears of.", "hears"),
    ],
)
def test_a_word_of_the_list_is_reported_with_its_place(sentence: str, word: str) -> None:
    """Each forbidden word is named with file, line and the word to write instead."""
    assert any(
        found.startswith(f"docs/a.md:2: {word!r}: write ") for found in findings("docs/a.md", f"#\n{sentence}\n")
    )


@pytest.mark.parametrize(
    "sentence",
    [
        "There is no overlay, and it is no longer needed.",
        "None of them is none of ours.",
        "An amendment, a commander and a nearby wisher.",
        "The key `anew` is code, and so is https://example.org/anew",
        "```\nanew\n```",
    ],
)
def test_other_words_and_code_are_left_alone(sentence: str) -> None:
    """Whole words count, and neither code nor addresses of pages are read."""
    assert [] == findings("docs/a.md", sentence)


@pytest.mark.parametrize(
    "source",
    [
        "x = 1  # made anew\n",
        '"""Made anew."""\n',
        'def f():\n    """Do it.\n\n    Made anew.\n    """\n',
        'raise Error("made anew")\n',
        'raise Error(f"{x} made anew")\n',
    ],
)
def test_comments_docstrings_and_messages_of_python_are_read(source: str) -> None:
    """A word is found wherever a person reads it."""
    assert 1 == len(findings("src/a.py", source))


def test_names_of_python_are_not_read() -> None:
    """Identifiers are not prose: `wish` may be a variable until it is renamed."""
    assert [] == findings("src/a.py", "wish = anew(mend)\n")


def test_comments_and_messages_of_c_are_read() -> None:
    """In C both kinds of comments and the strings count, with their lines."""
    source = '/* made\n anew */\nint anew; // anew\nchar *s = "anew";\n'

    assert ["2", "3", "4"] == [found.split(":")[1] for found in findings("cni/a.c", source)]


@pytest.mark.parametrize(
    "docstring", ["Give the MTU.", "Gives the MTU.", "Tell whether it runs.", "Say where it is.", "Know nothing."]
)
def test_a_docstring_begins_with_what_it_returns(docstring: str) -> None:
    """The imperative of a function that returns something is Return or Report."""
    assert findings("src/a.py", f'def f():\n    """{docstring}"""\n')
    assert [] == findings("src/a.py", f'x = "{docstring.replace("Tell whether", "Tell")}"\n')


def test_the_docstring_of_a_test_may_begin_as_it_likes() -> None:
    """A test's docstring states a fact, whose first word may be anything that is not on the list."""
    assert [] == findings("tests/test_a.py", 'def test_f():\n    """Give and take are equal."""\n')


def test_rooms_are_exempt_as_a_whole() -> None:
    """A room in the table covers the files in it, and no other file whose name begins the same way."""
    assert all(wording.is_exempt(f"{room}/a.py") and wording.is_exempt(room) for room in wording.EXEMPT)
    assert not any(wording.is_exempt(f"{room}2/a.py") for room in wording.EXEMPT)
