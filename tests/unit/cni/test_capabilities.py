"""What a runtime asks for beside the configuration."""

import re
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slash80.cni import capabilities
from slash80.cni.capabilities import PodOptions
from slash80.cni.document import Document
from slash80.errors import CniError
from unit.builders import conf, request_of

ARGS = {"args": {"cni": {"ips": ["10.80.1.2"], "mac": "02:00:00:00:00:02"}}}
RUNTIME = {"runtimeConfig": {"ips": ["10.80.1.3/24"], "mac": "02:00:00:00:00:03"}}
ENVIRONMENT = "IP=10.80.1.1;MAC=02:00:00:00:00:01"
ANNOTATIONS = "io.kubernetes.cri.pod-annotations"


def _read(keys: Document, arguments: str = "") -> PodOptions:
    return capabilities.read(request_of(conf(**keys), ARGS=arguments))


@pytest.mark.parametrize(
    ("keys", "last"),
    [({}, 1), (ARGS, 2), (RUNTIME, 3), (ARGS | RUNTIME, 3), (ARGS | {"runtimeConfig": {}}, 2)],
)
def test_runtime_config_beats_args_cni_and_cni_args(keys: Document, last: int) -> None:
    """For addresses and MAC, runtimeConfig wins over args.cni, which wins over CNI_ARGS."""
    read = _read(keys, ENVIRONMENT)

    assert ((ip_address(f"10.80.1.{last}"),), f"02:00:00:00:00:0{last}") == (read.ips, read.mac)


def test_pod_options_are_empty_by_default() -> None:
    """Without any source no option is set."""
    empty = PodOptions((), "", {}, ports=(), no_ipv4=False, expose=(), pod_namespace="", pod_name="", pod_uid="")
    assert empty == _read({})


def test_cni_args_name_the_kubernetes_pod() -> None:
    """Namespace, name and UID come in CNI_ARGS, in any order."""
    read = _read({}, "K8S_POD_UID=u;IgnoreUnknown=1;K8S_POD_NAME=n;X=1;K8S_POD_NAMESPACE=s")

    assert ("s", "n", "u") == (read.pod_namespace, read.pod_name, read.pod_uid)


@pytest.mark.parametrize(
    ("ips", "found"),
    [
        (["10.80.1.3", "2001:db8::5/80"], ["10.80.1.3", "2001:db8::5"]),
        (["::ffff:10.80.1.3"], ["10.80.1.3"]),
        ([], []),
    ],
)
def test_requested_address_may_have_a_prefix_length(ips: list[str], found: list[str]) -> None:
    """The length is ignored, and a mapped IPv4 is the IPv4, as in Go."""
    assert list(map(ip_address, found)) == list(_read({"runtimeConfig": {"ips": ips}}).ips)


def test_cni_args_may_request_one_address_of_each_family() -> None:
    """In CNI_ARGS the addresses are separated by a comma."""
    assert 2 == len(_read({}, "IP=10.80.1.3,2001:db8::5").ips)


def test_runtime_config_keys_match_in_any_case() -> None:
    """Runtimes such as containerd write capitalised keys."""
    dns = {"Servers": ["10.0.0.10"], "Searches": ["a.b"], "Options": ["ndots:5"]}

    assert {
        "nameservers": ["10.0.0.10"],
        "search": ["a.b"],
        "options": ["ndots:5"],
    } == _read({"RuntimeConfig": {"DNS": dns, "IPs": ["10.80.1.3"]}}).dns


def test_empty_dns_of_the_runtime_is_ignored() -> None:
    """The configuration's own DNS is used then."""
    assert {} == _read({"runtimeConfig": {"dns": {"servers": [], "searches": None}}}).dns


@pytest.mark.parametrize(("value", "refused"), [("false", True), ("true", False)])
def test_pod_annotation_disables_ipv4(value: str, refused: bool) -> None:  # noqa: FBT001
    """The annotation applies to this pod only, and annotations of other projects are ignored."""
    annotations = {"slash80.io/ipv4": value, "example.org/ipv4": "maybe"}

    assert refused == _read({"runtimeConfig": {ANNOTATIONS: annotations}}).no_ipv4


@pytest.mark.parametrize(
    ("value", "ports"),
    [
        ("", ()),
        ("  ", ()),
        ("tcp/443", ("tcp/443",)),
        (" udp/53 ,tcp/443,\nsctp/9", ("sctp/9", "tcp/443", "udp/53")),
        ("tcp/8000-8100, tcp/8050-8200, tcp/8201, udp/8000", ("tcp/8000-8201", "udp/8000")),
        (
            ",".join(f"tcp/{number}" for number in range(1, 128, 2)),
            tuple(f"tcp/{number}" for number in range(1, 128, 2)),
        ),
    ],
)
def test_pod_annotation_names_ports_to_open(value: str, ports: tuple[str, ...]) -> None:
    """Spaces do not matter, and ports that overlap or adjoin are one range: the kernel refuses ranges that overlap."""
    read = _read({"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": value}}})

    assert ports == tuple(map(str, read.expose))


