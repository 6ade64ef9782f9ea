"""The network configuration: defaults, bounds, and messages that name the key and the value."""

import json
from pathlib import Path
from typing import Any

import pytest

from slash80.cni.document import Document
from slash80.errors import CniError, InvalidConfig, Undecodable, UnsupportedField
from slash80.settings.network import NetConf, RemovalConf, parse
from unit.builders import PREFIX6, conf

GOLDEN = Path(__file__).parent / "golden"
ACCEPTED = json.loads((GOLDEN / "accepted.json").read_text())
REFUSED = json.loads((GOLDEN / "refused.json").read_text())


def _with(key: str, value: Any) -> Document:  # noqa: ANN401 -- any JSON value
    """Return the usual configuration with one key, which may be in a section, set."""
    section, dot, name = key.partition(".")
    whole = conf()
    return whole | {section: whole.get(section, {}) | {name: value} if dot else value}


def test_network_configuration_has_the_documented_defaults() -> None:
    """A configuration of one prefix has the documented defaults and no other key."""
    found = parse(NetConf, {"ipv6": {"prefixes": [PREFIX6]}}).model_dump(by_alias=True, mode="json")

    assert json.loads((GOLDEN / "defaults.json").read_text()) == found


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in ACCEPTED.items() for value in values])
def test_value_within_the_bounds_is_accepted(key: str, value: object) -> None:
    """Every key accepts its documented values, numbers also as strings; keys outside slash80's are ignored."""
    assert isinstance(parse(NetConf, _with(key, value)), NetConf)


@pytest.mark.parametrize(("key", "value", "code", "shown"), REFUSED)
def test_value_beyond_the_bounds_is_code_7(key: str, value: object, code: int, shown: str) -> None:
    """The message names the key and shows the value; an unknown key in a section is code 2."""
    with pytest.raises(CniError) as caught:
        parse(NetConf, _with(key, value))

    assert (code, True, True) == (caught.value.code, key in caught.value.msg, shown in caught.value.msg)


def test_number_may_be_a_string() -> None:
    """Some runtimes and templates write numbers as strings."""
    assert 1500 == parse(NetConf, _with("mtu", "1500")).mtu


def test_keys_of_a_network_match_in_any_case() -> None:
    """Keys of every level match without regard to case, as in Go."""
    found = parse(NetConf, {"IPV6": {"PREFIXES": [PREFIX6], "Suffix": "hash"}, "ipv4": {"prefixES": ["10.0.0.0/8"]}})

    assert ("hash", "10.0.0.0/8") == (found.ipv6.suffix, str(found.ipv4.prefixes[0]))


@pytest.mark.parametrize("key", [key for key in ACCEPTED if key != "ipv6.prefixes"])
def test_null_key_has_its_default(key: str) -> None:
    """A key with null has its default."""
    section, _, name = key.partition(".")
    absent = conf()
    absent.get(section, {}).pop(name, None) if name else absent.pop(section, None)

    assert parse(NetConf, absent) == parse(NetConf, _with(key, None))


@pytest.mark.parametrize("empty", [{}, {"ipv6": {}, "ipv4": {"prefixes": []}}, {"ipv6": None}])
def test_network_without_prefixes_is_code_7(empty: Document) -> None:
    """A network without prefixes is refused with the keys that are missing."""
    with pytest.raises(InvalidConfig, match=r"no family.*ipv6\.prefixes or ipv4\.prefixes"):
        parse(NetConf, empty)


@pytest.mark.parametrize(
    ("suffix", "length", "fits"),
    [
        *(("unique", 120, True), ("hash", 120, True), ("ipv4", 96, True), ("mac", 80, True)),
        *(("ipv4", 97, False), ("mac", 81, False)),
    ],
)
def test_suffix_mode_needs_a_short_enough_prefix(suffix: str, length: int, fits: bool) -> None:  # noqa: FBT001
    """A whole IPv4 fits up to /96, a whole MAC up to /80, and a hash is cut."""
    wanted = conf(ipv6={"prefixes": [f"2001:db8::/{length}"], "suffix": suffix})
    if fits:
        assert suffix == parse(NetConf, wanted).ipv6.suffix
        return
    with pytest.raises(InvalidConfig, match=rf"ipv6\.suffix '{suffix}' needs .* not 2001:db8::/{length}"):
        parse(NetConf, wanted)


@pytest.mark.parametrize("suffix", ["ipv4", "hash"])
def test_suffix_from_the_ipv4_needs_ipv4_prefixes(suffix: str) -> None:
    """A suffix mode that uses the IPv4 is refused without IPv4 prefixes."""
    with pytest.raises(InvalidConfig, match=rf"'{suffix}' follows from the IPv4"):
        parse(NetConf, {"ipv6": {"prefixes": [PREFIX6], "suffix": suffix}})


def test_route_needs_an_address_of_its_family() -> None:
    """A pod without IPv4 cannot have an IPv4 route."""
    with pytest.raises(InvalidConfig, match=r"routes has dst 192\.0\.2\.0/24, but the pod gets no IPv4"):
        parse(NetConf, {"ipv6": {"prefixes": [PREFIX6]}, "routes": [{"dst": "192.0.2.0/24"}]})


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, value, _, _ in REFUSED if key[:3] in {"ipv", "mtu", "fir"}]
)
def test_del_ignores_an_invalid_configuration(key: str, value: object) -> None:
    """A pod can be removed although its configuration became invalid after the ADD."""
    assert "/state" == str(parse(RemovalConf, _with(key, value) | {"stateDir": "/state"}).state_dir)


def test_del_needs_a_valid_state_dir() -> None:
    """An invalid stateDir is refused even by DEL."""
    with pytest.raises(InvalidConfig, match="stateDir"):
        parse(RemovalConf, {"stateDir": "state"})


def test_unknown_key_message_says_what_to_do() -> None:
    """The error is code 2 and names the whole path of the key and the next step."""
    with pytest.raises(UnsupportedField) as caught:
        parse(NetConf, _with("firewall.colour", "red"))

    expected = "configuration key 'firewall.colour' with value 'red' is not supported; remove it"
    assert expected == caught.value.msg


def test_configuration_is_limited_and_annotations_are_not() -> None:
    """The configuration is kept between calls and limited to 1 MiB; annotations are not part of that."""
    annotations = {"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"a": "x" * (2 << 20)}}}
    parse(NetConf, conf(**annotations))

    with pytest.raises(Undecodable, match=r"the network configuration has \d+ bytes, but may have 1048576"):
        parse(NetConf, conf(routes=[{"dst": "2001:db8::/32"}] * 50_000))
