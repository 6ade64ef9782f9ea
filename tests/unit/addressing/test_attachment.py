"""An attachment's names, and the alias that identifies the owner of a link."""

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


def test_host_end_name_equals_that_of_a_shell() -> None:
    r"""The name is what a shell computes: printf "c0ffee\0eth0" | sha256sum, as bytes, in lower-case base32."""
    assert "s80ycshntvyszlu" == Key("c0ffee", "eth0").host_ifname


@given(KEYS)
def test_host_end_name_follows_from_container_and_interface(key: Key) -> None:
    """It is `s80` and the first 12 characters of the lower-case base32 of SHA-256(containerID NUL ifname)."""
    raw = key.container_id.encode() + b"\0" + key.ifname.encode("utf-8", "surrogateescape")
    digest = base64.b32encode(hashlib.sha256(raw).digest()).decode().lower()

    assert ("s80" + digest[:12], 15) == (key.host_ifname, len(key.host_ifname))


@given(KEYS)
def test_lock_of_an_unrecorded_link_follows_from_its_name(key: Key) -> None:
    """A link without a record still has a lock: the first byte of the hash in its name."""
    raw = key.container_id.encode() + b"\0" + key.ifname.encode("utf-8", "surrogateescape")

    assert int.from_bytes(hashlib.sha256(raw).digest()[:7], "big") == lock_number_of(key.host_ifname)


@given(KEYS)
def test_host_end_mac_is_always_the_same(key: Key) -> None:
    """A host end's MAC is local, unicast and the same every time, since pods keep it as their gateway's."""
    assert (True, key.host_mac) == (key.host_mac.is_usable, Key(key.container_id, key.ifname).host_mac)


@given(KEYS, NAMES)
def test_alias_fits_the_limit_of_the_kernel(key: Key, network: str) -> None:
    """With any ID and network the alias has at most 255 bytes of ASCII, and reads back as what it was built from."""
    alias = alias_of(key, network)
    found = read_alias(alias)

    assert (True, True) == (len(alias.encode("ascii")) <= 255, found is not None)
    assert found is not None
    assert found[0].ifname == key.ifname
    assert attachment(network=found[1]).same_network(network)


def test_short_alias_is_readable_json() -> None:
    """People read the alias in `ip link`; its form is the documented one."""
    alias = alias_of(Key("c0ffee", "eth0"), "net")

    assert '{"v":1,"net":"net","id":"c0ffee","ifname":"eth0"}' == alias
    assert (Key("c0ffee", "eth0"), "net") == read_alias(alias)


@pytest.mark.parametrize("length", [64, 212, 213, 4096])
def test_long_id_is_hashed_in_the_alias(length: int) -> None:
    """An ID that fits is kept as it is; a longer one is hashed and still distinguishes attachments."""
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
def test_foreign_alias_is_ignored(text: str) -> None:
    """Any program may write an alias; one that is not slash80's parses as None."""
    assert read_alias(text) is None


@pytest.mark.parametrize(("name", "same"), [("net", True), ("other", False), ("", False)])
def test_alias_belongs_to_its_network(name: str, same: bool) -> None:  # noqa: FBT001
    """An alias matches its network by name, which a record may hold as it is."""
    assert same == attachment(network="net").same_network(name)


def test_assignment_returns_only_the_families_it_has() -> None:
    """A family without an address is left out of an assignment's addresses."""
    both = attachment().assignment

    assert (both.ipv4, both.ipv6) == both.addresses
    assert () == Assignment(None, None, None).addresses


def test_key_is_shown_as_container_and_interface() -> None:
    """Messages name an attachment by container and interface."""
    assert "interface eth0 of container c0ffee" == str(Key("c0ffee", "eth0"))
