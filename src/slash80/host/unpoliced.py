"""Which pods ran before it was ever known whether there are policies, as on a node whose slash80 was upgraded.

They go on as they are until the controller comes, whereas a pod that an ADD began closed stays closed, also when the
table is flushed meanwhile. So the first ADD that finds `policy.json` unknown writes down who was there.
"""

from __future__ import annotations

import json
from pathlib import Path

from slash80.host.context import Host
from slash80.store import files
from slash80.store.locks import unusable
from slash80.wiring import recover

NAME = "unpoliced.json"


def noted(host: Host, *, anew: bool) -> frozenset[str]:
    """Return the host ends of these pods, under the firewall's lock; where nothing is noted, note the living ones.

    Without `anew` none: there is a table of policies, which says of each pod what may be. Raise IoFailure when the note
    cannot be written.
    """
    path = host.locks.state_dir / NAME
    if (found := _read(path)) is not None:
        return found
    names = [link.name for link in recover.host_ends(host.netlink) if link.alias] if anew else []
    try:
        files.replace(path, json.dumps(names))
    except OSError as error:
        raise unusable(path, error) from error
    return frozenset(names)


def forget(host: Host) -> None:
    """Forget these pods, since it is known where policies are."""
    (host.locks.state_dir / NAME).unlink(missing_ok=True)


def _read(path: Path) -> frozenset[str] | None:
    """Return what is noted. Of a note that cannot be read nothing is believed, so these pods are closed."""
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        return frozenset()
    return frozenset(name for name in found if isinstance(name, str)) if isinstance(found, list) else frozenset()
