"""The world around the node: a network namespace that is both its router and the Internet.

The uplink has an MTU that nothing has by default. The router knows the way to the node's IPv6 prefixes, as a
cloud's does, and none to private IPv4 addresses. Both ends have a link-local address from the start: while
the automatic one is tentative, a router cannot ask for its neighbour, and the first packets are lost.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.images import busybox, www
from runtime.sandbox import Sandbox

NETNS = "internet"
MTU = 1450
NODE = {4: "192.0.2.10", 6: "2001:db8:ff::10"}
NEAR = {4: "192.0.2.1", 6: "2001:db8:ff::1"}
FAR = {4: "198.51.100.1", 6: "2001:db8:1ce::1"}
PORT = 8080

_NODE_SIDE = f"""
link add uplink mtu {MTU} type veth peer name node mtu {MTU} netns {NETNS}
addr add {NODE[4]}/24 dev uplink
addr add {NODE[6]}/64 dev uplink nodad
addr add fe80::a/64 dev uplink nodad
link set uplink up
"""
_FAR_SIDE = f"""
addr add {NEAR[4]}/24 dev node
addr add {NEAR[6]}/64 dev node nodad
addr add fe80::b/64 dev node nodad
link set node up
link set lo up
addr add {FAR[4]}/32 dev lo
addr add {FAR[6]}/128 dev lo nodad
"""
_DEFAULT_ROUTES = f"""
route add default via {NEAR[4]}
route add default via {NEAR[6]}
"""


@contextmanager
def internet(box: Sandbox, routed: list[str]) -> Iterator[None]:
    """Connect the node; a web server on the far side tells each caller the address that it came from."""
    box.run(["ip", "netns", "add", NETNS])
    _batch(box, _NODE_SIDE)
    _batch(box, _FAR_SIDE + "".join(f"route add {prefix} via {NODE[6]}\n" for prefix in routed), NETNS)
    _batch(box, _DEFAULT_ROUTES)
    site = www(box.scratch / "www")
    with box.running([busybox(), "httpd", "-f", "-p", str(PORT), "-h", site], netns=NETNS):
        yield


def _batch(box: Sandbox, commands: str, netns: str = "") -> None:
    box.run(["ip", "-batch", "-"], stdin=commands, netns=netns)


def far_ping(box: Sandbox, address: str) -> subprocess.CompletedProcess[str]:
    """Send one ping from the Internet to an address."""
    return box.try_run([busybox(), "ping", "-c", "1", "-W", "2", address], netns=NETNS)


def far_connect(box: Sandbox, address: str) -> str:
    """Connect from the Internet to a web server; give the source that it saw, empty if there is no answer."""
    return connect(box, address, NETNS)


def connect(box: Sandbox, address: str, netns: str = "") -> str:
    """Connect from the node, or from a namespace; give the source that the web server saw, empty without an answer."""
    request = "GET /cgi-bin/whoami HTTP/1.0\r\n\r\n"
    answer = box.try_run([busybox(), "nc", "-w", "2", address, str(PORT)], netns=netns, stdin=request).stdout
    return source_in(answer)


def source_in(answer: str) -> str:
    """Find the source address in what `/cgi-bin/whoami` answered."""
    said = next((line for line in answer.splitlines() if line.startswith("from ")), "")
    return said.removeprefix("from ").strip("[]").removeprefix("::ffff:")
