"""Which endpoints share a slice."""

from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.family import Address
from slash80.cluster.objects.endpointslice import Endpoint
from slash80.clusterset.placement import Part, placed

ADDRESSES = st.sets(st.ip_addresses(v=6), max_size=60)


def _of(addresses: set[Address], most: int = 10) -> dict[str, Part]:
    return {part.bits: part for part in placed([Endpoint(one) for one in addresses], most)}


@given(ADDRESSES)
def test_every_endpoint_is_in_one_slice_and_no_slice_is_too_large(addresses: set[Address]) -> None:
    """Nothing is lost, nothing is there twice, and none has more than it may."""
    parts = _of(addresses)

    assert sorted(addresses) == sorted(one.address for part in parts.values() for one in part.endpoints)
    assert all(0 < len(part.endpoints) <= 10 for part in parts.values())


@given(ADDRESSES, st.ip_addresses(v=6))
def test_one_endpoint_more_changes_one_slice_or_divides_it(addresses: set[Address], one: Address) -> None:
    """All other slices are as they were, whatever else is there."""
    before, after = _of(addresses - {one}), _of(addresses | {one})
    changed = {bits for bits in before.keys() | after.keys() if before.get(bits) != after.get(bits)}
    shortest = min(changed, key=len)

    assert all(bits.startswith(shortest) for bits in changed)
    assert len(changed & before.keys()) <= 1


@given(st.permutations(range(40)))
def test_the_order_of_endpoints_does_not_matter(numbers: list[int]) -> None:
    """Every process places the same endpoints alike."""
    found = placed([Endpoint(ip_address(f"2001:db8::{number:x}")) for number in numbers], 10)

    assert placed([Endpoint(ip_address(f"2001:db8::{number:x}")) for number in range(40)], 10) == found


def test_of_two_endpoints_with_one_address_the_ready_one_counts() -> None:
    """While a controller moves an endpoint from one slice to another, it is in both."""
    address = ip_address("2001:db8::1")
    stale = Endpoint(address, ready=False, serving=False)
    for both in ([stale, Endpoint(address)], [Endpoint(address), stale]):
        assert [Part("", (Endpoint(address),))] == placed(both)
