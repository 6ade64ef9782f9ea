"""What a runtime asks for, as the addresses and the pod of a reservation."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.attachment import Pod
from slash80.addressing.choose import Wanted
from slash80.addressing.family import FAMILIES, IPV6
from slash80.addressing.occupied import Occupied
from slash80.addressing.openings import NO_OPENINGS, Openings
from slash80.addressing.ports import PortRange
from slash80.addressing.suffix import Suffix
from slash80.cni.capabilities import ANNOTATIONS, PodOptions
from slash80.cni.document import Document
from slash80.errors import InvalidConfig
from slash80.host.compiled_network import CompiledNetwork
from slash80.settings.network import NetConf
from slash80.verbs.reserve import openings_of, pod_of, wanted_of
from unit.builders import MAC, PREFIX6, attachment, netconf, pod_options


def _wanted(conf: NetConf, pod_options: PodOptions) -> Wanted:
    return wanted_of(CompiledNetwork(conf), pod_options, attachment().key, boottime_ns=5, occupied=Occupied())


def test_pod_options_become_the_wanted_addresses() -> None:
    """Requested addresses by family, the MAC, the mode and the cooldown are passed on."""
    requested = pod_options({"ips": ["2001:db8:0:1:1::5"], "mac": str(MAC)})
    wanted = _wanted(netconf(ipv6={"prefixes": [PREFIX6], "suffix": "hash"}), requested)

    assert ({IPV6: ip_address("2001:db8:0:1:1::5")}, MAC) == (wanted.requested, wanted.mac)
    assert (Suffix.HASH, 130, 5) == (wanted.mode, wanted.cooldown, wanted.boottime_ns)


def test_pod_annotation_removes_ipv4() -> None:
    """Its annotation removes the family for this pod."""
    assert [IPV6] == list(_wanted(netconf(), replace(pod_options(), no_ipv4=True)).pools)


@pytest.mark.parametrize(
    ("changes", "requested", "no_ipv4", "reason"),
    [
        ({"ipv6": {}}, {}, True, "has nothing else"),
        ({"ipv6": {}}, {"ips": ["2001:db8::5"]}, False, "2001:db8::5 cannot be given: the pod gets no IPv6"),
        ({}, {"ips": ["10.80.1.5"]}, True, r"10\.80\.1\.5 cannot be given: the pod gets no IPv4"),
        ({}, {"mac": "02:00:5e:00:53"}, False, "02:00:5e:00:53' is not a MAC"),
        ({}, {"mac": "01:00:5e:00:53:01"}, False, "multicast"),
    ],
)
def test_request_that_the_network_cannot_satisfy_is_code_7(
    changes: Document,
    requested: Document,
    no_ipv4: bool,  # noqa: FBT001
    reason: str,
) -> None:
    """The error names the value."""
    with pytest.raises(InvalidConfig, match=reason):
        _wanted(netconf(**changes), replace(pod_options(requested), no_ipv4=no_ipv4))


def test_pod_is_named_by_kubernetes_arguments() -> None:
    """Outside Kubernetes the names are empty."""
    requested = pod_options(arguments="K8S_POD_NAMESPACE=a;K8S_POD_NAME=b;K8S_POD_UID=c")

    assert (Pod("a", "b", "c"), Pod()) == (pod_of(requested), pod_of(pod_options()))


@pytest.mark.parametrize(("expose_from", "allowed"), [("all", True), ("none", False), ("labelled", False)])
def test_what_a_pod_asks_to_have_open_is_recorded_in_any_case(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, expose_from: str, *, allowed: bool
) -> None:
    """A pod without the right starts closed, and gets its ports when it has it; the log says why it has not."""
    conf = netconf(stateDir=str(tmp_path), firewall={"exposeFrom": expose_from})
    options = pod_options({ANNOTATIONS: {"slash80.io/expose": "tcp/443"}}, "K8S_POD_NAMESPACE=team-a")
    found = openings_of(CompiledNetwork(conf), options, attachment().key, families=FAMILIES)

    assert Openings(expose=(PortRange("tcp", 443, 443),), expose_allowed=allowed) == found
    assert allowed is not any("starts with its ports tcp/443 closed" in line for line in caplog.messages)


def test_for_a_pod_that_asks_nothing_no_file_is_read(tmp_path: Path, mocker: MockerFixture) -> None:
    """Nearly all pods are so."""
    may_expose = mocker.patch("slash80.settings.policy.may_expose")
    conf = netconf(stateDir=str(tmp_path), firewall={"exposeFrom": "labelled"})
    assert NO_OPENINGS == openings_of(CompiledNetwork(conf), pod_options(), attachment().key, families=FAMILIES)
    assert not may_expose.called
