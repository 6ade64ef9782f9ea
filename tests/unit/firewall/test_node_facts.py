"""What the table says of the node: as nft's words, and read back from the kernel's listing."""

from ipaddress import ip_network

import pytest

from slash80.firewall.node_facts import NodeFacts, prefixes_of, removals

V6, V4 = ip_network("2001:db8:0:1:1::/80"), ip_network("10.80.1.0/24")


def test_facts_are_ordered_and_do_not_overlap() -> None:
    """An interval set refuses overlaps, and what is the same must compare equal."""
    facts = NodeFacts.of([V6, ip_network("2001:db8:0:1:1::7/128"), V4, V4], {("eth1", "eth0")})

    assert NodeFacts((V4, V6), frozenset({("eth1", "eth0")})) == facts


def test_facts_are_written_in_nfts_words() -> None:
    """Each set is emptied before, and so is the chain; a family without prefixes gets no elements."""
    facts = NodeFacts.of([V6], {("eth1", "eth0")})

    assert [
        "add element inet slash80 own6 { 2001:db8:0:1:1::/80 }\n",
        'add rule inet slash80 multipath iifname "eth1" fib saddr oifname "eth0" accept comment "eth1 eth0"\n',
    ] == list(facts.additions())
    assert [
        "flush set inet slash80 own4\n",
        "flush set inet slash80 own6\n",
        "flush chain inet slash80 multipath\n",
    ] == list(removals())


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [(str(V6), True), ("2001:db8:0:1:1:8000::/81", True), ("2001:db8:0:1::/64", False), ("10.80.2.0/24", False)],
)
def test_a_prefix_is_held_by_what_contains_it(prefix: str, expected: bool) -> None:  # noqa: FBT001 -- a value of the table
    """By a wider one as well, which it was merged into."""
    assert expected == NodeFacts.of([V4, V6]).holds([ip_network(prefix)])


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ([], []),
        ([(bytes(4), True), (b"\x0a\x50\1\0", False), (b"\x0a\x50\2\0", True)], ["10.80.1.0/24"]),
        (
            [(b"\x0a\x50\3\0", True), (b"\x0a\x50\2\0", False), (b"\x0a\x50\2\0", True), (b"\x0a\x50\1\0", False)],
            ["10.80.1.0/24", "10.80.2.0/24"],
        ),
        ([(b"\xff\xff\xff\0", False)], ["255.255.255.0/24"]),
    ],
)
def test_an_interval_set_is_read_back(bounds: list[tuple[bytes, bool]], expected: list[str]) -> None:
    """From the bounds in whatever order: nft begins a set with an end at zero, and may leave out the last one."""
    assert list(map(ip_network, expected)) == list(prefixes_of(bounds))
