"""A host outside of the cluster: the sandbox itself, with addresses of the Internet, and a router's knowledge."""

from __future__ import annotations

import subprocess
import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import TracebackType
from typing import Self

from cluster.pods import client_of, url
from kind import __main__ as kind
from kind.cluster import Cluster

ADDRESS = {6: "2001:db8:ffff::10", 4: "198.51.100.10"}
PORT = 8090


class Outside:
    """It routes each node's prefixes to the node, as a provider does, and serves a page with the client's address."""

    def __init__(self, cluster: Cluster) -> None:
        """Store the cluster; nothing is created."""
        self._cluster = cluster
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Take the addresses, learn the routes, and serve."""
        for address in ADDRESS.values():
            self.run("ip", "address", "add", f"{address}/{ip_address(address).max_prefixlen}", "dev", "lo")
        self.learn()
        server: list[str | Path] = [kind.CLUSTER_TOOLS / "agnhost", "netexec", f"--http-port={PORT}", "--udp-port=-1"]
        with (self._cluster.sandbox.folder / "outside.log").open("wb") as log:
            self._server = subprocess.Popen(self._cluster.sandbox.entering(server), stdout=log, stderr=log)
        self._cluster.eventually(lambda: self.ask(url("127.0.0.1", "clientip", PORT)), what="a server outside")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop serving, and give the addresses back; the routes end with the cluster's network."""
        if self._server:
            self._server.kill()
            self._server.wait()
        for address in ADDRESS.values():
            self.run("ip", "address", "del", f"{address}/{ip_address(address).max_prefixlen}", "dev", "lo")

    def learn(self) -> None:
        """Route the prefixes of every node to its address of the family."""
        for node in self._cluster.items("nodes"):
            inner = [one["address"] for one in node["status"]["addresses"] if one["type"] == "InternalIP"]
            for prefix in map(ip_network, node["spec"]["podCIDRs"]):
                gateway = next(one for one in inner if ip_address(one).version == prefix.version)
                self.route(str(prefix), gateway)

    def route(self, prefix: str, gateway: str) -> None:
        """Route a prefix to an address."""
        self.run("ip", "route", "replace", prefix, "via", gateway)

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command out here."""
        return self._cluster.sandbox.run(command, check=check)

    def ask(self, page: str, *, seconds: int = 20) -> str:
        """Fetch a page; empty without an answer within so many seconds."""
        bound = ["--interface", ADDRESS[6 if "[" in page else 4]] if "127.0.0.1" not in page else []
        return self.run("curl", "-sgm", str(seconds), *bound, page, check=False)

    def client_seen_at(self, address: str, port: int) -> str:
        """Ask a web server who it thinks asks, and give that; empty when it does not answer."""
        return client_of(self.ask(url(address, "clientip", port)))

    def refused(self, page: str) -> bool:
        """Report whether there is no answer, now and a moment later."""
        time.sleep(0.1)
        return not self.ask(page, seconds=3) and not self.ask(page, seconds=3)
