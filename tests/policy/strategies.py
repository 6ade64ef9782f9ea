"""Random pods, namespaces, policies and flows for hypothesis: few names, labels and addresses, so that they meet.

Every tier that compares what policies mean with what happens draws from here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from hypothesis import strategies as st

from slash80.addressing.family import Address, Prefix
from slash80.addressing.ports import PROTOCOLS
from slash80.policy.model import (
    Block,
    Flow,
    NamedPort,
    Namespace,
    Operator,
    Pod,
    Policy,
    Ports,
    Requirement,
    Rule,
    Selected,
    Selector,
    Snapshot,
)

ICMP = 1
SPACES, KEYS, VALUES, NAMES = ("n1", "n2", "n3"), ("app", "tier"), ("a", "b"), ("http", "dns")
NUMBERS = (79, 80, 81, 82)
HOSTS = (*range(1, 7), 10)  # the last one is never a pod, as others may be that no pod claims
_NAMED = PROTOCOLS[:2]  # of ports with names
_PREFIX = {4: "10.80.1.", 6: "2001:db8::"}


@dataclass(frozen=True)
class Scene:
    """A cluster, and flows in it."""

    snapshot: Snapshot
    flows: tuple[Flow, ...]


def address(host: int, version: int) -> Address:
    """Return an address by its number."""
    return ip_address(f"{_PREFIX[version]}{host}")


_labels = st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES))
_values = st.lists(st.sampled_from(VALUES), min_size=1, max_size=2, unique=True).map(tuple)
_requirements = st.builds(
    Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.IN, Operator.NOT_IN]), _values
) | st.builds(Requirement, st.sampled_from(KEYS), st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST]))
_selectors = st.just(Selector()) | st.builds(
    Selector,
    _labels.map(lambda found: tuple(sorted(found.items()))),
    st.lists(_requirements, max_size=1).map(tuple),
)


@st.composite
def _prefixes(draw: st.DrawFn, version: int, shortest: int = 0) -> Prefix:
    """Return a prefix of the last hosts: all of the family, or one around a host."""
    bits = 32 if version == 4 else 128
    length = draw(st.sampled_from([0, *range(bits - 4, bits + 1)]).filter(lambda found: found >= shortest))
    return ip_network(f"{address(draw(st.sampled_from(HOSTS)), version)}/{length}", strict=False)


@st.composite
def _blocks(draw: st.DrawFn) -> Block:
    """Return an ipBlock whose exceptions often are inside of it."""
    version = draw(st.sampled_from([4, 6]))
    prefix = draw(_prefixes(version))
    return Block(prefix, tuple(draw(st.lists(_prefixes(version, prefix.prefixlen), max_size=2))))


_ports = st.one_of(
    st.builds(Ports, st.sampled_from(PROTOCOLS)),
    st.builds(Ports, st.sampled_from(PROTOCOLS), st.sampled_from(NUMBERS), st.sampled_from(NUMBERS)),
    st.builds(NamedPort, st.sampled_from(_NAMED), st.sampled_from(NAMES)),
)
_peers = st.builds(Selected, st.none() | _selectors, st.none() | _selectors) | _blocks()
_rules = st.builds(
    Rule,
    st.none() | st.lists(_peers, max_size=3).map(tuple),
    st.none() | st.lists(_ports, max_size=2).map(tuple),
)
_directions = st.none() | st.lists(_rules, max_size=3).map(tuple)
namespaces = st.builds(Namespace, st.sampled_from(SPACES), _labels)
policies = st.builds(
    Policy,
    st.sampled_from(SPACES),
    st.sampled_from(["p1", "p2", "p3"]),
    _selectors,
    _directions,
    _directions,
    st.sampled_from(["", "", "", "", "it could not be read"]),
)
pods = st.builds(
    lambda hosts, **fields: Pod(addresses=tuple(address(*one) for one in hosts), **fields),
    hosts=st.lists(st.tuples(st.sampled_from(HOSTS[:6]), st.sampled_from([4, 6])), max_size=3, unique=True),
    namespace=st.sampled_from(SPACES),
    name=st.sampled_from(["p", "q", "r"]),
    labels=_labels,
    host_network=st.integers(0, 9).map(lambda found: found == 0),
    finished=st.integers(0, 9).map(lambda found: found == 0),
    created=st.sampled_from(["1", "2", "3"]),
    ports=st.dictionaries(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(_NAMED)), st.sampled_from(NUMBERS), min_size=1
    ),
)


@st.composite
def flows(draw: st.DrawFn) -> Flow:
    """Return a flow between two hosts; ICMP has no port."""
    version = draw(st.sampled_from([4, 6]))
    protocol = draw(st.sampled_from([*PROTOCOLS, ICMP]))
    source, target = (address(draw(st.sampled_from(HOSTS)), version) for _ in range(2))
    return Flow(source, target, protocol, 0 if protocol == ICMP else draw(st.sampled_from(NUMBERS)))


def snapshot_of(found: tuple[list[Pod], list[Namespace], list[Policy]]) -> Snapshot:
    """Return a cluster in which each name is there once."""
    those, spaces, rules = found
    return Snapshot(
        tuple({(one.namespace, one.name): one for one in those}.values()),
        {one.name: one for one in spaces},
        tuple({(one.namespace, one.name): one for one in rules}.values()),
    )


snapshots = st.tuples(
    st.lists(pods, min_size=2, max_size=8), st.lists(namespaces, max_size=3), st.lists(policies, min_size=1, max_size=5)
).map(snapshot_of)


def every_flow(versions: tuple[int, ...] = (4, 6)) -> Iterator[Flow]:
    """Yield the flows between all hosts, at all ports and of all protocols: some thousands."""
    for version in versions:
        hosts = [address(host, version) for host in HOSTS]
        for protocol in (*PROTOCOLS, ICMP):
            for port in (0,) if protocol == ICMP else NUMBERS:
                yield from (Flow(source, target, protocol, port) for source in hosts for target in hosts)
