"""Running the `nft` program. libnftables is GPL-2 and so never linked into the frozen engine."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from slash80.errors import FirewallUnusable
from slash80.firewall.rules import TABLE, Ruleset

FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin")
_SECONDS = 10.0


def replace(ruleset: Ruleset, comment: str) -> None:
    """Put the table in place of any older one, in one transaction; raise FirewallUnusable with nft's words."""
    _run(["-f", "-"], _script(ruleset, comment), _SECONDS)


def remove() -> None:
    """Take the table away, if it is there; raise FirewallUnusable with nft's words."""
    table = f"table inet {TABLE}"
    _run(["-f", "-"], f"{table}\ndelete {table}\n", _SECONDS)


def check(ruleset: Ruleset, seconds: float) -> None:
    """Have nft and the kernel check the table without putting it in place; raise FirewallUnusable."""
    _run(["--check", "-f", "-"], _script(ruleset, ""), seconds)


def _script(ruleset: Ruleset, comment: str) -> str:
    table = f"table inet {TABLE}"
    return f'{table}\ndelete {table}\n{table} {{\n\tcomment "{comment}"\n{ruleset.text}\n}}\n'


def _run(arguments: list[str], script: str, seconds: float) -> None:
    # The runtime's PATH may be empty, and the frozen engine's library path must not reach a program of the node.
    environment = {"PATH": ":".join(FOLDERS), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [_program(), *arguments],
            input=script.encode(),
            capture_output=True,
            env=environment,
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        msg = f"nft did not finish within {seconds:g} s; find out what holds the node's firewall"
        raise FirewallUnusable(msg) from error
    except OSError as error:
        msg = f"nft cannot be run: {error.strerror}; install nftables on the node"
        raise FirewallUnusable(msg) from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        msg = (
            f"nft refuses the base firewall: {lines[0]}; check nft's version (1.0 or newer) and the kernel's nf_tables"
        )
        raise FirewallUnusable(msg, details=script)


def _program() -> str:
    for folder in map(Path, FOLDERS):
        if os.access(folder / "nft", os.X_OK):
            return str(folder / "nft")
    msg = f"no program 'nft' in {', '.join(FOLDERS)}, so pods cannot be kept closed; install nftables on the node"
    raise FirewallUnusable(msg)
