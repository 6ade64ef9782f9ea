"""The Corefile gets two words and a line, or is left alone; what else is in it stays as it is."""

from collections.abc import Iterator
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.cli.clusterset.corefile import reloads, with_zone
from slash80.errors import Failure

KUBEADM = """\
.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
"""
SHORT = ".:53 {\n    kubernetes cluster.local\n}\n"


def test_what_kubeadm_writes_gets_a_zone_and_an_option() -> None:
    """The first zone is followed by ours, the block begins with the option, and that is all."""
    expected = KUBEADM.replace("cluster.local in-addr", "cluster.local clusterset.local in-addr", 1)
    expected = expected.replace("       pods insecure", "       multicluster clusterset.local\n       pods insecure")

    assert expected == with_zone(KUBEADM)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kubernetes cluster.local", "kubernetes cluster.local clusterset.local {\n        OPTION\n    }"),
        ("kubernetes cluster.local # x", "kubernetes cluster.local clusterset.local {\n        OPTION\n    } # x"),
        ("kubernetes a.b {\n    }", "kubernetes a.b clusterset.local {\n        OPTION\n    }"),
        ("kubernetes a.b {\n    # x\n    }", "kubernetes a.b clusterset.local {\n        OPTION\n    # x\n    }"),
        (
            "kubernetes a Clusterset.Local. {\n\tttl 1\n    }",
            "kubernetes a Clusterset.Local. {\n\tOPTION\n\tttl 1\n    }",
        ),
        ("kubernetes a {\n\tOPTION\n    }", "kubernetes a clusterset.local {\n\tOPTION\n    }"),
        (
            "kubernetes a {\n\tmulticluster b\n    }",
            "kubernetes a clusterset.local {\n\tmulticluster b clusterset.local\n    }",
        ),
    ],
)
def test_each_way_of_writing_the_plugin(line: str, expected: str) -> None:
    """With and without a block, with a part of the change there already, and with comments."""
    option = "multicluster clusterset.local"
    before, after = (
        SHORT.replace("kubernetes cluster.local", one.replace("OPTION", option)) for one in (line, expected)
    )

    assert after == with_zone(before)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not have the plugin kubernetes"),
        (".:53 {\n    forward . /etc/resolv.conf\n}\n", "does not have the plugin kubernetes"),
        (SHORT.replace(".:53", "cluster.local:53"), "does not have the plugin kubernetes"),
        (SHORT.replace(".:53", "tls://."), "does not have the plugin kubernetes"),
        (SHORT.replace(".:53", "(snippet)"), "does not have the plugin kubernetes"),
        (SHORT + "clusterset.local:53 {\n    forward . 10.0.0.1\n}\n", "does not have the plugin kubernetes"),
        (SHORT + SHORT.replace(".:53", ".:5353"), "has the plugin kubernetes 2 times"),
        (SHORT.replace(" cluster.local", ""), "line 2 of CoreDNS's Corefile names no zones"),
        (SHORT.replace("cluster.local", "a {\n  b {\n  c\n  }\n }"), "has a block within that of the plugin"),
        ("kubernetes cluster.local\n", "line 1 of CoreDNS's Corefile is not the beginning of a server block"),
        (".:53 {\n", "opens a block that is not closed"),
        ("}\n", "closes a block that is not open"),
        (".:53 { kubernetes cluster.local\n}\n", "has a brace in the middle"),
        (SHORT.replace("cluster.local", "cluster.local#x y"), "has a # within a word"),
        (SHORT.replace("cluster.local", 'cluster.local "x'), "has '\"'"),
        (SHORT.replace("cluster.local", '"x"y'), "has no space behind a quoted word"),
        (SHORT.replace("cluster.local", "clust\u00e9r.local"), "clust"),
        (SHORT.replace("cluster.local", "a\x00b"), "a\\x00b"),
        (SHORT.replace("cluster.local", "a\rb"), "has '\\r' between words"),
        (SHORT.replace("cluster.local", "a\x1cb"), "has '\\x1c' between words"),
    ],
)
def test_what_is_unusual_is_left_to_people(text: str, reason: str) -> None:
    """The sentence says what is unusual and what to write by hand."""
    with pytest.raises(Failure) as caught:
        with_zone(text)

    assert reason in caught.value.msg
    assert "the line 'multicluster clusterset.local'" in caught.value.msg


def test_whether_it_reloads_is_seen() -> None:
    """Without the plugin reload CoreDNS has to be restarted."""
    assert reloads(KUBEADM)
    assert not reloads(SHORT)


WORDS = st.from_regex(r"[a-z0-9./:-]{1,8}", fullmatch=True).filter(lambda word: word not in {"kubernetes", "import"})
SPACE = st.sampled_from(["", " ", "\t", "    "])
COMMENT = st.sampled_from(["", " # { } kubernetes", "\t#"])
BLANK = st.sampled_from(["", "\n", "  # kubernetes x {\n", "\n\n"])


@st.composite
def lines(draw: st.DrawFn, first: st.SearchStrategy[str], depth: int) -> str:
    """Draw a directive with its block."""
    words = [draw(first), *draw(st.lists(WORDS, min_size=1, max_size=3))]
    head = f"{draw(BLANK)}{draw(SPACE)}{' '.join(words)}"
    if depth == 0 or draw(st.booleans()):
        return f"{head}{draw(COMMENT)}\n"
    inner = draw(st.lists(lines(WORDS, depth - 1), max_size=3))
    return f"{head} {{{draw(COMMENT)}\n{''.join(inner)}{draw(SPACE)}}}{draw(COMMENT)}\n"


@st.composite
def corefiles(draw: st.DrawFn) -> str:
    """Draw a Corefile with the plugin once in the server block for all names, among other things."""
    some = st.lists(lines(WORDS, 2), max_size=3)
    before, after = draw(some), draw(some)
    body = "".join([*before, draw(lines(st.just("kubernetes"), 1)), *after])
    others = st.sampled_from(["", "example.org:53 {\n    kubernetes x\n}\n", "(s) {\n  a\n}\n", "import conf/*\n"])
    return f"{draw(others)}.:53 {{\n{body}}}\n{draw(others)}"


def words(text: str) -> Iterator[list[str]]:
    """Read the words of each line, in another way than the program does."""
    for line in text.splitlines():
        if found := line.split("#")[0].split():
            yield found


@given(corefiles())
def test_nothing_but_the_zone_and_the_option_changes(text: str) -> None:
    """Without the words that were put in, the text is what it was, to the byte."""
    after = with_zone(text)
    flat = [word for word in chain(*words(after)) if word not in {"clusterset.local", "multicluster"}]
    kept = iter(after)

    assert all(letter in kept for letter in text)  # in this order
    assert len(after) - len(text) < 120
    was = [*chain(*words(text))]
    assert flat == was or [*flat].count("{") == was.count("{") + 1  # the plugin had no block
    assert ["multicluster", "clusterset.local"] in words(after)
    assert any(line[0] == "kubernetes" and line[2:3] == ["clusterset.local"] for line in words(after))


@given(corefiles())
def test_twice_is_once(text: str) -> None:
    """What has been changed is not changed again."""
    assert with_zone(text) == with_zone(with_zone(text))


@given(st.text(alphabet='a.{}# \n"\\kubernetes:', max_size=60))
def test_any_text_is_changed_or_refused_by_a_sentence(text: str) -> None:
    """Nothing that people write makes it fail in another way, and a changed text stays as it is."""
    try:
        after = with_zone(text)
    except Failure as refusal:
        assert "by hand" in refusal.msg  # noqa: PT017 -- either way is right
    else:
        assert after == with_zone(after)
