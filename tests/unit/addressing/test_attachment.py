"""An attachment's names, and the alias that tells who a link belongs to."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.addressing.attachment import Assignment, Key, alias_of, lock_number_of, read_alias
from unit.builders import attachment

NAMES = st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9_.\-]*", fullmatch=True)
IFNAMES = st.binary(min_size=1, max_size=15).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
KEYS = st.builds(Key, NAMES, IFNAMES)


def test_the_name_of_a_host_end_is_an_example_of_the_rule() -> None:
    r"""A shell agrees: printf 'c0ffee\0eth0' | sha256sum | cut -c1-64 | xxd -r -p | base32, lower case."""
    assert "s80ycshntvyszlu" == Key("c0ffee", "eth0").host_ifname


@given(KEYS)
def test_the_name_of_a_host_end_follows_from_its_key(key: Key) -> None:
    """It is `s80` and the first 12 characters of the lower-case base32 of SHA-256(containerID NUL ifname)."""
    raw = key.container_id.encode() + b"\0" + key.ifname.encode("utf-8", "surrogateescape")
    digest = base64.b32encode(hashlib.sha256(raw).digest()).decode().lower()

    assert ("s80" + digest[:12], 15) == (key.host_ifname, len(key.host_ifname))


@given(KEYS)
def test_the_lock_is_found_from_the_name_alone(key: Key) -> None:
    """A link whose owner is not recorded has a lock still: the first byte of the hash."""
    raw = key.container_id.encode() + b"\0" + key.ifname.encode("utf-8", "surrogateescape")

    assert int.from_bytes(hashlib.sha256(raw).digest()[:7], "big") == lock_number_of(key.host_ifname)


@given(KEYS)
def test_the_mac_of_a_host_end_is_fixed(key: Key) -> None:
    """It is a local unicast one and the same every time, since pods keep it as their gateway's."""
    assert (True, key.host_mac) == (key.host_mac.addresses_ready, Key(key.container_id, key.ifname).host_mac)


@given(KEYS, NAMES)
def test_an_alias_fits_into_the_kernel(key: Key, network: str) -> None:
    """However long ID and network are, it has at most 255 bytes of ASCII, and is read back as what it was made of."""
    alias = alias_of(key, network)
    found = read_alias(alias)

    assert (True, True) == (len(alias.encode("ascii")) <= 255, found is not None)
    assert found is not None
    assert found[0].ifname == key.ifname
    assert attachment(network=found[1]).same_network(network)


def test_a_short_alias_says_all_in_plain_words() -> None:
    """People read it in `ip link`; its form is what the interface documents."""
    alias = alias_of(Key("c0ffee", "eth0"), "net")

    assert '{"v":1,"net":"net","id":"c0ffee","ifname":"eth0"}' == alias
    assert (Key("c0ffee", "eth0"), "net") == read_alias(alias)


@pytest.mark.parametrize("length", [64, 212, 213, 4096])
def test_a_long_id_is_hashed_in_the_alias(length: int) -> None:
    """A name that fits stays; one that does not is told apart from others still."""
    aliases = {alias_of(Key(digit * length, "eth0"), "net") for digit in "ab"}

    assert 2 == len(aliases)
    assert [length > 212] * 2 == ["sha256:" in alias for alias in aliases]


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "5", "[]", "{}", "null", '{"v":1}', '{"v":2,"net":"n","id":"i","ifname":"e"}'),
        *('{"v":1,"net":5,"id":"i","ifname":"e"}', '"' * 255, "[" * 100_000),
    ],
)
def test_an_alias_of_others_is_not_read(text: str) -> None:
    """Anybody may write an alias; what is not ours is None."""
    assert read_alias(text) is None


@pytest.mark.parametrize(("name", "same"), [("net", True), ("other", False), ("", False)])
def test_a_network_is_recognised(name: str, same: bool) -> None:  # noqa: FBT001
    """By its name, which the record may hold as it is."""
    assert same == attachment(network="net").same_network(name)


def test_an_assignment_gives_the_addresses_that_it_has() -> None:
    """A family that was not given is left out."""
    both = attachment().assignment

    assert (both.ipv4, both.ipv6) == both.addresses
    assert () == Assignment(None, None, None).addresses


def test_a_key_names_itself_in_messages() -> None:
    """People look for container and interface."""
    assert "interface eth0 of container c0ffee" == str(Key("c0ffee", "eth0"))
