"""Kernel settings: written only where they are wrong, and never so that the node loses its way out."""

from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.family import FAMILIES, IPV4, IPV6
from slash80.errors import Failure
from slash80.wiring import sysctl

LEARNED = f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 1 0 00450003 eth0.5\n"
BY_HAND = f"{'0' * 32} 00 {'0' * 32} 00 fe800000000000000000000000000001 00000400 1 0 00000003 eth1\n"
OTHERS = f"20010db8{'0' * 24} 40 {'0' * 32} 00 {'0' * 32} 00000100 1 0 00050001 eth2\n"


@pytest.fixture
def root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Return a /proc/sys/net of a node that does not forward, and whose default route is learned."""
    keys = {"ipv4/ip_forward": "0", "ipv6/conf/all/forwarding": "0", "ipv6/conf/lo/disable_ipv6": "0"}
    for link in ("eth0.5", "eth1", "eth2"):
        keys |= {f"ipv6/conf/{link}/accept_ra": "1", f"ipv6/conf/{link}/disable_ipv6": "1"}
    for key, value in keys.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_text(value + "\n")
    (tmp_path / "routes").write_text(BY_HAND + OTHERS + LEARNED)
    monkeypatch.setattr(sysctl, "_ROOT", tmp_path)
    monkeypatch.setattr(sysctl, "_writable", None)
    monkeypatch.setattr(sysctl, "_ROUTES6", tmp_path / "routes")
    return tmp_path


def _values(root: Path, *keys: str) -> list[str]:
    return [(root / key).read_text().strip() for key in keys]


def _nobody(key: str, value: str) -> None:
    """Ignore what a setting was."""


def test_sysctl_is_journaled_and_restored(root: Path) -> None:
    """Each setting is recorded before it is written, and restored to its first value unless it was changed since."""
    told: list[tuple[str, str]] = []
    sysctl.forward(FAMILIES, lambda key, value: told.append((key, value)))
    sysctl.forward(FAMILIES, lambda key, value: told.append((key, value)))

    accept, forward4, forward6 = "ipv6/conf/eth0.5/accept_ra", "ipv4/ip_forward", "ipv6/conf/all/forwarding"
    assert [(forward4, "0"), (accept, "1"), (forward6, "0")] == told
    (root / forward4).write_text("2")
    restored = sysctl.restore([*told, (accept, "2")])
    assert ["net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.5.accept_ra"] == restored
    assert ["1", "2", "0"] == _values(root, accept, forward4, forward6)


def test_sysctl_that_stops_forwarding_is_named(root: Path) -> None:
    """Slashes separate its parts, since a link's name may have dots; IPv6 has one setting for all links only."""
    (root / "ipv4/ip_forward").write_text("1")
    (root / "ipv4/conf/s80a.b").mkdir(parents=True)
    (root / "ipv4/conf/s80a.b/forwarding").write_text("0")

    assert "net/ipv4/conf/s80a.b/forwarding" == sysctl.keeps_from_forwarding(IPV4, "s80a.b")
    assert "net/ipv6/conf/all/forwarding" == sysctl.keeps_from_forwarding(IPV6, "s80a.b")
    for key in ("ipv4/conf/s80a.b/forwarding", "ipv6/conf/all/forwarding"):
        (root / key).write_text("1")
    assert ["", ""] == [sysctl.keeps_from_forwarding(family, "s80a.b") for family in FAMILIES]


