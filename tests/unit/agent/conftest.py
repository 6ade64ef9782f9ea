"""A node for the parts to work on; nothing of this machine is changed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slash80.wiring import sysctl
from unit.agent.reconcilers.fakes import OWN, PEER, V4, V6, FakeHost, FakeSources, Setting, discard
from unit.kernels import Kernel

FORWARDING = ("ipv4/ip_forward", "ipv6/conf/all/forwarding")


@pytest.fixture
def sysctls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a /proc/sys/net of a node that does not forward yet."""
    root = tmp_path / "sysctls"
    for key in FORWARDING:
        (root / key).parent.mkdir(parents=True)
        (root / key).write_text("0\n")
    (root / "routes").touch()
    monkeypatch.setattr(sysctl, "_ROOT", root)
    monkeypatch.setattr(sysctl, "_writable", None)
    monkeypatch.setattr(sysctl, "_ROUTES6", root / "routes")
    return root


@pytest.fixture
def setting(tmp_path: Path, sysctls: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    """Provide a node `a` with a neighbour `b`, whose kernel knows the commands for discard routes."""
    (tmp_path / "state").mkdir()
    (tmp_path / "net.d").mkdir()
    kernel = Kernel({discard(V4): 0, discard(V6): 0})
    host = FakeHost(tmp_path / "state", kernel)
    found = Setting(tmp_path, FakeSources(OWN, PEER), kernel, host)
    monkeypatch.setattr("slash80.host.policies._table", lambda _: found.table)
    yield found
    host.store.close()
