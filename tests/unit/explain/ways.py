"""A small cluster to ask about: two pods on one node, one on another, and hosts outside."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from slash80.addressing.ports import Protocol
from slash80.explain.records import End, Kind, Known, Path, Translation, Way, of_pod
from slash80.explain.walk import walk
from slash80.firewall.records import Settings
from slash80.policy.model import Namespace, Pod, Policy, Snapshot

NODE_A, NODE_B = (
    End(Kind.NODE, name, (ip_address(f"2001:db8:1::{number}"), ip_address(f"192.0.2.{number}")), name)
    for number, name in enumerate("ab", 1)
)
POLICY_PORT = 80


def pod(namespace: str, name: str, number: int, node: str = "a", **more: object) -> Pod:
    """Return a pod with addresses that end with a number."""
    own = {"a": 1, "b": 2}[node]
    addresses = ip_address(f"2001:db8:0:{own}::{number}"), ip_address(f"10.80.{own}.{number}")
    labels = {"app": name}
    return Pod(namespace, name, f"uid-{number}", labels, addresses, node, **more)  # type: ignore[arg-type]


WEB, FRONT, FAR = pod("shop", "web", 5), pod("shop", "front", 6), pod("far", "probe", 7, "b")
PREFIXES = tuple(
    (name, ip_network(prefix))
    for name, own in (("a", 1), ("b", 2))
    for prefix in (f"2001:db8:0:{own}::/64", f"10.80.{own}.0/24")
)
SETTINGS = Settings(
    closed=True,
    trusted=tuple(map(ip_network, ("2001:db8::/32", "10.80.0.0/16", "192.0.2.0/24"))),
    echo="limit",
    echo_rate=10,
    masquerade=(),
    keep_source=(),
    services=tuple(map(ip_network, ("fd00:10:96::/112", "10.96.0.0/16"))),
    pods_expose=True,
)
KNOWN = Known(
    settings=SETTINGS,
    prefixes=PREFIXES,
    snapshot=Snapshot(
        pods=(WEB, FRONT, FAR),
        namespaces={name: Namespace(name, {"kubernetes.io/metadata.name": name}) for name in ("shop", "far")},
    ),
)


def host(address: str) -> End:
    """Return a host outside."""
    return End(Kind.HOST, "", (ip_address(address),))


STRANGER = {6: host("2a00::9"), 4: host("203.0.113.9")}
TRUSTED = {6: host("2001:db8:b::7"), 4: host("192.0.2.77")}


def end(one: Pod | End) -> End:
    """Return an end of what is at it."""
    return of_pod(one) if isinstance(one, Pod) else one


def way(
    source: Pod | End,
    destination: Pod | End,
    protocol: int = 6,
    port: int = POLICY_PORT,
    *,
    version: int = 6,
    translation: Translation | None = None,
) -> Way:
    """Return a connection of a family."""
    ends = end(source), end(destination)
    addresses = [one.address(version) for one in ends]
    assert addresses[0] is not None
    assert addresses[1] is not None
    return Way(ends[0], addresses[0], ends[1], addresses[1], Protocol(protocol), port, translation)


def with_policies(*policies: Policy, known: Known = KNOWN) -> Known:
    """Return what is known with other policies."""
    return replace(known, snapshot=replace(known.snapshot, policies=policies))


def told(path: Path) -> list[tuple[str, str]]:
    """Return names and results of a path's steps."""
    return [(step.name, step.result.value) for step in path.steps]


def sentence(path: Path, name: str) -> str:
    """Return the sentence of a step, which there is one of."""
    (found,) = [step.sentence for step in path.steps if step.name == name]
    return found


def ask(
    source: Pod | End,
    destination: Pod | End,
    *,
    known: Known = KNOWN,
    protocol: int = 6,
    port: int = POLICY_PORT,
    version: int = 6,
    translation: Translation | None = None,
) -> Path:
    """Return the path of a connection."""
    return walk(way(source, destination, protocol, port, version=version, translation=translation), known)