def test_sysctl_is_written_through_a_writable_mount(root: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A container's own /proc/sys is read-only, and another mount of it is not."""
    other = tmp_path_factory.mktemp("other")
    (other / "ipv4").mkdir()
    sysctl.write_below(other)
    try:
        sysctl.write("ipv4/ip_forward", "1")
    finally:
        sysctl.write_below(root)

    assert ("0\n", "1") == ((root / "ipv4/ip_forward").read_text(), (other / "ipv4/ip_forward").read_text())


def test_forwarding_keeps_a_learned_default_route(root: Path) -> None:
    """Router advertisements stay accepted on links with a learned default route, and only there."""
    sysctl.forward(FAMILIES, _nobody)

    assert ["1", "1"] == _values(root, "ipv4/ip_forward", "ipv6/conf/all/forwarding")
    assert ["2", "1", "1"] == _values(root, *(f"ipv6/conf/{link}/accept_ra" for link in ("eth0.5", "eth1", "eth2")))


def test_forwarding_is_enabled_for_families_in_use(root: Path) -> None:
    """A node with IPv4 pods does not become an IPv6 router."""
    sysctl.forward((IPV4,), _nobody)

    assert ["1", "0", "1"] == _values(root, "ipv4/ip_forward", "ipv6/conf/all/forwarding", "ipv6/conf/eth0.5/accept_ra")


def test_forwarding_node_is_left_alone(root: Path) -> None:
    """Its administrator has decided about router advertisements."""
    (root / "ipv6/conf/all/forwarding").write_text("1\n")
    sysctl.forward((IPV6,), _nobody)

    assert ["1"] == _values(root, "ipv6/conf/eth0.5/accept_ra")


def test_forwarding_is_refused_if_the_default_route_would_be_lost(root: Path) -> None:
    """If advertisements cannot be accepted, forwarding is not enabled."""
    (root / "ipv6/conf/eth0.5/accept_ra").unlink()
    (root / "ipv6/conf/eth0.5/accept_ra").mkdir()
    with pytest.raises(Failure, match=r"cannot set net\.ipv6\.conf\.eth0\.5\.accept_ra to 2"):
        sysctl.forward((IPV6,), _nobody)

    assert ["0"] == _values(root, "ipv6/conf/all/forwarding")


def test_sysctl_with_the_right_value_is_not_written(root: Path) -> None:
    """/proc/sys may be read-only."""
    before = (root / "ipv4/ip_forward").stat().st_mtime_ns
    sysctl.write("ipv4/ip_forward", "0")

    assert before == (root / "ipv4/ip_forward").stat().st_mtime_ns


@pytest.mark.parametrize(("found", "left"), [("2", "0"), ("1", "1"), ("0", "0")])
def test_host_end_ignores_router_advertisements(root: Path, found: str, left: str) -> None:
    """A new link inherits the default, so accept_ra is changed only where the default is 2."""
    for name in ("default", "eth1"):
        (root / f"ipv6/conf/{name}").mkdir(exist_ok=True)
        (root / f"ipv6/conf/{name}/accept_ra").write_text(found)
    sysctl.guard_host_end("eth1")

    assert [left] == _values(root, "ipv6/conf/eth1/accept_ra")


def test_ipv6_is_enabled_for_the_named_links(root: Path) -> None:
    """Other existing links are not changed."""
    for name in ("lo", "default", "eth0", "eth1"):
        (root / f"ipv6/conf/{name}").mkdir(exist_ok=True)
        (root / f"ipv6/conf/{name}/disable_ipv6").write_text("1")
    sysctl.enable_ipv6("lo", "default", "eth0")

    names = ("lo", "default", "eth0", "eth1")
    assert ["0", "0", "0", "1"] == _values(root, *(f"ipv6/conf/{name}/disable_ipv6" for name in names))


def test_missing_ipv6_in_the_kernel_is_named(root: Path) -> None:
    """The error names the family and what is configured."""
    sysctl.require(FAMILIES)
    (root / "ipv6/conf/all/forwarding").unlink()
    sysctl.require((IPV4,))

    with pytest.raises(Failure, match=r"the kernel has no IPv6, but ipv6\.prefixes is configured"):
        sysctl.require(FAMILIES)


def test_keep_addr_on_down_falls_back_to_the_usual_procfs(root: Path, mocker: MockerFixture) -> None:
    """Without a mount the usual /proc/sys is written; if that fails too, the caller gets the error."""
    mocker.patch.object(sysctl, "_own_procfs").write.side_effect = PermissionError
    (root / "ipv6/conf/eth1/keep_addr_on_down").write_text("0")
    sysctl.keep_ipv6("eth1")

    assert ["1"] == _values(root, "ipv6/conf/eth1/keep_addr_on_down")
    with pytest.raises(OSError, match="nowhere"):
        sysctl.keep_ipv6("nowhere")
