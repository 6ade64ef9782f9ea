"""Where prefixes come from."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from slash80.addressing.family import IPV4, IPV6, Prefix
from slash80.cluster.objects import NodeSeen
from slash80.errors import InvalidConfig
from slash80.prefixes import of_node
from slash80.prefixes.choice import Chosen, choose
from slash80.prefixes.static import Static

ONE, OTHER, OLD = ip_network("2001:db8:0:1:1::/80"), ip_network("2001:db8:0:2:1::/80"), ip_network("10.80.1.0/24")


def _broken() -> list[Prefix]:
    raise InvalidConfig("it is broken; mend it")


def test_for_each_family_the_first_that_answers() -> None:
    """IPv4 may come from the controller manager while IPv6 does not."""
    sources = {"static": lambda: [ONE], "annotation": list, "spec": lambda: [OTHER, OLD]}
    found, problems = choose(sources, ["annotation", "static", "spec"])

    assert {IPV6: Chosen("static", (ONE,)), IPV4: Chosen("spec", (OLD,))} == found
    assert [] == problems


def test_a_source_that_fails_leaves_the_answer_to_the_next() -> None:
    """It is told; what cannot be used is too."""
    short = ip_network("2001:db8::/56")
    found, problems = choose(
        {"static": _broken, "annotation": lambda: [short], "spec": lambda: [ONE]}, ["static", "annotation", "spec"]
    )

    assert {IPV6: Chosen("spec", (ONE,))} == found
    assert ["source static: it is broken; mend it"] == problems[:1]
    assert "2001:db8::/56 cannot be used" in problems[1]


def test_a_file_has_a_prefix_on_each_line(tmp_path: Path) -> None:
    """It is read anew each time; without it the flags stay."""
    static = Static([str(OLD)], tmp_path / "prefixes")
    assert [OLD] == static.prefixes()
    (tmp_path / "prefixes").write_text(f"# of this node\n\n{ONE} # routed\n{OTHER}\n")
    assert [OLD, ONE, OTHER] == static.prefixes()


@pytest.mark.parametrize("text", ["2001:db8::5/80", "host", "\xff"])
def test_a_line_that_is_no_prefix_is_named(tmp_path: Path, text: str) -> None:
    """With file and line."""
    (tmp_path / "prefixes").write_bytes(b"\n" + text.encode("latin-1"))
    with pytest.raises(InvalidConfig, match="prefixes"):
        Static((), tmp_path / "prefixes").prefixes()
    with pytest.raises(InvalidConfig, match="--prefix has"):
        Static((text,)).prefixes()


def test_what_a_node_says() -> None:
    """Its annotation and its spec; before it is known, nothing."""
    node = NodeSeen("a", "", (OLD, ONE), override=f'["{OTHER}"]')
    assert ([OTHER], [OLD, ONE]) == (of_node.annotation(node), of_node.spec(node))
    assert ([], []) == (of_node.annotation(None), of_node.spec(None))
    with pytest.raises(InvalidConfig, match=r"slash80\.io/prefix-override is '5'"):
        of_node.annotation(NodeSeen("a", "", override="5"))
