"""How the lower part of an IPv6 comes about."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing import suffix
from slash80.addressing.attachment import Key
from slash80.addressing.mac import Mac

KEY, SECRET = Key("c0ffee", "eth0"), bytes(range(16))


def test_ipv4_is_embedded_readably_in_the_suffix() -> None:
    """10.244.1.5 becomes the MAC 02:80:0a:f4:01:05, and the IPv6 address ends with it."""
    mac = suffix.embedded(IPv4Address("10.244.1.5"))

    assert "02:80:0a:f4:01:05" == str(mac)
    assert IPv6Address("2001:db8:0:1:1:280:af4:105") == suffix.address_of(IPv6Network("2001:db8:0:1:1::/80"), mac)


@given(st.ip_addresses(v=4), st.integers(64, 96))
def test_embedded_ipv4_is_read_back(ipv4: IPv4Address, length: int) -> None:
    """The embedded IPv4 is read back from an address in every prefix that has room for it."""
    prefix = IPv6Network(f"2001:db8::/{length}")

    assert ipv4 == suffix.embedded_ipv4(suffix.address_of(prefix, suffix.embedded(ipv4)), prefix)


def test_suffix_of_another_mode_has_no_ipv4() -> None:
    """An IPv4 that was not embedded is not read from an address."""
    prefix = IPv6Network("2001:db8::/80")

    assert suffix.embedded_ipv4(suffix.address_of(prefix, Mac.local(5)), prefix) is None


@given(st.integers(0, 2**48 - 1), st.integers(64, 120))
def test_suffix_stays_inside_its_prefix(bits: int, length: int) -> None:
    """A prefix longer than /80 uses only the lower bits of the suffix."""
    prefix = IPv6Network(f"2001:db8::/{length}")
    address = suffix.address_of(prefix, Mac(bits))

    assert (True, bits & int(prefix.hostmask)) == (address in prefix, int(address) & int(prefix.hostmask))


def test_unique_suffix_depends_on_all_its_inputs() -> None:
    """Secret, container, interface, time and attempt each change the suffix; the same inputs repeat it."""
    macs = [
        suffix.unique(SECRET, KEY, boottime_ns=1, attempt=0),
        suffix.unique(b"another", KEY, boottime_ns=1, attempt=0),
        suffix.unique(SECRET, Key("c0ffef", "eth0"), boottime_ns=1, attempt=0),
        suffix.unique(SECRET, Key("c0ffee", "eth1"), boottime_ns=1, attempt=0),
        suffix.unique(SECRET, KEY, boottime_ns=2, attempt=0),
        suffix.unique(SECRET, KEY, boottime_ns=1, attempt=1),
    ]

    assert 6 == len(set(macs))
    assert macs[0] == suffix.unique(SECRET, KEY, boottime_ns=1, attempt=0)


def test_hashed_suffix_depends_on_secret_and_ipv4() -> None:
    """The IPv6 of an IPv4 cannot be found without the secret."""
    ipv4 = IPv4Address("10.80.1.5")
    macs = [
        suffix.of_ipv4(SECRET, ipv4, 0),
        suffix.of_ipv4(b"another", ipv4, 0),
        suffix.of_ipv4(SECRET, ipv4 + 1, 0),
        suffix.of_ipv4(SECRET, ipv4, 1),
    ]

    assert 4 == len(set(macs))


@pytest.mark.parametrize("ifname", ["eth0", "\udcff" * 15])
def test_interface_name_that_is_not_utf8_can_be_hashed(ifname: str) -> None:
    """An environment may hold bytes that are not UTF-8, and the suffix is still computed."""
    assert suffix.unique(SECRET, Key("c0ffee", ifname), boottime_ns=1, attempt=0).is_usable
