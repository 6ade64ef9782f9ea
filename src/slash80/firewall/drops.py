"""Rules that drop packets: each counts them and says in its comment why, and of which family they are.

By these comments the counters are read back from the kernel, also of a table that another version has installed.
"""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.family import FAMILIES, Family

REASONS = {
    "untrusted": "opened a connection to a pod from outside",
    "echo": "pinged a pod from outside, more often than firewall.echo allows",
    "too_big": "told a pod from outside that a packet of no known connection was too big, more than 100 times a second",
    "clusterip": "came from outside and were sent to a Service by its ClusterIP",
    "rate": "opened connections faster than firewall.connectionRate allows",
    "ports": "opened masqueraded connections to one port of one host faster than its share of ports allows",
    "nexthops": "went to one more host on the node's links than a pod may have the node look up at once",
    "hostport": "came from outside to a host port, which firewall.hostPorts does not open to them",
    "midstream": "were TCP of a pod to the outside without a known connection",
    "forged": "came from outside with an address of this node's own as their source",
    "source": "left a pod with a source that is not its own",
    "neighbours": "left a pod with one link-local source too many",
    "loopback": "were sent by a pod to the node's 127.0.0.1",
    "control": "were messages of a router or a DHCP server, from a pod",
    "metadata": "were sent by a pod to a metadata service of the cloud",
    "node": "were sent by a pod to a port of its own node that firewall.node does not list",
    "deleted": "came from or went to the link of a deleted pod",
    "egress": "were sent by a pod to where its NetworkPolicies let it send nothing",
    "ingress": "came to a pod from where its NetworkPolicies let nothing in",
    "closed": "came from or went to a pod whose NetworkPolicies are not known yet",
    "ended": "were of a connection that later NetworkPolicies do not allow",
}


def dropped(reason: str, packets: str = "", *, family: Family | None = None) -> Iterator[str]:
    """Return rules that drop what the words `packets` describe: one, of a family that they imply, or one for each."""
    if reason not in REASONS:
        raise AssertionError(f"'{reason}' has no words for people in REASONS")
    for one in [family] if family else FAMILIES:
        words = filter(None, ["" if family else f"meta nfproto {one.key}", packets, "counter drop"])
        yield f'{" ".join(words)} comment "{reason} {one.key}"'
