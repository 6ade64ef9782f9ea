"""`slash80 uninstall` on a host with a kernel by its words: what goes, in which order, and what stops it."""

from argparse import Namespace as Arguments
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_mock import MockerFixture

from slash80.agent import files
from slash80.agent.files import LOCK
from slash80.cli.install import HOME
from slash80.cli.uninstall import uninstall
from slash80.host.context import CallContext, Host
from slash80.host.forwarding import SYSCTLS
from slash80.store.locks import FileLock
from unit.builders import attachment, host_in
from unit.kernels import Kernel
from unit.wiring.plans import link, route

pytestmark = pytest.mark.usefixtures("connections")
ONE = attachment()
NAME = ONE.host_ifname
DELETE = f"ip link del {NAME}"
NODE_ROUTE = "ip route del 10.80.2.0/24 via 192.0.2.2 proto 180"
DISCARD = "ip route del unreachable 10.80.1.0/24 metric 4294967295 proto 180"
ROUTES = [
    route("10.80.2.0/24", index=2, gateway="192.0.2.2"),
    route("10.80.1.0/24", index=0, kind=7, priority=2**32 - 1),
]
POD: dict[str, Any] = {"ip link show": [link(NAME)], f"ip link show {NAME}": [link(NAME)], DELETE: 0}


@dataclass
class Node:
    """A node on which everything that the uninstaller looks for can be."""

    folder: Path
    host: Host
    kernel: Kernel
    restored: list[Sequence[tuple[str, str]]] = field(default_factory=list)

    def uninstall(self, *, force: bool = False) -> int:
        """Run it and return its exit code."""
        folders = {f"{name}_dir": self.folder / name for name in ("bin", "conf", "data", "state")}
        return uninstall(Arguments(force=force, **folders))

    def restore(self, remembered: Sequence[tuple[str, str]]) -> list[str]:
        """Take the place of sysctl.restore."""
        self.restored.append(remembered)
        return [key for key, _ in remembered]


@pytest.fixture
def node(mocker: MockerFixture, tmp_path: Path) -> Node:
    """Return a node on which slash80 is installed, without a pod."""
    node = Node(tmp_path, host_in(tmp_path / "state", kernel := Kernel({})), kernel)
    for folder in ("bin", "conf", f"bin/{HOME}"):
        (tmp_path / folder).mkdir()
    (tmp_path / "bin/slash80").touch()
    (tmp_path / "bin" / HOME / "engine").touch()
    files.install_conflist(tmp_path / "conf", tmp_path / "state")
    node.host.store.attachments()
    mocker.patch("slash80.cli.uninstall.STANDALONE", CallContext(lambda _: nullcontext(node.host)))
    mocker.patch("slash80.cli.uninstall.apply.remove")
    mocker.patch("slash80.cli.uninstall.sysctl.restore", side_effect=node.restore)
    return node


