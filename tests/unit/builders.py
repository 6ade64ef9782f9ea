"""What most tests start from: a configuration, an environment, a call, an attachment."""

import io
import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any, BinaryIO

from slash80 import engine
from slash80.addressing.attachment import Assignment, Attachment, Key, Pod
from slash80.addressing.mac import Mac
from slash80.addressing.openings import Openings, PortMapping
from slash80.addressing.ports import SCTP, TCP, PortRange
from slash80.cni import capabilities, environment, request
from slash80.cni.capabilities import PodOptions
from slash80.cni.document import Document
from slash80.cni.request import Request
from slash80.host.cache import TtlCache
from slash80.host.context import DeferredDeletion, Host, OfAgent
from slash80.netlink.socket import Socket
from slash80.settings import network as configuration
from slash80.settings.network import NetConf
from slash80.store.locks import AttachmentLocks
from slash80.store.sqlite import SqliteStore
from unit.host.tables import FakeTable

PREFIX4, PREFIX6 = "10.80.1.0/24", "2001:db8:0:1:1::/80"
MAC = Mac.parse("02:00:5e:00:53:01")
SANDBOX = "/run/netns/pod"
OPENINGS = Openings(
    mappings=(PortMapping(TCP, IPv4Address("0.0.0.0"), 8080, 80), PortMapping(SCTP, IPv6Address("2001:db8::1"), 9, 9)),
    expose=(PortRange("udp", 8000, 8100),),
    expose_allowed=True,
)
HANDED = Path("/proc/self/ns/net")  # a namespace to pass on, where none is entered


def conf(**changes: Any) -> Document:  # noqa: ANN401 -- any JSON value
    """Return a dual-stack configuration with these keys replaced."""
    return {
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "slash80",
        "ipv6": {"prefixes": [PREFIX6]},
        "ipv4": {"prefixes": [PREFIX4]},
        **changes,
    }


def environ(command: str = "ADD", **changes: str | None) -> dict[str, str]:
    """Return the environment of a call, with changed variables, named without `CNI_`; None takes one away."""
    variables = {
        "COMMAND": command,
        "CONTAINERID": "c0ffee",
        "NETNS": SANDBOX,
        "IFNAME": "eth0",
        "PATH": "/opt/cni/bin",
        **changes,
    }
    return {f"CNI_{name}": value for name, value in variables.items() if value is not None}


def request_of(conf: Document, **variables: str | None) -> Request:
    """Return an ADD with this configuration."""
    return request.judge(environment.read(environ("ADD", **variables)), conf, request.version_of(conf))


@dataclass(frozen=True)
class Said:
    """The outcome of a call: its exit code and the document on standard output, empty without one."""

    exit_code: int
    document: Document

    @property
    def code(self) -> int:
        """The error code."""
        return int(self.document["code"])


class Unreadable(io.BytesIO):
    """A standard input that must not be read."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Fail."""
        raise AssertionError("standard input was read")


def call(variables: dict[str, str], stdin: BinaryIO | bytes | Document | None) -> Said:
    """Run the engine; None as standard input is one that must not be read."""
    if stdin is None:
        stdin = Unreadable()
    if isinstance(stdin, dict):
        stdin = json.dumps(stdin).encode()
    if isinstance(stdin, bytes):
        stdin = io.BytesIO(stdin)
    stdout = io.BytesIO()
    exit_code = engine.run(variables, stdin, stdout)
    text = stdout.getvalue().decode("ascii")
    return Said(exit_code, json.loads(text) if text else {})


def attachment(number: int = 1, **changes: Any) -> Attachment:  # noqa: ANN401 -- any field
    """Return the n-th attachment, with the n-th address of each family, and changed fields."""
    key = changes.pop("key", Key(f"container{number}", "eth0"))
    fields: dict[str, Any] = {
        "key": key,
        "network": "net",
        "assignment": Assignment(IPv4Address("10.80.1.0") + number, IPv6Address("2001:db8:0:1:1::") + number, MAC),
        "host_ifname": key.host_ifname,
        "netns": SANDBOX,
        "pod": Pod("default", f"pod{number}", f"uid{number}"),
        "since": 1000.0,
        **changes,
    }
    return Attachment(**fields)


def host_in(state_dir: Path, kernel: Socket, deferred_deletion: DeferredDeletion | None = None) -> Host:
    """Return a host with an empty store, on a kernel by its words."""
    store = SqliteStore(state_dir, survey=list, timeout=5, clock=lambda: 2000.0)
    locks = AttachmentLocks(state_dir, 5)
    of_agent = OfAgent(deferred_deletion) if deferred_deletion else None
    return Host(kernel, FakeTable(), store=store, locks=locks, cache=TtlCache(), of_agent=of_agent)


def netconf(**changes: Any) -> NetConf:  # noqa: ANN401 -- any JSON value
    """Return that configuration, changed, as it is read."""
    return configuration.parse(NetConf, conf(**changes))


def pod_options(runtime: Document | None = None, arguments: str = "") -> PodOptions:
    """Return what a runtime asks for by `runtimeConfig` and CNI_ARGS."""
    return capabilities.read(request_of(conf(runtimeConfig=runtime or {}), ARGS=arguments))
