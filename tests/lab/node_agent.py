"""The plugin's agent with its controller, as on a Kubernetes node, beside an API server of the tests' own."""

import json
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from lab import certificates
from lab.agent import Agent
from lab.kube import FakeApi, node
from lab.topology import Node
from lab.waiting import wait_until

_NODES, _CIDRS = "/api/v1/nodes", "/apis/networking.k8s.io/v1/servicecidrs"
_NAME, _PORT = "a", 9180
# In a mount namespace of its own, where /var holds nothing but the service account, as in the image.
WITH_ACCOUNT = """
secrets=/var/run/secrets/kubernetes.io
mount -t tmpfs none /var
mkdir -p "$secrets"
cp -r "$1" "$secrets/serviceaccount"
shift
exec "$@"
"""


class NodeAgent(Agent):
    """`slash80 agent` of a node's executable; its folders lie beside its state directory."""

    def __init__(self, host: Node, root: Path, state_dir: Path, *, api: FakeApi) -> None:
        super().__init__(host.namespace, root, state_dir)
        self.api, self._folder, self._url = api, state_dir.parent, host.namespace.run(api.start)

    def start(self, **environ: str) -> None:
        """Start it, and wait until pods can be attached."""
        address, port = self._url.removeprefix("https://").split(":")
        report = self.state_dir / "agent.json"
        report.unlink(missing_ok=True)
        super().start(KUBERNETES_SERVICE_HOST=address, KUBERNETES_SERVICE_PORT=port, **environ)
        wait_until(lambda: report.exists() and json.loads(report.read_text())["ready"])

    def scrape(self) -> str:
        """Return what it tells Prometheus."""

        def get() -> str:
            with urlopen(f"http://127.0.0.1:{_PORT}/metrics", timeout=60) as answer:
                return str(answer.read(), "utf-8")

        return self._host.run(get)

    def conf(self) -> dict[str, Any]:
        """Return the configuration that a runtime takes from the conflist, with patience for a busy machine."""
        conflist = json.loads((self._conf_dir / "05-slash80.conflist").read_text())
        found: dict[str, Any] = conflist["plugins"][0] | {key: conflist[key] for key in ("name", "cniVersion")}
        return found | {"lockTimeout": 50}

    @property
    def _conf_dir(self) -> Path:
        return self._folder / "net.d"

    def _command(self) -> list[str | Path]:
        account: list[str | Path] = ["unshare", "--mount", "sh", "-euc", WITH_ACCOUNT, "sh", self._folder / "account"]
        options: list[str | Path] = ["--node", _NAME, "--config", self._folder / "config.yaml"]
        options += ["--conf-dir", self._conf_dir, "--data-dir", self._folder / "data", "--health", f"127.0.0.1:{_PORT}"]
        return [*account, self.program, "agent", "--state-dir", self.state_dir, *options]


def _in_this_process(account: Path) -> FakeApi:
    """Return an API server with the certificate of a service account's folder."""
    api = FakeApi(tls=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    assert api.tls
    api.tls.load_cert_chain(account / "ca.crt", account / "ca.key")
    return api


@contextmanager
def node_agent(
    host: Node,
    root: Path,
    folder: Path,
    *,
    prefix4: str = "",
    make_api: Callable[[Path], FakeApi] = _in_this_process,
) -> Iterator[NodeAgent]:
    """Run a node's agent in a new folder, with an API server that knows it, another node and the Services' ranges."""
    account = folder / "account"
    for made in (folder, account, folder / "net.d"):
        made.mkdir()
    (account / "token").write_text("token")
    certificates.make(account, "ca", "subjectAltName=IP:127.0.0.1")
    api = make_api(account)
    api.put(_NODES, node(_NAME, cidrs=[prefix4 or host.prefix4, host.prefix6], addresses=[host.ipv4, host.ipv6]))
    peer = [host.router4, host.router6]
    api.put(_NODES, node("b", cidrs=["10.80.9.0/24", "2001:db8:0:9:1::/80"], addresses=peer))
    api.put(_CIDRS, {"metadata": {"name": "kubernetes"}, "spec": {"cidrs": ["10.97.0.0/16", "fd00:10:97::/112"]}})
    agent = NodeAgent(host, root, folder / "state", api=api)
    try:
        with agent:
            yield agent
    finally:
        agent.end()
        api.stop()
