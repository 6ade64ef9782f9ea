"""Chain `link_local`: addresses of a pod's own choice."""

import pytest

from unit.firewall.chains.packets import CLOSED, Table, outbound


@pytest.mark.parametrize(("within_rate", "expected"), [(True, "accept"), (False, "drop")])
def test_new_link_local_senders_are_limited(within_rate: bool, expected: str) -> None:  # noqa: FBT001 -- a value of the table
    """Neither the sets of pods nor the route know which of them are the pod's."""
    packet = outbound(6, source="fe80::7", l4proto=58, icmp="nd-neighbor-solicit", within_rate=within_rate)

    assert Table(CLOSED).verdict("source", packet) == expected
