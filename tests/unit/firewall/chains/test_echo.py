"""Which echo requests from outside reach a pod, for each value of `firewall.echo`."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from unit.firewall.chains.packets import CLOSED, TRUSTED, Table, inbound

TRUSTING = replace(CLOSED, trusted=tuple(map(ip_network, TRUSTED.values())))
VERSIONS = pytest.mark.parametrize("version", [4, 6])


def ping(version: int, mode: str, **packet: object) -> str:
    """Return what happens to an echo request in this mode."""
    return Table(replace(TRUSTING, echo=mode)).verdict("edge", inbound(version, icmp="echo-request", **packet))


@VERSIONS
@pytest.mark.parametrize(
    ("mode", "within", "beyond"), [("open", "accept", "accept"), ("limit", "accept", "drop"), ("drop", "drop", "drop")]
)
def test_a_strangers_ping_is_accepted_as_the_mode_says(version: int, mode: str, within: str, beyond: str) -> None:
    """With `limit` a source that sends more than its rate is dropped; `open` counts nothing, `drop` accepts none."""
    assert (within, beyond) == (ping(version, mode), ping(version, mode, within_rate=False))


@VERSIONS
@pytest.mark.parametrize("mode", ["open", "limit", "drop"])
def test_every_ping_of_a_series_is_judged(version: int, mode: str) -> None:
    """All but the first belong to an established connection, and would pass without limit otherwise."""
    assert ping(version, mode) == ping(version, mode, state="established")
    assert ping(version, mode, within_rate=False) == ping(version, mode, within_rate=False, state="established")


@VERSIONS
@pytest.mark.parametrize("mode", ["open", "limit", "drop"])
def test_a_trusted_source_may_ping_without_limit_in_every_mode(version: int, mode: str) -> None:
    """Where another cluster's pods may open connections, they may send echo requests as well."""
    assert ping(version, mode, source=TRUSTED[version], within_rate=False) == "accept"


@VERSIONS
def test_all_strangers_together_have_a_rate(version: int) -> None:
    """It is what is left when forged sources have used up the meters; who is beyond its own rate does not use it."""
    assert ping(version, "limit", within_total=False) == "drop"


@pytest.mark.parametrize("rate", [1, 10, 5000])
def test_the_rate_and_its_burst_are_the_setting(rate: int) -> None:
    """A source may send `echoRate` requests a second and no more at once, in both families; all have 1000 times it."""
    limits = [rule for rule in Table(replace(CLOSED, echo_rate=rate)).rules if "limit rate" in rule and "echo" in rule]
    total = f"limit rate {1000 * rate}/second burst {1000 * rate} packets accept"

    assert 2 == len(limits)
    assert all(f" limit rate over {rate}/second burst {rate} packets " in rule for rule in limits)
    assert total in Table(replace(CLOSED, echo_rate=rate)).rules


def test_ipv6_sources_are_counted_by_their_64() -> None:
    """A host that owns one address of a /64 owns all of them, and would have a rate for each."""
    (rule,) = [rule for rule in Table(CLOSED).rules if "meter echo6" in rule]

    assert "{ ip6 saddr and ffff:ffff:ffff:ffff:: timeout" in rule


@pytest.mark.parametrize("version", [4, 6])
def test_sources_are_forgotten_as_soon_as_they_may_send_again(version: int) -> None:
    """A flood of forged sources takes a bounded amount of memory, and for a second only."""
    (rule,) = [rule for rule in Table(CLOSED).rules if f"meter echo{version}" in rule]

    assert "size 65536 {" in rule
    assert " timeout 1s " in rule
