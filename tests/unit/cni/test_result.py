"""Results in the form of every version, alone and behind a previous plugin's."""

import json
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from slash80.cni.document import Document
from slash80.cni.result import Interface, Ip, Result, Route
from slash80.cni.versions import SUPPORTED
from slash80.errors import InvalidConfig, Undecodable
from unit.builders import SANDBOX

GOLDEN = Path(__file__).parent / "golden"
GATEWAY4, GATEWAY6 = ip_address("169.254.1.1"), ip_address("fe80::1")
RESULT = Result(
    interfaces=(
        Interface("s80aaaaaaaaaaaa", "02:00:5e:00:53:02", 1500),
        Interface("eth0", "02:00:5e:00:53:01", 1500, SANDBOX),
    ),
    ips=(Ip(ip_address("10.80.1.5"), GATEWAY4), Ip(ip_address("2001:db8:0:1:1::5"), GATEWAY6)),
    routes=(
        Route(ip_network("0.0.0.0/0"), GATEWAY4),
        Route(ip_network("::/0"), GATEWAY6),
        Route(ip_network("2001:db8:5::/48"), GATEWAY6, mtu=1400, advmss=1340, priority=7),
    ),
    dns={},
)
MODERN = [version for version in SUPPORTED if version >= "0.3.0"]


@pytest.mark.parametrize("version", SUPPORTED)
def test_result_has_the_form_of_its_version(version: str) -> None:
    """Each version's document equals the golden one in every key."""
    assert json.loads((GOLDEN / f"result-{version}.json").read_text()) == RESULT.document(version, None)


@pytest.mark.parametrize("version", MODERN)
def test_prevresult_is_extended(version: str) -> None:
    """slash80's interfaces and addresses are appended with shifted indexes, and unknown keys stay."""
    address = {"address": "192.0.2.1/24", "interface": 0, "x": 1}
    previous = {
        "cniVersion": version,
        "interfaces": [{"name": "lo", "x": 1}],
        "ips": [address],
        "routes": [{"dst": "192.0.2.0/24"}],
        "dns": {"nameservers": ["192.0.2.53"]},
        "x": {"y": 1},
    }
    alone, extended = RESULT.document(version, None), RESULT.document(version, previous)

    shifted = [{**ip, "interface": 2} for ip in alone["ips"]]
    assert [{"name": "lo", "x": 1}, *alone["interfaces"]] == extended["interfaces"]
    assert [address, *shifted] == extended["ips"]
    assert [{"dst": "192.0.2.0/24"}, *alone["routes"]] == extended["routes"]
    assert ({"nameservers": ["192.0.2.53"]}, {"y": 1}) == (extended["dns"], extended["x"])


def test_prevresult_of_the_caller_is_not_modified() -> None:
    """The caller's own document stays as it was."""
    previous: Document = {"interfaces": [{"name": "lo"}], "ips": []}
    RESULT.document("1.0.0", previous)

    assert {"interfaces": [{"name": "lo"}], "ips": []} == previous


def test_prevresult_keys_of_any_case_are_extended() -> None:
    """Lists are extended under their own names, so that no reader finds two."""
    extended = RESULT.document("1.0.0", {"CNIVersion": "1.0.0", "Interfaces": [{"Name": "lo"}], "IPs": None})

    assert {"cniVersion", "interfaces", "ips", "routes"} == set(extended)
    assert [2, 2] == [ip["interface"] for ip in extended["ips"]]


@pytest.mark.parametrize("version", SUPPORTED)
def test_dns_replaces_that_of_the_previous_plugin(version: str) -> None:
    """DNS from the configuration or the runtime replaces what a previous plugin returned."""
    result = replace(RESULT, dns={"nameservers": ["10.0.0.10"]})

    previous = {"dns": {"domain": "a.b"}}
    assert {"nameservers": ["10.0.0.10"]} == result.document(version, previous)["dns"]


@pytest.mark.parametrize("version", ["0.1.0", "0.2.0"])
def test_result_of_version_0_1_0_has_one_address_of_each_family(version: str) -> None:
    """A previous result's other family stays; a second address of one family cannot be expressed."""
    only6 = replace(RESULT, ips=RESULT.ips[1:], routes=RESULT.routes[1:])
    before = {"ip4": {"ip": "192.0.2.1/24"}, "x": 1}

    extended = only6.document(version, before)
    assert (before["ip4"], 1, "2001:db8:0:1:1::5/128") == (extended["ip4"], extended["x"], extended["ip6"]["ip"])
    with pytest.raises(InvalidConfig, match=f"ip4 already, and cniVersion '{version}'"):
        RESULT.document(version, before)


@pytest.mark.parametrize("version", SUPPORTED)
def test_address_index_points_to_an_existing_interface(version: str) -> None:
    """An index beyond the list makes a runtime panic."""
    document = RESULT.document(version, {"interfaces": [{}, {}, {}]})

    assert all(ip["interface"] < len(document["interfaces"]) for ip in document.get("ips", []))


def test_prevresult_with_invalid_lists_is_code_6() -> None:
    """The error names the key that is not a list."""
    with pytest.raises(Undecodable, match="'ips'"):
        RESULT.document("1.0.0", {"ips": {"address": "192.0.2.1/24"}})
