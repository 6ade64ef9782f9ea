"""The result that ADD reports of an attachment."""

from ipaddress import ip_network
from typing import Any

import pytest

from slash80.cni.capabilities import PodOptions
from slash80.cni.document import Document
from slash80.host import compiled_network
from slash80.host.compiled_network import CompiledNetwork
from slash80.settings.network import NetConf
from slash80.verbs.add import result_of
from slash80.wiring.plan import Plan
from unit.builders import SANDBOX, attachment, netconf, pod_options

OTHER = ip_network("192.0.2.0/24")


def _plan(conf: NetConf, earlier: int) -> Plan:
    return compiled_network.plan(CompiledNetwork(conf), attachment(), mtu=1450, earlier=earlier, netns=SANDBOX)


def _result(requested: PodOptions | None = None, *, earlier: int = 0, **changes: Any) -> Document:  # noqa: ANN401 -- any JSON value
    found = netconf(**changes)
    return result_of(found, _plan(found, earlier), requested or pod_options()).document("1.1.0", None)


@pytest.mark.parametrize(("primary", "order"), [("ipv4", [0, 1]), ("ipv6", [1, 0])])
def test_primary_family_comes_first_in_the_result(primary: str, order: list[int]) -> None:
    """Runtimes use the first address as the pod's own."""
    ips = ["10.80.1.1/32", "2001:db8:0:1:1::1/128"]

    assert [ips[n] for n in order] == [ip["address"] for ip in _result(primaryFamily=primary)["ips"]]


def test_result_has_gateways_and_the_sandbox_verbatim() -> None:
    """Gateways and sandbox are those that the interface documents."""
    found = _result()

    assert [None, SANDBOX] == [link.get("sandbox") for link in found["interfaces"]]
    assert ["169.254.1.1", "fe80::1"] == [ip["gateway"] for ip in found["ips"]]
    assert [1, 1] == [ip["interface"] for ip in found["ips"]]


def test_chosen_metric_is_not_in_the_result() -> None:
    """Only a configured metric is: a later plugin would take another one for a request."""
    assert [
        {"dst": "0.0.0.0/0", "gw": "169.254.1.1"},
        {"dst": "::/0", "gw": "fe80::1"},
        {"dst": "192.0.2.0/24", "gw": "169.254.1.1", "priority": 7},
    ] == _result(routes=[{"dst": str(OTHER), "priority": 7}])["routes"]


@pytest.mark.parametrize(
    ("configured", "requested", "found"),
    [
        ({"nameservers": ["10.0.0.10"], "search": []}, {}, {"nameservers": ["10.0.0.10"]}),
        (
            {"nameservers": ["10.0.0.10"]},
            {"dns": {"servers": ["10.0.0.53"]}},
            {"nameservers": ["10.0.0.53"], "search": [], "options": []},
        ),
        (None, {}, None),
    ],
)
def test_dns_comes_from_the_runtime_else_the_configuration(
    configured: object, requested: Document, found: object
) -> None:
    """The runtime's DNS replaces the configuration's, and without either the key is missing."""
    assert found == _result(pod_options(requested), dns=configured).get("dns")
