"""The covers of this node: which prefixes it discards packets to that no pod has, and who needs that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CoverLine:
    """A cover, the networks that have its prefix, and how many addresses of it are held."""

    prefix: str
    networks: list[str]
    pods: int

    def __str__(self) -> str:
        """Return the line as people read it."""
        needed = [f"network {name}" for name in self.networks] + ([f"{self.pods} pods"] if self.pods else [])
        return f"{self.prefix}: {', '.join(needed) or 'needed by nobody, and goes with the next ADD or DEL'}"


def lines(state_dir: Path) -> list[CoverLine]:
    """Return the covers that there are; looking must not make anything."""
    from slash80.host.context import boottime, store_in  # noqa: PLC0415 -- the store, which not every command needs
    from slash80.wiring import discard_routes, netns  # noqa: PLC0415 -- the same

    with netns.socket_here() as host:
        found = discard_routes.present(host)
    if not (state_dir / "state.db").exists():
        return [CoverLine(str(prefix), [], 0) for prefix in found]
    store = store_in(state_dir, timeout=5)
    networks = store.read(lambda register: register.networks(boottime()))
    held = [address for one in store.attachments() for address in one.assignment.addresses]
    return [
        CoverLine(
            prefix=str(prefix),
            networks=sorted(name for name, prefixes in networks.items() if prefix in prefixes),
            pods=sum(address in prefix for address in held),
        )
        for prefix in found
    ]
