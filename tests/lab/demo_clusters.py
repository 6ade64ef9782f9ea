"""The second act of `make demo`: three clusters, and one file that says which of them belong together.

Each cluster is one node with the frozen plugin. What an agent does when the file changes is done here by its own code:
the file is read, `node.json` follows from it, and the firewall from that.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from lab import members
from lab.namespaces import Namespace
from lab.plugin import Frozen
from lab.policed import tell
from lab.probes import Server, ask, source_seen
from lab.rig import Attachment, Rig, configuration
from lab.topology import Site
from slash80.desired.node import desired
from slash80.desired.observed import Observed
from slash80.desired.prefixes import PrefixReport
from slash80.settings import policy
from slash80.settings.cluster import ClusterSettings
from slash80.settings.clusterset import Clusterset, parse

Line = tuple[str, bool]
REFUSED_AFTER = 0.5  # seconds without an answer that count as refused
NAMES = ("eu", "us", "ap")


@dataclass(frozen=True)
class Cluster:
    """A cluster of one node, and its pod."""

    name: str
    rig: Rig
    pod: Attachment

    @property
    def prefix(self) -> str:
        """The prefix of its pods."""
        return self.rig.node.prefix6

    def follow(self, clusterset: Clusterset) -> None:
        """Have the node's firewall follow from the file, as its agent does within a second."""
        _write_node_file(self.rig, clusterset)
        self.rig.in_process().cycle()  # an ADD brings the firewall to what `node.json` says


def show(site: Site, root: Path, folder: Path) -> Iterator[str | Line]:
    """Play the story: yield what is said, and what was tried with whether it came out as it should."""
    listed = _file(site, *NAMES[:2])
    clusters = [_cluster(site, number, name, listed, root=root, folder=folder) for number, name in enumerate(NAMES)]
    eu, us, ap = clusters
    yield "\nAct 2: three clusters, joined by one file. Between them is the Internet: no tunnel, no NAT, no broker."
    yield from (f"   cluster {one.name}: pods in {one.prefix}, here {one.pod.ipv6}" for one in clusters)
    yield f"\nclusterset.yaml, the same in every cluster (certificates and dates are left out here):\n{_text(eu, us)}"
    with Server(eu.pod.pod), Server(us.pod.pod), Server(ap.pod.pod):
        yield from (_answers(eu, us), _answers(us, eu), _refuses(ap, eu), _refuses(ap, us))
        yield f"\nOne line more in that file:\n{_entry(ap)}"
        _follow(_file(site, *NAMES), clusters)
        yield from (_answers(ap, eu), _answers(ap, us), _answers(eu, ap))
        yield "\nThat line is struck again:"
        _follow(listed, clusters)
        yield from (_refuses(ap, eu), _answers(eu, us))
    for one in clusters:
        one.rig.detach(one.pod)


def _cluster(site: Site, number: int, name: str, listed: Clusterset, *, root: Path, folder: Path) -> Cluster:
    node = site.nodes[number]
    conf = configuration(node, folder / name)
    rig = Rig(site, node, Frozen(node.namespace, root=root), conf).having(source="node", ipv6=None, ipv4=None)
    rig.state_dir.mkdir(mode=0o700)
    _write_node_file(rig, listed)
    tell(rig, policy.document(enforced=False, isolated=(), may_expose=None))  # there are no NetworkPolicies
    return Cluster(name, rig, rig.attach())


def _file(site: Site, *names: str) -> Clusterset:
    """Return the file with these members, read as agents read it."""
    entries = [members.entry(n, id=name, prefixes=[site.nodes[n].prefix6]) for n, name in enumerate(names)]
    return parse(members.text(*entries))


def _write_node_file(rig: Rig, clusterset: Clusterset) -> None:
    """Write `node.json` as the agent works it out."""
    prefixes = ip_network(rig.node.prefix6), ip_network(rig.node.prefix4)
    settings = ClusterSettings.model_validate({"firewall": {"clusterPrefixes": [*map(str, prefixes)]}})
    found = desired(Observed(settings, (PrefixReport("static", prefixes),), clustersets=(clusterset,)))
    assert found
    new = rig.state_dir / "node.json.new"
    new.write_text(json.dumps(found.node_file))
    new.rename(rig.state_dir / "node.json")


def _follow(clusterset: Clusterset, clusters: list[Cluster]) -> None:
    for one in clusters:
        one.follow(clusterset)


def _answers(client: Cluster, server: Cluster) -> Line:
    source = source_seen(client.pod.pod, server.pod.ipv6)
    said = f"answered, source seen {source}" if source else "NO ANSWER"
    return f"pod of {client.name} -> pod of {server.name}: {said}", source == client.pod.ipv6


def _refuses(client: Cluster, server: Cluster) -> Line:
    reached = _reached(client.pod.pod, server.pod.ipv6)
    said = "REACHED" if reached else "refused, no answer"
    return f"pod of {client.name} -> pod of {server.name}: {said}", not reached


def _reached(client: Namespace, address: str) -> bool:
    return ask(client, address, "tcp", timeout=REFUSED_AFTER) is not None


def _text(*clusters: Cluster) -> str:
    return "\n".join(["   name: shop", "   members:", *map(_entry, clusters)])


def _entry(cluster: Cluster) -> str:
    return f'   - {{id: {cluster.name}, prefixes: ["{cluster.prefix}"]}}'
