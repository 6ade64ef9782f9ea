"""Changes of a clusterset's file by a program: people's comments stay, and a change that might be wrong is not made."""

import textwrap
from ipaddress import ip_network

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lab import members
from slash80.errors import InvalidConfig
from slash80.settings import clusterset, clusterset_text
from slash80.settings.clusterset import Member, in_base64

WHERE = "clusterset.yaml"
ONE, TWO = members.member(1), members.member(2)


def file(entry: str) -> str:
    """Return a file with an entry."""
    return f"name: shop\nmembers:\n{entry}"


def block(member: Member, *, dash: str = "", comment: str = "") -> str:
    """Return an entry as people write one: lists without brackets, a comment on each line, and one below."""
    lists = {
        "prefixes": map(str, member.prefixes),
        "certificates": map(in_base64, member.certificates),
        "at": (f'"{one}"' for one in member.at),
        "namespaces": ("'*'",),
    }
    lines = [f"- id: {member.id} # its name", *(f"  {line}" for key in lists for line in _listed(key, lists[key]))]
    lines += [f"  since: {member.since}", *([f"  # {comment}"] if comment else [])]
    return "".join(f"{dash}{line}\n" for line in lines)


def _listed(key: str, values: object) -> list[str]:
    return [f"{key}:", *(f"- {one} # why" for one in values)]  # type: ignore[attr-defined]


def test_a_new_file_says_what_it_is() -> None:
    """A file with its first member begins with a comment for people."""
    text = clusterset_text.begun("shop", ONE, WHERE)

    assert text.startswith("# Which clusters belong together")
    assert ("shop", (ONE,)) == (clusterset.parse(text).name, clusterset.parse(text).members)


@pytest.mark.parametrize(
    "text",
    [
        file(clusterset.entry(ONE)),
        file(clusterset.entry(ONE)).removesuffix("\n"),
        file(clusterset.entry(ONE)) + "\n# the end\n\n",
        file(block(ONE)),
        file(block(ONE, dash="    ", comment="decided on Monday")),
        file(block(ONE, dash="  ")).replace("members:", "members:  # of us\n  # one"),
        "members:\n" + clusterset.entry(ONE) + "# and its name\nname: shop\n",
        "---\n" + file(clusterset.entry(ONE)),
    ],
)
def test_a_member_comes_behind_the_others(text: str) -> None:
    """The new entry is the last, and every line that was there is still there, in its order."""
    after = clusterset_text.extended(text, TWO, WHERE)

    assert (ONE, TWO) == clusterset.parse(after).members
    rest = iter(after.splitlines())
    assert all(line in rest for line in text.splitlines())


def test_a_comment_below_an_entry_stays_with_it() -> None:
    """What is written deeper than the dashes is about the entry above, so the new one comes after it."""
    text = file(block(ONE, dash="  ", comment="decided on Monday")) + "# the end\n"
    after = clusterset_text.extended(text, TWO, WHERE)

    assert after.index("decided on Monday") < after.index("c2") < after.index("# the end")


@pytest.mark.parametrize("text", [file(clusterset.entry(ONE)), file(block(ONE)), file(block(ONE, dash="   "))])
@pytest.mark.parametrize(
    ("key", "values", "more"),
    [
        (
            "prefixes",
            ["2001:db8:99::/48", "2001:db8:98::/48"],
            (ip_network("2001:db8:99::/48"), ip_network("2001:db8:98::/48")),
        ),
        ("certificates", [in_base64(members.certificate(9))], (members.certificate(9),)),
    ],
)
def test_a_list_of_a_member_gets_more_values(text: str, key: str, values: list[str], more: tuple[object, ...]) -> None:
    """They come behind those that are there, with brackets or without, and other keys stay as they are."""
    both = clusterset_text.extended(text, TWO, WHERE)
    after = clusterset_text.with_values(both, "c1", key=key, values=values, where=WHERE)
    changed, same = clusterset.parse(after).members

    assert same == TWO
    assert changed.model_copy(update={key: getattr(ONE, key)}) == ONE
    assert getattr(changed, key) == (*getattr(ONE, key), *more)
    assert len(both) < len(after)
    assert both.count("#") == after.count("#")


def test_members_in_brackets_are_refused() -> None:
    """Such a file is left to people, who read how entries are to be written."""
    text = "name: shop\nmembers: [" + "{" + ", ".join(textwrap.dedent(clusterset.entry(ONE)[2:]).split("\n  "))
    with pytest.raises(InvalidConfig, match="has its members in brackets; write each of them as an entry"):
        clusterset_text.extended(text.strip() + "}]\n", TWO, WHERE)


def test_a_member_that_cannot_be_is_refused_by_the_whole_file() -> None:
    """A prefix that another member has is named, with both members."""
    with pytest.raises(InvalidConfig, match=r"'c1' has the prefix .* and member 'c3' .*, which overlap"):
        clusterset_text.extended(file(clusterset.entry(ONE)), members.member(3, prefixes=["2001:db8:1::/56"]), WHERE)


@given(st.lists(st.sampled_from(["\n", "# note\n", "   # deep\n", "\t\n", " \n"]), max_size=4), st.integers(0, 5))
def test_blank_lines_and_comments_never_break_a_file(noise: list[str], dash: int) -> None:
    """Wherever they are, the file says the same afterwards, or is refused by a sentence, and all of them are there."""
    text = file(block(ONE, dash=" " * dash)) + "".join(noise)
    try:
        clusterset.parse(text)
    except InvalidConfig:
        assume(False)  # noqa: FBT003 -- hypothesis' own
    after = clusterset_text.extended(text, TWO, WHERE)

    assert (ONE, TWO) == clusterset.parse(after).members
    assert text.count("#") == after.count("#")
