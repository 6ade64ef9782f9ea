"""What of a previous plugin's result is handed on, and what is refused with its place and value."""

from typing import Any

import pytest

from slash80.cni import prevresult
from slash80.cni.document import Document
from slash80.cni.versions import SUPPORTED
from slash80.errors import CniError, InvalidConfig, shown
from unit.builders import call, conf, environ

MODERN = [version for version in SUPPORTED if version >= "0.3.0"]
LINK: Document = {"name": "eth0", "mac": "0a:58:0a:f4:00:05", "sandbox": "/run/netns/pod"}
ADDRESS: Document = {"address": "10.1.0.5/16", "gateway": "10.1.0.1", "interface": 0}


@pytest.mark.parametrize("version", MODERN)
@pytest.mark.parametrize(
    "result",
    [
        {},
        {"interfaces": None, "ips": None, "routes": None, "dns": None},
        {
            "interfaces": [
                LINK,
                {"name": "veth0"},
                {"name": "ib0", "mac": "80:00:02:08:fe" + ":80" * 15},
                {"name": "x", "mac": ""},
            ]
        },
        {"interfaces": [LINK], "ips": [ADDRESS, {"address": "2001:db8::5/64", "gateway": None, "interface": None}]},
        {"ips": [{"Address": "10.1.0.5/16", "Gateway": "", "x": {"y": 1}}]},
        {"routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0", "gw": "fe80::1"}, {"Dst": "10.1.2.3/16", "GW": ""}]},
        {"dns": {"nameservers": ["192.0.2.53"], "domain": "a.b", "search": [], "options": None, "x": 5}},
        {"x": 5, "ip4": {"ip": "nonsense"}, "interfaces": [LINK | {"x": []}]},
    ],
)
def test_prevresult_of_real_plugins_is_accepted(version: str, result: Document) -> None:
    """Results in Go's spelling or another, with nulls, unknown keys and missing optional keys are accepted."""
    assert prevresult.check(result, version) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    "result",
    [
        {"ip4": {"ip": "10.1.0.5/16", "gateway": "10.1.0.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}]}},
        {"IP6": {"IP": "2001:db8::5/64"}, "ip4": None, "dns": {"nameservers": ["192.0.2.53"]}},
        {"ips": "unknown", "interfaces": 5, "routes": [5]},
    ],
)
@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_prevresult_of_version_0_1_0_is_accepted(version: str, result: Document) -> None:
    """The oldest form has one address of each family, and no lists."""
    assert prevresult.check(result, version) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(("version", "family"), [("0.3.0", "4"), ("0.3.1", "4"), ("0.4.0", "4"), ("1.0.0", "nonsense")])
def test_prevresult_address_may_name_its_family(version: str, family: str) -> None:
    """Before 1.0.0 an address has a version key, and later that key is unknown."""
    assert prevresult.check({"ips": [ADDRESS | {"interface": None, "version": family}]}, version) is None  # type: ignore[func-returns-value]


ADDRESSES: list[object] = [
    "nonsense",
    "10.1.0.5",
    "10.1.0.256/24",
    "10.1.0.5/33",
    "10.1.0.5/255.255.0.0",
    "fe80::1%eth0/64",
    "",
    None,
    5,
]
NO_GATEWAYS: list[object] = ["nonsense", "10.1.0.1/16", "fe80::1%eth0", 5, ["10.1.0.1"]]
NO_INDEXES: list[object] = [1, -1, "0", 0.0, False, []]  # of one interface
NO_NUMBERS: list[object] = [-1, 1.5, "1500", True, 1 << 32]
WRONG: list[tuple[str, Any, Document]] = [
    *(("ips[1].address", value, {"ips": [{"address": "10.1.0.5/16"}, {"address": value}]}) for value in ADDRESSES),
    ("ips[0].address", None, {"ips": [{}]}),
    ("ips[0].ADDRESS", "nonsense", {"ips": [{"address": "10.1.0.5/16", "ADDRESS": "nonsense"}]}),
    *(("ips[0].gateway", value, {"ips": [ADDRESS | {"gateway": value, "interface": None}]}) for value in NO_GATEWAYS),
    *(
        ("ips[0].interface", value, {"interfaces": [LINK], "ips": [ADDRESS | {"interface": value}]})
        for value in NO_INDEXES
    ),
    ("ips[0].interface", 0, {"ips": [ADDRESS]}),
    *(("routes[0].dst", value, {"routes": [{"dst": value}]}) for value in ADDRESSES),
    *(("routes[0].gw", value, {"routes": [{"dst": "::/0", "gw": value}]}) for value in NO_GATEWAYS),
    *(("interfaces[0].name", value, {"interfaces": [LINK | {"name": value}]}) for value in (5, None, "")),
    *(
        ("interfaces[0].mac", value, {"interfaces": [LINK | {"mac": value}]})
        for value in (5, "x", "02:00:5e:00:53", "02")
    ),
    *(("interfaces[0].sandbox", value, {"interfaces": [LINK | {"sandbox": value}]}) for value in (5, ["/x"])),
    *((f"dns.{key}", 5, {"dns": {key: 5}}) for key in ("nameservers", "domain", "search", "options")),
    ("dns.nameservers", [5], {"dns": {"nameservers": [5]}}),
]


@pytest.mark.parametrize("version", MODERN)
@pytest.mark.parametrize(("where", "value", "result"), WRONG)
def test_invalid_prevresult_is_code_7(version: str, where: str, value: object, result: Document) -> None:
    """The message names the place and the value."""
    with pytest.raises(InvalidConfig) as caught:
        prevresult.check(result, version)

    assert f"'prevResult' has {where} with the value {shown(value)}, but it must be " in caught.value.msg


@pytest.mark.parametrize("key", ["mtu", "advmss", "priority", "table", "scope"])
@pytest.mark.parametrize("value", NO_NUMBERS)
def test_route_numbers_are_validated_from_1_1_0_on(key: str, value: object) -> None:
    """mtu, advmss and priority came with 1.1.0; before it they are unknown keys."""
    result = {"routes": [{"dst": "::/0", key: value}]}
    prevresult.check(result, "1.0.0")

    with pytest.raises(InvalidConfig, match=f"routes\\[0\\].{key} with the value"):
        prevresult.check(result, "1.1.0")


@pytest.mark.parametrize(("key", "value"), [("mtu", "1500"), ("socketPath", 5), ("PciID", [])])
def test_interface_numbers_are_validated_from_1_1_0_on(key: str, value: object) -> None:
    """The further keys of interfaces came with 1.1.0 too."""
    result = {"interfaces": [LINK | {key: value}]}
    prevresult.check(result, "1.0.0")

    with pytest.raises(InvalidConfig, match=f"interfaces\\[0\\].{key} with the value"):
        prevresult.check(result, "1.1.0")


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
@pytest.mark.parametrize(
    ("where", "result"),
    [
        ("ip4.ip", {"ip4": {"ip": "nonsense"}}),
        ("ip4.ip", {"ip4": {"ip": "2001:db8::5/64"}}),
        ("ip6.ip", {"ip6": {"gateway": "fe80::1"}}),
        ("ip6.gateway", {"ip6": {"ip": "2001:db8::5/64", "gateway": "10.1.0.1"}}),
        ("ip4.routes[0].dst", {"ip4": {"ip": "10.1.0.5/16", "routes": [{"gw": "10.1.0.1"}]}}),
    ],
)
def test_invalid_prevresult_of_version_0_1_0_is_refused(version: str, where: str, result: Document) -> None:
    """Each family's address must be one of that family in the oldest form too."""
    with pytest.raises(InvalidConfig) as caught:
        prevresult.check(result, version)

    assert f"'prevResult' has {where} with the value " in caught.value.msg


@pytest.mark.parametrize("family", ["6", "nonsense", 4])
def test_address_of_the_wrong_family_is_refused(family: object) -> None:
    """An address whose version key names the other family is refused where results have that key."""
    with pytest.raises(InvalidConfig, match=r'ips\[0\].version with the value .*must be "4"'):
        prevresult.check({"ips": [ADDRESS | {"interface": None, "version": family}]}, "0.4.0")


@pytest.mark.parametrize("shape", [{"ips": "x"}, {"routes": [5]}, {"interfaces": {}}, {"dns": []}])
def test_prevresult_of_another_shape_is_code_6(shape: Document) -> None:
    """A value of the wrong JSON type is code 6, as everywhere."""
    with pytest.raises(CniError) as caught:
        prevresult.check(shape, "1.0.0")

    assert 6 == caught.value.code


@pytest.mark.parametrize("command", ["ADD", "CHECK"])
def test_invalid_prevresult_is_refused_before_the_sandbox_is_opened(command: str) -> None:
    """The sandbox does not exist, and the error is about the previous result."""
    said = call(environ(command, NETNS="/nowhere"), conf(prevResult={"ips": [{"address": "nonsense"}]}))

    assert 7 == said.code
    assert "'prevResult' has ips[0].address with the value 'nonsense'" in said.document["msg"]
