"""Forwarding on the host: sysctls that are written down, and discard routes that come and go."""

import errno
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from slash80.addressing.family import IPV4, IPV6, Prefix
from slash80.errors import Failure, IoFailure
from slash80.host import forwarding
from slash80.host.context import Host
from unit.builders import attachment, host_in
from unit.kernels import Kernel
from unit.wiring.plans import route

FAMILIES = (IPV4, IPV6)
MINE, OLD = ip_network("10.80.1.0/24"), ip_network("10.80.9.0/24")
PREFIXES: tuple[Prefix, ...] = (MINE,)


def _command(word: str, prefix: Prefix) -> str:
    return f"ip route {word} unreachable {prefix} metric 4294967295 proto 180"


def _discarding(*prefixes: Prefix) -> list[bytes]:
    """Show the discard routes of these prefixes."""
    return [route(str(prefix), index=0, kind=7, priority=2**32 - 1) for prefix in prefixes]


@pytest.fixture
def host(mocker: MockerFixture, tmp_path: Path) -> Host:
    """Return a host whose kernel takes any discard route, and whose sysctls were 0."""

    def forward(_: object, remember: Callable[[str, str], None]) -> None:
        remember("ipv4/ip_forward", "0")

    mocker.patch("slash80.host.forwarding.sysctl.forward", side_effect=forward)
    mocker.patch("slash80.host.forwarding.boottime", return_value=5000.0)
    answers: dict[str, int | list[bytes]] = {_command("add", MINE): 0, _command("del", OLD): 0}
    host = host_in(tmp_path / "state", Kernel(answers))
    host.store.attachments()
    return host


def _kernel(host: Host) -> Kernel:
    assert isinstance(host.netlink, Kernel)
    return host.netlink


def test_a_host_is_prepared_once_for_adds_in_quick_succession(host: Host) -> None:
    """The second ADD finds what the first did; a repair does it in any case."""
    for _ in range(2):
        forwarding.prepare(host, FAMILIES, PREFIXES)
    assert [_command("add", MINE)] == _kernel(host).done

    forwarding.restore(host, FAMILIES, PREFIXES)
    assert [_command("add", MINE)] * 2 == _kernel(host).done


def test_a_former_sysctl_is_written_down(host: Host) -> None:
    """Its value goes to a file from which the uninstaller restores it; what an earlier call wrote stays."""
    for _ in range(2):
        forwarding.enable(host, FAMILIES)

    assert "ipv4/ip_forward 0\n" * 2 == (host.locks.state_dir / forwarding.SYSCTLS).read_text()


def test_a_sysctl_that_cannot_be_written_down_is_not_changed(host: Host) -> None:
    """The uninstaller could not restore it; the error names the file."""
    (host.locks.state_dir / forwarding.SYSCTLS).mkdir()

    with pytest.raises(IoFailure, match="sysctls: Is a directory"):
        forwarding.enable(host, FAMILIES)


def test_a_discard_route_that_the_kernel_refuses_is_a_failure(host: Host) -> None:
    """The sentence has the command."""
    _kernel(host)._answers[_command("add", MINE)] = errno.EPERM

    with pytest.raises(Failure, match=_command("add", MINE)):
        forwarding.restore(host, FAMILIES, PREFIXES)


def test_a_network_without_pods_keeps_its_discard_routes(host: Host) -> None:
    """Only routes for prefixes that it had before are deleted, and the commands are returned."""
    _kernel(host)._answers["ip -4 route show"] = _discarding(MINE, OLD)

    assert [_command("add", MINE), _command("del", OLD)] == forwarding.keep_discard_routes(host, "net", PREFIXES)


def test_a_discard_route_with_a_pod_in_its_prefix_stays(host: Host) -> None:
    """Its network was renamed, and the pod is still there."""
    _kernel(host)._answers["ip -4 route show"] = _discarding(ip_network("10.80.1.0/28"))
    host.store.keep(attachment())

    assert [_command("add", MINE)] == forwarding.keep_discard_routes(host, "net", PREFIXES)


def test_no_discard_route_goes_while_no_network_is_known(host: Host) -> None:
    """The store was lost, and the next ADD says again which prefixes there are."""
    _kernel(host)._answers["ip -4 route show"] = _discarding(OLD)

    assert [] == forwarding.delete_unneeded_discard_routes(host)


def test_a_network_whose_pod_was_just_removed_is_remembered_for_longer(host: Host, mocker: MockerFixture) -> None:
    """Its discard routes go an hour after its last call."""
    _kernel(host)._answers |= {_command("add", OLD): 0, "ip -4 route show": _discarding(OLD)}
    forwarding.keep_discard_routes(host, "old", (OLD,))
    forwarding.keep_discard_routes(host, "net", PREFIXES)
    clock = mocker.patch("slash80.host.forwarding.boottime", return_value=8000.0)
    assert [] == forwarding.delete_unneeded_discard_routes(host, {"old"})

    clock.return_value = 9000.0
    assert [] == forwarding.delete_unneeded_discard_routes(host)
    forwarding.keep_discard_routes(host, "net", PREFIXES)
    clock.return_value = 11700.0
    assert [_command("del", OLD)] == forwarding.delete_unneeded_discard_routes(host)
