"""How many addresses are in which state."""

from ipaddress import ip_network
from pathlib import Path

from slash80.addressing.family import IPV4, IPV6
from slash80.addressing.pool import Pool
from slash80.host.address_counts import AddressCounts, counted
from unit.agent.reconcilers.fakes import V4, V6, FakeHost
from unit.builders import attachment
from unit.kernels import Kernel

POOLS = [Pool(IPV4, (ip_network(V4),)), Pool(IPV6, (ip_network(V6),))]


def test_addresses_go_from_allocated_over_dying_and_cooling_to_free(tmp_path: Path) -> None:
    """Each is counted in one state, so that the sum is what the prefixes have."""
    host, total = FakeHost(tmp_path, Kernel({})), 254
    store = host.store
    one, two = (attachment(number) for number in (1, 2))
    assert AddressCounts(IPV4, total, 0, 0, 0) == counted(host, POOLS)[0][0]
    store.keep(one)
    store.keep(two)
    store.mark_terminating(two.host_ifname)
    counts, early = counted(host, POOLS)
    assert AddressCounts(IPV4, total - 2, 1, 0, 1) == counts[0]
    assert (1, 0, 1, 0) == (counts[1].allocated, counts[1].cooling, counts[1].dying, early)
    store.release(two.host_ifname)
    assert AddressCounts(IPV4, total - 2, 1, 1, 0) == counted(host, POOLS)[0][0]
    store.close()
