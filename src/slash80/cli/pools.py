"""How many addresses of this node are in use: of each pool of the networks that runtimes are told of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slash80.addressing.pool import Pool
from slash80.agent import files
from slash80.cni import document as documents
from slash80.cni.document import Document
from slash80.desired.problems import Problem, Reason
from slash80.errors import CniError
from slash80.settings import network as configuration
from slash80.settings import node as nodefile
from slash80.settings.network import RemovalConf

_ALMOST = 10  # of a hundred addresses so many are left, or fewer
_COUNTABLE = 1 << 32  # addresses; larger counts are not useful to read


@dataclass(frozen=True, slots=True)
class PoolLine:
    """A family's prefixes of one network, and how many of their addresses pods have."""

    family: str
    prefixes: list[str]
    allocated: int
    total: int

    @property
    def left(self) -> int:
        """How many addresses may still be handed out, those that rest among them."""
        return self.total - self.allocated

    def __str__(self) -> str:
        """Return the line as people read it."""
        of = f" of {self.total}" if self.total < _COUNTABLE else ""
        text = f"{self.family} {', '.join(self.prefixes)}: {self.allocated}{of} addresses in use"
        if self.left > self.total * _ALMOST // 100:
            return text
        return f"{text}, {'almost ' if self.left else ''}full: delete pods or add a prefix"


def lines(conf_dir: Path, state_dir: Path) -> tuple[list[PoolLine], list[Problem]]:
    """Return the pools of this node, and what is wrong with its configurations; looking must not make anything."""
    from slash80.host.context import store_in  # noqa: PLC0415 -- the store, which not every command needs

    pools: dict[str, Pool] = {}
    problems = []
    found = [(path, files.read(path)) for path in files.configurations(conf_dir)]
    if not found and (state_dir / nodefile.NAME).exists():  # the runtime's are elsewhere, as seen from a container
        found = [(state_dir / nodefile.NAME, files.conflist(state_dir))]
    for path, document in found:
        if document is None:
            message = f"{path} is not a JSON object, so no runtime can use it; correct it or remove it"
            problems.append(Problem(Reason.CONFIGURATION_UNUSABLE, str(path), message))
            continue
        try:
            pools |= {f"{pool.family} {pool}": pool for pool in _pools(document, state_dir)}
        except CniError as error:
            problems.append(Problem(Reason.CONFIGURATION_UNUSABLE, str(path), f"{path}: {error.msg}"))
    every = list(pools.values())
    if not (state_dir / "state.db").exists():
        return [_line(pool, 0) for pool in every], problems
    counted = store_in(state_dir, timeout=5).read(lambda ledger: [ledger.counts(pool, 0).allocated for pool in every])
    return list(map(_line, every, counted)), problems


def _line(pool: Pool, allocated: int) -> PoolLine:
    return PoolLine(str(pool.family), list(map(str, pool.prefixes)), allocated, pool.total)


def _pools(document: Document, state_dir: Path) -> Iterator[Pool]:
    """Return the pools of the plugins of ours that a configuration has, of this state directory."""
    from slash80.host import compiled_network  # noqa: PLC0415 -- the same

    listed = documents.objects(document, "plugins") or [document]
    for plugin in (plugin for plugin in listed if documents.get(plugin, "type") == "slash80"):
        if configuration.parse(RemovalConf, plugin).state_dir == state_dir:
            yield from compiled_network.read(plugin).pools.values()
