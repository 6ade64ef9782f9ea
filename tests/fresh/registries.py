"""How this machine reaches its package registries, carried into a bare Debian while that lives.

None of it is known to the project: names of hosts, proxies and authorities are this machine's alone.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from kind.debian import sources
from lab import programs

_FILES = (
    "/etc/hosts",
    "/etc/pip.conf",
    "/etc/resolv.conf",
    "/etc/apt/auth.conf",
    "/etc/apt/auth.conf.d",
    "/etc/ssl/certs/ca-certificates.crt",
    "/usr/local/share/ca-certificates",
)
_OF_HOME = (".config/go/env", ".config/pip/pip.conf", ".netrc")
_APT = re.compile(r"Acquire::(Check-|Retries|ForceIPv|https?(::| ))")
_VARIABLES = re.compile(
    r"(PIP_\w+|GO(AUTH|INSECURE|NOPROXY|NOSUMDB|PRIVATE|PROXY|SUMDB)|(https?|all|no)_proxy|SSL_CERT_\w+|\w+_CA_BUNDLE)",
    re.IGNORECASE,
)


def carry(root: Path) -> None:
    """Copy the files to the same places, and apt's settings for its way out."""
    home = Path(os.environ["HOME"])
    for path in [*sources(), *map(Path, _FILES), *(home / name for name in _OF_HOME)]:
        target = root / path.relative_to("/")
        if path.is_dir():
            shutil.copytree(path, target, dirs_exist_ok=True)
        elif path.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            shutil.copyfile(path, target)
    settings = [line for line in programs.run(["apt-config", "dump"]).splitlines() if _APT.match(line)]
    (root / "etc/apt/apt.conf.d/90machine").write_text("\n".join([*settings, ""]))


def environment() -> dict[str, str]:
    """Return the variables by which pip, Go and what they call are told of it."""
    found = {name: value for name, value in os.environ.items() if _VARIABLES.fullmatch(name)}
    if "://" not in found.get("PIP_FIND_LINKS", ""):
        found.pop("PIP_FIND_LINKS", None)  # a directory of this machine is not seen there
    return found
