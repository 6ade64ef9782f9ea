"""critest's specs that concern the network, with the shipped plugin alone: it makes host ports itself.

They ask for one address and IPv4 only: test_pods.py asks the same of both families. Without an agent, and with the
oldest runtime only, except at night; test_agent.py has the other half.
"""

from pathlib import Path

from runtime.critest import critest
from runtime.node import Node
from runtime.release import DEBIAN, NEWEST, usually

pytestmark = usually(DEBIAN)
_FOCUS = ["Networking", r"\] PodSandbox", "Streaming", "HostNetwork", "Multiple Containers"]
_FOCUS_OF = {
    DEBIAN: _FOCUS,  # its runc has no user namespaces, and it calls the removal of an unknown pod an error
    NEWEST: [*_FOCUS, "UserNamespaces", "Idempotence .*PodSandbox"],
}
_SPECS = {DEBIAN: 20, NEWEST: 29}  # what the reference plugins bridge and portmap pass here


def test_critest(node: Node, tools: Path) -> None:
    """All specs on networking, host ports, pod sandboxes, streaming, host network and user namespaces pass."""
    version = node.daemon.release.version
    node.use(node.conflist())

    report = critest(node.box, tools / "critest.test", _FOCUS_OF[version])

    assert report.failed == {}
    assert len(report.passed) >= _SPECS[version]
    assert any("port mapping with host port and container port" in name for name in report.passed)
    assert node.remains() == []
