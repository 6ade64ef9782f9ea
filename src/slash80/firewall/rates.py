"""Rates that are counted for each key: a pod's link, a source, an address.

They are `meter` statements and not named sets: a listing has the statement without its elements. nft 0.9.8 crashes when
it loads elements with a limit again, and so cannot load the node's whole saved rule set.
"""

from __future__ import annotations

from slash80.addressing.family import Family
from slash80.firewall.records import word

# Keys that are counted at once; what comes when they are all taken is limited by no rate. The kernel allocates 16 bytes
# for each when the table is installed (rhashtable_init).
PODS_KEYS, OTHER_KEYS = 4096, 65536


def over(meter: str, key: str, *, rate: int, burst: int, keys: int = OTHER_KEYS) -> str:
    """Return the words that match what is beyond the rate of its key.

    A key is forgotten when it may have its whole burst again, so that those of the past take no room.
    """
    kept = -(-burst // rate)
    return f"meter {meter} size {keys} {{ {key} timeout {kept}s limit rate over {rate}/second burst {burst} packets }}"


def by_source(family: Family) -> str:
    """Return the key of a host outside: in IPv6 its /64, since a host that has one address there has all of them."""
    return f"{word(family)} saddr" + (" and ffff:ffff:ffff:ffff::" if family.version == 6 else "")
