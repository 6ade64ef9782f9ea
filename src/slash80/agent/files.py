"""The files that the agent writes for others, each by rename: `node.json`, the conflist, what `status` shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slash80.cni import document as documents
from slash80.cni import versions
from slash80.errors import BelongsToAnother, CniError, IoFailure
from slash80.store.files import replace

CONFLIST = "05-slash80.conflist"
REPORT = "agent.json"
LOCK = "agent.lock"
NETWORK = "slash80"
_OLDEST_IN_LIST = "0.3.1"  # an older version has no lists of plugins
_STATE_DIR = Path("/run/slash80")
_CAPABILITIES = {"ips": True, "mac": True, "dns": True, "io.kubernetes.cri.pod-annotations": True}
_ALL_CAPABILITIES = _CAPABILITIES | {"portMappings": True}  # the others alone are what the version before had
_SUFFIXES = {".conf", ".conflist", ".json"}


def conflist(state_dir: Path, capabilities: dict[str, bool] = _ALL_CAPABILITIES) -> dict[str, Any]:
    """Return the network configuration list of a node with an agent."""
    plugin: dict[str, Any] = {"type": "slash80", "source": "node", "capabilities": {**capabilities}}
    if state_dir != _STATE_DIR:
        plugin |= {"stateDir": str(state_dir), "socket": str(state_dir / "cni.sock")}
    # an old libcni knows no list of versions and takes the first key; a bare 1.1.0 would break its every ADD
    listed = [version for version in versions.SUPPORTED if versions.at_least(version, _OLDEST_IN_LIST)]
    return {"cniVersion": "1.0.0", "cniVersions": listed, "name": NETWORK, "plugins": [plugin]}


def install_conflist(folder: Path, state_dir: Path) -> bool:
    """Have the conflist in place; return whether it had to be written.

    A conflist that has our plugin in it stays as it is, since an operator may have put another plugin after it, unless
    it is what the version before wrote. Raise BelongsToAnother for anything else under our name, IoFailure when the
    folder cannot be written.
    """
    path = folder / CONFLIST
    try:
        found = documents.decode(path.read_bytes())
        ours, outdated = is_ours(found), found == conflist(state_dir, _CAPABILITIES)
    except FileNotFoundError:
        ours = outdated = True
    except OSError as error:
        raise IoFailure(f"{path} cannot be read: {error.strerror}; look at the mounts of the agent") from error
    except CniError as error:
        raise BelongsToAnother(f"{path} is not a network configuration list: {error}; delete it") from error
    if not ours:
        raise BelongsToAnother(f"{path} is not slash80's, but has its name; rename or delete it")
    if outdated:
        write(path, text(conflist(state_dir)), mode=0o644)
    return outdated


def is_ours(found: dict[str, Any]) -> bool:
    """Whether a network configuration list has our plugin in it; raise Undecodable when its plugins are no list."""
    return any(documents.get(plugin, "type") == "slash80" for plugin in documents.objects(found, "plugins"))


def earlier_than_ours(folder: Path) -> list[Path]:
    """Return the configurations that a runtime takes before ours, since it takes the first one only."""
    return [path for path in configurations(folder) if path.name < CONFLIST]


def configurations(folder: Path) -> list[Path]:
    """Return the network configurations that a runtime finds in a folder, in its order; empty without the folder."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in _SUFFIXES)
    except OSError:
        return []


def text(document: dict[str, Any]) -> str:
    """Write a document for people, too."""
    return json.dumps(document, indent=2) + "\n"


def write(path: Path, content: str, *, mode: int = 0o600) -> None:
    """Write a file as `replace` does; raise IoFailure when that fails."""
    try:
        replace(path, content, mode=mode)
    except OSError as error:
        raise IoFailure(f"{path} cannot be written: {error.strerror}; look at the space and the mounts") from error


def read(path: Path) -> dict[str, Any] | None:
    """Read what `write` wrote; None when it does not exist or is not a JSON object."""
    try:
        found = json.loads(path.read_bytes())
    except (OSError, RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None
