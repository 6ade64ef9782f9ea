"""Rules that drop packets, each with a reason that is read back from the kernel."""

import pytest

from slash80.addressing.family import IPV6
from slash80.firewall.drops import dropped


def test_a_drop_of_both_families_is_counted_for_each() -> None:
    """One family's attack must not hide in the other's numbers."""
    assert [
        'meta nfproto ipv4 udp dport 68 counter drop comment "control ipv4"',
        'meta nfproto ipv6 udp dport 68 counter drop comment "control ipv6"',
    ] == list(dropped("control", "udp dport 68"))


def test_words_of_one_family_make_one_rule() -> None:
    """What `ip6 saddr` matches needs no second question for the family."""
    assert ['ip6 saddr @own6 counter drop comment "forged ipv6"'] == list(
        dropped("forged", "ip6 saddr @own6", family=IPV6)
    )


def test_a_reason_without_words_for_people_is_refused() -> None:
    """`slash80 firewall show` would have nothing to say about it."""
    with pytest.raises(AssertionError, match="'whim' has no words"):
        list(dropped("whim"))
