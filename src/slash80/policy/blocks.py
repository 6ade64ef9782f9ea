"""Which addresses ipBlocks mean together: prefixes without their exceptions, as disjoint ranges.

netaddr does the arithmetic. It takes 20 ms to import: the first block loads it, and no process that answers calls does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import summarize_address_range

from slash80.addressing.family import Family, Prefix, family_of
from slash80.policy.model import Block
from slash80.policy.records import Range


def ranges(blocks: Iterable[Block], family: Family) -> tuple[Range, ...]:
    """Return the addresses of one family that any block has: sorted ranges that neither overlap nor adjoin.

    An exception is one of its own block only: another block may have the same address.
    """
    from netaddr import IPSet  # noqa: PLC0415 -- see above

    found = IPSet(part for block in blocks if family_of(block.prefix) is family for part in _parts(block, family))
    return tuple((family.address(one.first), family.address(one.last)) for one in found.iter_ipranges())


def prefix_of(span: Range) -> Prefix | None:
    """Return the prefix that a range is, or None if it takes more than one."""
    prefix, *others = summarize_address_range(*span)
    return None if others else prefix


def _parts(block: Block, family: Family) -> Iterator[str]:
    from netaddr import IPSet  # noqa: PLC0415 -- see above

    exceptions = [str(one) for one in block.exceptions if family_of(one) is family]
    if not exceptions:
        yield str(block.prefix)
        return
    yield from map(str, (IPSet([str(block.prefix)]) - IPSet(exceptions)).iter_cidrs())
