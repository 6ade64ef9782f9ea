"""`slash80 uninstall`: everything that slash80 has made on a node, away."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slash80.agent import files
from slash80.agent.files import LOCK
from slash80.cli.install import HOME
from slash80.errors import CniError, Failure
from slash80.firewall import apply
from slash80.firewall.policies.table import PolicyTable
from slash80.firewall.records import POLICY_TABLE
from slash80.host import removal
from slash80.host.context import STANDALONE, Host
from slash80.host.forwarding import SYSCTLS
from slash80.settings import network as configuration
from slash80.settings.network import RemovalConf
from slash80.store.locks import FileLock, private
from slash80.wiring import discard_routes, node_routes, recover, sysctl, veth


def uninstall(chosen: argparse.Namespace) -> int:
    """Remove all of it; print each thing. With pods of ours on the node nothing is removed, unless forced."""
    try:
        for line in _remove(chosen):
            print(line)
    except (CniError, OSError) as error:
        print(f"slash80 uninstall: {error}", file=sys.stderr)
        return 1
    return 0


def _remove(chosen: argparse.Namespace) -> list[str]:
    done: list[str] = []
    conf = configuration.parse(RemovalConf, {"stateDir": str(chosen.state_dir)})
    # with the locks of all attachments: a DEL in progress would create the store again
    with _agent_stopped(chosen.state_dir), STANDALONE.opened(conf) as host, host.locks.all_held():
        removal.reap(host)
        _refuse_pods(host, force=chosen.force)
        # first, so that no runtime sends further pods
        done += _unlink(
            chosen.conf_dir / files.CONFLIST, ours=files.is_ours(files.read(chosen.conf_dir / files.CONFLIST) or {})
        )
        for link in recover.host_ends(host.netlink):
            veth.detach(host.netlink, link.name)
            done.append(f"link {link.name}")
        done += node_routes.reconcile(host.netlink, ()).done
        with veth.translated():
            done += discard_routes.delete(host.netlink, discard_routes.present(host.netlink))
        if host.table.has_policies():
            PolicyTable().remove()
            done.append(f"table inet {POLICY_TABLE}")
        apply.remove()
        done += ["table inet slash80", "table arp slash80"]
        done += sysctl.restore(_remembered(chosen.state_dir))
        host.store.remove()  # before the locks, by which a DEL that has waited sees that nothing is kept any more
        shutil.rmtree(chosen.state_dir)
    done.append(str(chosen.state_dir))
    done += _unlink(chosen.bin_dir / "slash80", ours=True)
    for folder in (chosen.data_dir, chosen.bin_dir / HOME):
        if folder.is_dir():
            shutil.rmtree(folder)
            done.append(str(folder))
    return done


@contextmanager
def _agent_stopped(state_dir: Path) -> Iterator[None]:
    """Hold the agent's own lock; raise Failure while one runs, which would put everything back."""
    with FileLock(private(state_dir) / LOCK).tried() as free:
        if not free:
            msg = f"an agent serves {state_dir}"
            raise Failure(f"{msg}; stop it first: delete its DaemonSet, or systemctl disable --now slash80")
        yield


def _refuse_pods(host: Host, *, force: bool) -> None:
    living = [one for one in host.store.attachments() if not removal.is_dead(host, one)]
    if living and not force:
        names = ", ".join(str(one.key) for one in living[:3])
        msg = f"{len(living)} pods are attached by slash80 ({names}{', ...' if len(living) > 3 else ''})"
        raise Failure(f"{msg}; without the conflist they could never be deleted: delete them first, or give --force")


def _unlink(path: Path, *, ours: bool) -> list[str]:
    if not ours or not path.exists():
        return []
    path.unlink()
    return [str(path)]


def _remembered(state_dir: Path) -> list[tuple[str, str]]:
    path = state_dir / SYSCTLS
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [(key, value) for key, _, value in (line.partition(" ") for line in lines)]
