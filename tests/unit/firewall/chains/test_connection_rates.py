"""Chains `opened` and `arrived`: who may open how many connections in a second."""

from dataclasses import replace
from ipaddress import ip_network

import pytest

from slash80.firewall.records import Settings
from unit.firewall.chains.packets import CLOSED, OTHER_POD, POD, POD_ADDRESS, TRUSTED, UPLINK, Table, inbound, outbound

TRUSTING = replace(CLOSED, trusted=tuple(map(ip_network, TRUSTED.values())))
VERSIONS = pytest.mark.parametrize("version", [4, 6])
MODES = pytest.mark.parametrize("settings", [TRUSTING, replace(TRUSTING, closed=False)], ids=["closed", "open"])


@VERSIONS
@pytest.mark.parametrize(("iif", "expected"), [(POD, "drop"), (UPLINK, "accept"), ("lo", "accept")])
def test_a_pod_opens_so_many_connections(version: int, iif: str, expected: str) -> None:
    """Wherever they lead, to its own node too; nothing but pods is limited there."""
    table = Table(CLOSED)

    assert "accept" == table.verdict("opened", outbound(version, iif=iif))
    assert expected == table.verdict("opened", outbound(version, iif=iif, within_rate=False))


@VERSIONS
@MODES
def test_a_stranger_opens_so_many_connections_to_pods(settings: Settings, version: int) -> None:
    """Trusted hosts are limited by their own nodes, what comes from other pods of this one where it leaves them."""
    table = Table(settings, own=[f"{POD_ADDRESS[version]}/32" if version == 4 else f"{POD_ADDRESS[6]}/128"])
    unlimited = [
        inbound(version, within_rate=False, **packet)
        for packet in (
            {"source": TRUSTED[version]},
            {"iif": OTHER_POD},
            {"oif": "eth1"},
            {"source": POD_ADDRESS[version], "iif": ""},
        )
    ]

    assert ["accept"] * 5 == [table.verdict("arrived", one) for one in (inbound(version), *unlimited)]
    assert "drop" == table.verdict("arrived", inbound(version, within_rate=False))


def test_both_are_asked_before_another_table_translates() -> None:
    """Of chains of type nat none is asked after one that has translated a connection."""
    table = Table(CLOSED)

    assert ("prerouting", -150, "accept") == table.hook("opened")
    assert ("postrouting", 50, "accept") == table.hook("arrived")


def test_four_seconds_worth_may_come_at_once() -> None:
    """A pod that begins its work opens many connections, and then fewer."""
    limits = [rule for rule in Table(replace(CLOSED, connection_rate=300)).rules if "goto too_many" in rule]

    assert 3 == len(limits)
    assert all(" timeout 4s limit rate over 300/second burst 1200 packets }" in rule for rule in limits)


def test_no_rate_means_no_chains() -> None:
    """With 0 connections are not counted at all."""
    assert not [rule for rule in Table(replace(CLOSED, connection_rate=0)).rules if "too_many" in rule]