def test_everything_that_was_made_goes_and_is_printed(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Conflist, links, routes, table, sysctls, state and programs are each named in a line; their folders stay."""
    node.kernel._answers |= POD | {"ip -4 route show": ROUTES, NODE_ROUTE: 0, DISCARD: 0}
    (node.folder / "state" / SYSCTLS).write_text("ipv4/ip_forward 0\nipv6/conf/all/forwarding 0\n")

    assert 0 == node.uninstall()
    assert [
        f"{node.folder}/conf/{files.CONFLIST}",
        f"link {NAME}",
        NODE_ROUTE,
        DISCARD,
        "table inet slash80",
        "table arp slash80",
        "ipv4/ip_forward",
        "ipv6/conf/all/forwarding",
        f"{node.folder}/state",
        f"{node.folder}/bin/slash80",
        f"{node.folder}/bin/{HOME}",
    ] == capsys.readouterr().out.splitlines()
    assert [[("ipv4/ip_forward", "0"), ("ipv6/conf/all/forwarding", "0")]] == node.restored
    assert {"bin", "conf"} == {path.name for path in node.folder.iterdir()}
    assert [] == [*(node.folder / "bin").iterdir(), *(node.folder / "conf").iterdir()]


def test_the_table_of_policies_goes_where_there_is_one(
    node: Node, mocker: MockerFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes before the base table, so that no pod that is forced away is without policies meanwhile."""
    removed = mocker.patch("slash80.cli.uninstall.PolicyTable.remove")
    node.host.table.policies = True  # type: ignore[attr-defined]
    assert 0 == node.uninstall()
    assert ["table inet slash80-policy", "table inet slash80"] == capsys.readouterr().out.splitlines()[1:3]
    removed.assert_called_once_with()


def test_nothing_is_removed_while_a_pod_is_alive(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """Without the conflist it could never be deleted; the sentence names the pod and the flag."""
    node.host.store.keep(ONE)
    node.kernel._answers |= POD

    assert 1 == node.uninstall()
    complaint = capsys.readouterr().err
    assert all(part in complaint for part in ("1 pods are attached", str(ONE.key), "--force"))
    assert DELETE not in node.kernel.done
    assert (node.folder / "conf" / files.CONFLIST).exists()
    assert [ONE] == node.host.store.attachments()


def test_a_pod_whose_link_is_gone_does_not_count(node: Node) -> None:
    """Its namespace vanished, and only the record is left."""
    node.host.store.keep(ONE)

    assert 0 == node.uninstall()


def test_force_removes_living_pods_too(node: Node) -> None:
    """They lose their links."""
    node.host.store.keep(ONE)
    node.kernel._answers |= POD

    assert 0 == node.uninstall(force=True)
    assert DELETE in node.kernel.done


def test_many_pods_are_named_by_the_first_three(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence does not list a hundred pods."""
    pods = [attachment(number, since=number) for number in range(1, 5)]
    for pod in pods:
        node.host.store.keep(pod)
        node.kernel._answers[f"ip link show {pod.host_ifname}"] = [link(pod.host_ifname)]

    assert 1 == node.uninstall()
    assert f"({pods[0].key}, {pods[1].key}, {pods[2].key}, ...)" in capsys.readouterr().err


def test_an_agent_that_runs_must_be_stopped_first(node: Node, capsys: pytest.CaptureFixture[str]) -> None:
    """It would put everything back."""
    with FileLock(node.folder / "state" / LOCK).held(1):
        assert 1 == node.uninstall()

    assert f"an agent serves {node.folder}/state; stop it first" in capsys.readouterr().err
    assert (node.folder / "bin/slash80").exists()


def test_a_conflist_of_somebody_else_under_our_name_stays(node: Node) -> None:
    """It has a plugin of another type in it."""
    path = node.folder / "conf" / files.CONFLIST
    path.write_text('{"cniVersion": "1.0.0", "name": "mine", "plugins": [{"type": "bridge"}]}')

    assert 0 == node.uninstall()
    assert path.exists()


def test_a_node_where_hardly_anything_was_made_is_uninstalled_as_well(node: Node) -> None:
    """No conflist, no program, no sysctl that was changed."""
    (node.folder / "conf" / files.CONFLIST).unlink()
    (node.folder / "bin/slash80").unlink()

    assert 0 == node.uninstall()
    assert [[]] == node.restored


def test_the_store_goes_before_the_locks(node: Node, mocker: MockerFixture) -> None:
    """A DEL that has waited for its lock sees that nothing is recorded any more, and makes nothing."""
    seen: list[bool] = []
    store, locks = node.folder / "state/state.db", node.folder / "state/locks"
    rmtree = mocker.patch("slash80.cli.uninstall.shutil.rmtree")
    rmtree.side_effect = lambda path: seen.append(path.name == "state" and locks.exists() and not store.exists())

    assert 0 == node.uninstall()
    assert seen[0]