@given(st.text(st.sampled_from("tcpuds/0123456789-, \n\u0664x"), max_size=40))
def test_every_annotation_is_read_or_refused_with_its_entry(value: str) -> None:
    """What is read is what a strict reader of the same words reads; all else is code 7, and nothing ends a process."""
    entries = [entry.strip() for entry in value.split(",")] if value.strip() else []
    good = all(re.fullmatch(r"(tcp|udp|sctp)/[1-9][0-9]{0,4}(-[1-9][0-9]{0,4})?", entry, re.ASCII) for entry in entries)
    keys = {"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": value}}}
    if good and all(0 < int(port) < 65536 for entry in entries for port in re.findall(r"\d+", entry)):
        bounds = [[int(port) for port in re.findall(r"\d+", entry)] for entry in entries]
        if all(one == sorted(one) for one in bounds):
            assert {one.protocol for one in _read(keys).expose} == {entry.partition("/")[0] for entry in entries}
            return
    with pytest.raises(CniError) as caught:
        _read(keys)
    assert caught.value.code == 7
    assert "slash80.io/expose" in caught.value.msg


REFUSED: list[tuple[dict[str, Any], int, str]] = [
    ({"ipam": {"type": "host-local"}}, 2, "host-local"),
    ({"IPAM": {"type": "dhcp"}}, 2, "dhcp"),
    ({"runtimeConfig": {"bandwidth": {"IngressRate": 1000}}}, 2, "1000"),
    ({"runtimeConfig": {"ipRanges": [[{"subnet": "10.0.0.0/8"}]]}}, 2, "10.0.0.0/8"),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/exposed": "tcp/443"}}}, 2, "slash80.io/exposed"),
    (
        {"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": "tcp/443, udp/0"}}},
        7,
        "slash80.io/expose has the entry 'udp/0'",
    ),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": "tcp/443,"}}}, 7, "the entry ''"),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": ["tcp/443"]}}}, 7, '["tcp/443"]'),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": ",".join(["tcp/443"] * 65)}}}, 7, "65 entries"),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/expose": "tcp/" + "9" * 300_000}}}, 7, "the entry 'tcp/999"),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/ipv4": "no"}}}, 7, "'no'"),
    ({"runtimeConfig": {ANNOTATIONS: {"slash80.io/ipv4": ["false"]}}}, 7, "false"),
    ({"runtimeConfig": {ANNOTATIONS: ["x"]}}, 6, ANNOTATIONS),
    ({"runtimeConfig": {"ips": "10.80.1.3"}}, 6, "10.80.1.3"),
    ({"runtimeConfig": {"ips": [5]}}, 6, "[5]"),
    ({"runtimeConfig": {"ips": ["10.80.1.256"]}}, 6, "10.80.1.256"),
    ({"runtimeConfig": {"ips": ["2001:db8:0:1:1::5%eth0"]}}, 6, "%eth0"),
    ({"runtimeConfig": {"ips": ["10.80.1.3", "::ffff:10.80.1.4"]}}, 7, "10.80.1.4"),
    ({"runtimeConfig": {"mac": 5}}, 6, "5"),
    ({"runtimeConfig": {"dns": {"servers": "10.0.0.10"}}}, 6, "10.0.0.10"),
    ({"runtimeConfig": []}, 6, "runtimeConfig"),
    ({"args": {"cni": "x"}}, 6, "cni"),
]


@pytest.mark.parametrize(("keys", "code", "shown"), REFUSED)
def test_unsupported_request_is_refused(keys: Document, code: int, shown: str) -> None:
    """An unsupported request is code 2, a malformed one 6 or 7, and the message shows the value."""
    with pytest.raises(CniError) as caught:
        _read(keys)

    assert (code, True) == (caught.value.code, shown in caught.value.msg)


@pytest.mark.parametrize(
    "keys",
    [
        {"ipam": {}},
        {"runtimeConfig": {"portMappings": [], "bandwidth": {"ingressRate": 0}, "cgroupPath": "/x"}},
        {"runtimeConfig": None, "args": {"cni": {"labels": [{"key": "a"}]}}, "capabilities": {"ips": True}},
    ],
)
def test_empty_requests_are_ignored(keys: Document) -> None:
    """Empty and unknown keys, and those of other plugins, are ignored."""
    assert () == _read(keys).ips
