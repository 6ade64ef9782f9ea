"""The demonstration of `make demo`: a site of network namespaces, two pods by the frozen plugin, who reaches whom.

The second act, three clusters, is in `demo_clusters`.
"""

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from lab import demo_clusters, snapshot
from lab.namespaces import Namespace
from lab.plugin import Frozen
from lab.probes import Server, ask, source_seen
from lab.rig import Attachment, Rig, configuration
from lab.topology import INTERNET4, INTERNET6, Site

Probe = tuple[str, bool]
REFUSED_AFTER = 0.5  # seconds without an answer that count as refused


def picture(rig: Rig, pods: list[Attachment]) -> str:
    """Draw the site with the addresses that it really has."""
    node = rig.node
    lines = [
        "   Internet host                 router                    node",
        f"   {INTERNET6:<22} ------- routes the /80 ------- {node.ipv6}, {node.ipv4}",
        f"   {INTERNET4:<22}         to the node            {node.prefix6}, {node.prefix4}",
    ]
    for number, pod in enumerate(pods, 1):
        lines.append(f"{'':58}|--- pod {number}: {pod.ipv6}")
        lines.append(f"{'':58}|           {pod.ipv4}")
    return "\n".join(lines)


def attach(rig: Rig, times: list[float]) -> Attachment:
    """ADD one pod and note how long it took."""
    pod = rig.site.pod()
    outcome = rig.plugin.call("ADD", container_id=pod.name, netns=pod, conf=rig.conf)
    if outcome.code:
        sys.exit(f"ADD failed: {outcome.json['msg']}")
    times.append(outcome.seconds)
    return Attachment(pod, outcome.json)


def probes(rig: Rig, one: Attachment, two: Attachment) -> Iterator[Probe]:
    """Try who reaches whom, in both families; each comes out as it should or not."""
    internet = rig.site.internet
    for name, target in (("IPv6", two.ipv6), ("IPv4", two.ipv4)):
        own = one.ipv6 if name == "IPv6" else one.ipv4
        yield from _seen(f"pod 1 -> pod 2        {name}", one.pod, target, own)
    yield from _seen("pod 1 -> Internet     IPv6", one.pod, INTERNET6, one.ipv6)
    yield from _seen("pod 1 -> Internet     IPv4", one.pod, INTERNET4, rig.node.ipv4)
    for name, target, own in (("IPv6", one.ipv6, rig.node.ipv6), ("IPv4", one.ipv4, rig.node.ipv4)):
        yield from _seen(f"node  -> pod 1        {name}", rig.host, target, own)
    for name, target in (("IPv6", one.ipv6), ("IPv4", one.ipv4)):
        reached = any(ask(internet, target, protocol, timeout=REFUSED_AFTER) for protocol in ("tcp", "udp"))
        yield f"Internet -> pod 1     {name}: {'REACHED' if reached else 'refused, no answer'}", not reached
    trusting = rig.having(firewall={"trusted": [f"{INTERNET6}/128"]})
    trusting.cycle()  # an ADD brings the node's firewall to its settings
    yield from _seen("Internet -> pod 1     IPv6, once it is trusted", internet, one.ipv6, INTERNET6)
    rig.cycle()


def _seen(what: str, client: Namespace, target: str, expected: str) -> Iterator[Probe]:
    source = source_seen(client, target, "tcp")
    if source is None:
        yield f"{what}: NO ANSWER", False
    else:
        yield f"{what}: answered, source seen {source}", source == expected


def show(rig: Rig) -> bool:
    """Run the whole demonstration; return whether all of it went as it should."""
    times: list[float] = []
    rig.detach(attach(rig, times))  # the first pod of a node brings what stays: firewall, forwarding, prefix routes
    before = snapshot.take(rig.host)
    one, two = attach(rig, times), attach(rig, times)
    print(f"\n{picture(rig, [one, two])}\n")
    print(f"What the runtime got for pod 1:\n{json.dumps(one.result, indent=2)}\n")
    with Server(one.pod), Server(two.pod), Server(rig.site.internet):
        found = list(probes(rig, one, two))
    for text, right in found:
        print(f"  {_mark(right=right)} {text}")
    first, *later = (round(seconds * 1000) for seconds in times)
    print(
        f"\nADD took {first} ms for the node's first pod, firewall included, then {' and '.join(map(str, later))} ms."
    )
    rig.detach(one)
    rig.detach(two)
    left = snapshot.difference(before, snapshot.take(rig.host))
    print(f"After DEL the node's links, addresses, routes, neighbours, rules and sysctls differ in {len(left)} places.")
    print(*(f"  {line}\n" for line in left), sep="", end="")
    return all(right for _, right in found) and not left


def show_clusters(site: Site, root: Path, folder: Path) -> bool:
    """Run the second act; return whether all of it went as it should."""
    all_right = True
    for said in demo_clusters.show(site, root, folder):
        if isinstance(said, str):
            print(said)
        else:
            text, right = said
            all_right &= right
            print(f"  {_mark(right=right)} {text}")
    return all_right


def _mark(*, right: bool) -> str:
    """Return how a line begins that says what came out, in green or red on a terminal."""
    word, colour = ("ok  ", 32) if right else ("BAD ", 31)
    return f"\033[{colour}m{word}\033[0m" if sys.stdout.isatty() else word


def interrupted(number: int, _frame: object) -> NoReturn:
    """Leave through all the context managers that remove what was made."""
    sys.exit(128 + number)


def main() -> int:
    """Build the site, tell the story, remove everything."""
    signal.signal(signal.SIGTERM, interrupted)
    print("slash80: public IPv6 and IPv4 for every pod, closed by default. All of this happens in network namespaces.")
    with tempfile.TemporaryDirectory(prefix="slash80-demo-") as folder, Site(nodes=3, route_ipv4_pods=True) as site:
        root = Path(os.environ["SLASH80_ROOT"])
        plugin = Frozen(site.node.namespace, root=root)
        right = show(Rig(site, site.node, plugin, configuration(site.node, Path(folder) / "state")))
        right &= show_clusters(site, root, Path(folder))
    print("The namespaces and the state directory of this demonstration are removed.")
    return 0 if right else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; everything is removed")
