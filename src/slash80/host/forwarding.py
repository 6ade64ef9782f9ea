"""Forwarding on the host: the sysctls, and discard routes for addresses of the node's prefixes that no pod has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from slash80.addressing.family import Family, Prefix
from slash80.host import node_facts
from slash80.host.context import Host, boottime
from slash80.store.api import Register
from slash80.store.locks import unusable
from slash80.wiring import discard_routes, sysctl, veth

SYSCTLS = "sysctls"  # in the state directory: a line of key and former value for each sysctl that was changed


def prepare(host: Host, families: tuple[Family, ...], prefixes: tuple[Prefix, ...]) -> None:
    """Have the host forward packets, except to addresses of its prefixes that no pod has."""
    host.cache.get(("prepared", families, prefixes), lambda: restore(host, families, prefixes))


def restore(host: Host, families: tuple[Family, ...], prefixes: tuple[Prefix, ...]) -> None:
    """Do what `prepare` does, even if that was done a moment ago."""
    enable(host, families)
    with veth.translated():
        discard_routes.ensure(host.netlink, prefixes)
    node_facts.cover(host, prefixes)


def enable(host: Host, families: tuple[Family, ...]) -> None:
    """Have the host forward packets, and write down the former sysctls, which the uninstaller restores."""

    def remember(key: str, value: str) -> None:
        path = host.locks.state_dir / SYSCTLS
        try:
            with path.open("a", encoding="ascii") as file:
                file.write(f"{key} {value}\n")
        except OSError as error:
            raise unusable(path, error) from error

    sysctl.forward(families, remember)


def keep_discard_routes(host: Host, network: str, prefixes: tuple[Prefix, ...]) -> list[str]:
    """Have the discard routes of a network even if it has no pods; return the `ip` commands that were needed."""
    with veth.translated():
        done = discard_routes.ensure(host.netlink, prefixes)
    host.store.read(lambda register: register.note(network, prefixes, boottime()))
    return done + delete_unneeded_discard_routes(host)


def delete_unneeded_discard_routes(host: Host, alive: Collection[str] = ()) -> list[str]:
    """Delete discard routes that neither a network nor a pod needs; return the `ip` commands that were needed.

    Networks in `alive`, whose pod was just removed, are remembered for longer. Whether a route is needed is decided
    under the store's lock, and so is its deletion: an address allocated later finds its discard route added again.
    """
    with veth.translated():
        present = discard_routes.present(host.netlink)
        return host.store.read(partial(_delete_unneeded, host, present, alive=alive)) if present else []


def _delete_unneeded(host: Host, present: Sequence[Prefix], register: Register, *, alive: Collection[str]) -> list[str]:
    now = boottime()
    register.refresh(alive, now)
    if not (networks := register.networks(now)):
        return []  # the store was lost, and no network has been noted since
    needed = {prefix for prefixes in networks.values() for prefix in prefixes}
    unneeded = [prefix for prefix in present if prefix not in needed and not register.holds(prefix)]
    return discard_routes.delete(host.netlink, unneeded)
