"""What the node's table has to be, kept in the state directory, so that it can be put back without a call.

A call that puts the table in place writes the rules down, under the firewall's lock. They are read under the same lock,
so what a call has just replaced is never put back.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from slash80.firewall.records import Chain, Ruleset
from slash80.store import files
from slash80.store.locks import private, unusable

NAME = "firewall.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class KeptFirewall:
    """The rules, the network whose call put them in place, and how often they had to be put back since the boot."""

    ruleset: Ruleset
    network: str
    repairs: int = 0
    last_repair: str = ""


def read(state_dir: Path) -> KeptFirewall | None:
    """Return what is kept; None where nothing is, or another version of slash80 has written it in another way."""
    try:
        document = json.loads((state_dir / NAME).read_bytes())
        return _parsed(document) if document["version"] == _VERSION else None
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None


def current(state_dir: Path) -> KeptFirewall | None:
    """Return what `read` does, and read only what was replaced since: an ADD pays a look at the file."""
    return _read_before(state_dir, files.identity(state_dir / NAME))


def remember(state_dir: Path, ruleset: Ruleset, network: str) -> None:
    """Keep the rules that were put in place, unless they are kept already; raise IoFailure."""
    known = current(state_dir)
    if known is None or (known.ruleset, known.network) != (ruleset, network):
        write(state_dir, replace(known or KeptFirewall(ruleset, network), ruleset=ruleset, network=network))


@lru_cache(maxsize=1)
def _read_before(state_dir: Path, _: object) -> KeptFirewall | None:
    return read(state_dir)


def _parsed(document: dict[str, Any]) -> KeptFirewall:
    ruleset, repairs = document["ruleset"], document["repairs"]
    if not isinstance(repairs, int) or repairs < 0:
        raise TypeError(NAME)
    chains = tuple(map(_chain, ruleset["chains"]))
    rules = Ruleset(_text(ruleset["text"]), _text(ruleset["fingerprint"]), chains)
    return KeptFirewall(rules, _text(document["network"]), repairs, _text(document["lastRepair"]))


def _chain(document: dict[str, Any]) -> Chain:
    rules, of_node = tuple(map(_text, document["rules"])), document["of_node"] is True
    return Chain(_text(document["name"]), rules, _text(document["hook"]), of_node=of_node)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(NAME)
    return value


def write(state_dir: Path, kept: KeptFirewall) -> None:
    """Keep this, by rename; raise IoFailure."""
    document = {
        "version": _VERSION,
        "network": kept.network,
        "ruleset": asdict(kept.ruleset),
        "repairs": kept.repairs,
        "lastRepair": kept.last_repair,
    }
    path = private(state_dir) / NAME
    try:
        files.replace(path, json.dumps(document))
    except OSError as error:
        raise unusable(path, error) from error
