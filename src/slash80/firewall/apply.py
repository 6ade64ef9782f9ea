"""Writing the table with the `nft` program. It lies beside the frozen engine, and is GPL-2, so never linked with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from slash80.errors import FirewallUnusable
from slash80.firewall import arp, node_facts
from slash80.firewall.node_facts import NodeFacts
from slash80.firewall.records import ABOUT, TABLE, Element, Ruleset

FOLDERS = ("/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/local/bin")
_SECONDS = 10.0
_SECONDS_A_BYTE = 5e-6
_NO_FACTS = NodeFacts()


class Refused(FirewallUnusable):
    """The kernel refuses what it was given, or nft does, and nothing has changed."""


def replace(ruleset: Ruleset, comment: str, elements: Iterable[Element] = (), *, facts: NodeFacts = _NO_FACTS) -> None:
    """Replace the table, skeleton, elements and facts, in one transaction; raise FirewallUnusable with nft's words."""
    script = "".join((_script(ruleset, comment), *additions(elements), *facts.additions()))
    rewrite(script)


def rewrite(script: str) -> None:
    """Have nft load a script that brings the table about, and the table for ARP with it; raise FirewallUnusable."""
    _load_with_arp(script, arp.REMOVAL + arp.TEXT)


def clean(removal: str) -> None:
    """Have nft load a script that deletes what nothing leads to; raise FirewallUnusable."""
    _run(["-f", "-"], removal, _SECONDS)


def update(facts: NodeFacts) -> None:
    """Replace what the table says of the node; raise FirewallUnusable with nft's words."""
    _run(["-f", "-"], "".join((*node_facts.removals(), *facts.additions())), _SECONDS)


def remove() -> None:
    """Delete the tables, if they are there; raise FirewallUnusable with nft's words."""
    table = f"table inet {TABLE}"
    _load_with_arp(f"{table}\ndelete {table}\n", arp.REMOVAL)


def _load_with_arp(script: str, of_arp: str) -> None:
    """Load both in one transaction, or without the second where the kernel has no tables for ARP."""
    try:
        _run(["-f", "-"], script + of_arp, _SECONDS)
    except Refused:
        # A kernel may be built without (CONFIG_NF_TABLES_ARP). Pods are as closed then; if that was not the reason, it
        # is refused again.
        _run(["-f", "-"], script, _SECONDS)


def load(script: str, what: str) -> None:
    """Have nft load a script for a table other than the base one; raise FirewallUnusable with nft's words."""
    # The peers of a cluster of 100,000 pods are 15 MB, for which nft takes some seconds, on a busy machine a minute.
    _run(["-f", "-"], script, _SECONDS + len(script) * _SECONDS_A_BYTE, what=what)


def would_load(script: str, what: str) -> None:
    """Have nft and the kernel check such a script without changing anything; raise FirewallUnusable."""
    _run(["--check", "-f", "-"], script, _SECONDS + len(script) * _SECONDS_A_BYTE, what=what)


def check(ruleset: Ruleset, seconds: float) -> None:
    """Have nft and the kernel check the table without putting it in place; raise FirewallUnusable."""
    _run(["--check", "-f", "-"], _script(ruleset, ""), seconds)


def _script(ruleset: Ruleset, comment: str) -> str:
    table = f"table inet {TABLE}"
    return f"{table}\ndelete {table}\n{commented(TABLE, comment, ruleset.text)}"


def cleared(table: str) -> str:
    """Return the script that takes all rules out of a table, and its comment."""
    return f"table inet {table}\nflush table inet {table}\ndelete chain inet {table} {ABOUT}\n"


def commented(table: str, comment: str, text: str) -> str:
    """Return the script that adds this to a table, with a comment.

    That is a chain's, as the kernel takes a comment from who makes a table or a chain and never changes it afterwards
    (nf_tables_updtable).
    """
    return f'table inet {table} {{\n{text}\n}}\nadd chain inet {table} {ABOUT} {{ comment "{comment}" ; }}\n'


def additions(elements: Iterable[Element]) -> Iterator[str]:
    """Return the lines that add elements of pods."""
    for name, members in groupby(sorted(elements, key=lambda one: one.set_name), key=lambda one: one.set_name):
        yield f"add element inet {TABLE} {name} {{ {', '.join(map(str, members))} }}\n"


def _run(arguments: list[str], script: str, seconds: float, *, what: str = "the base firewall") -> None:
    # Nothing of the runtime's or the user's own, such as a library to be loaded first.
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
        msg = f"nft cannot be run: {error.strerror}; install the plugin again, which brings its own"
        raise FirewallUnusable(msg) from error
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines() or [f"exit code {done.returncode}"]
        msg = f"nft refuses {what}: {lines[0]}; check that the kernel has nf_tables and connection tracking"
        raise Refused(msg, details=script)


def _program() -> str:
    """Return the nft that was installed with this engine; where it runs from its sources, the node's."""
    shipped = Path(sys.executable).with_name("nft")
    if shipped.exists():
        return str(shipped)
    for folder in map(Path, FOLDERS):
        if os.access(folder / "nft", os.X_OK):
            return str(folder / "nft")
    msg = f"no program 'nft' in {shipped.parent}, {', '.join(FOLDERS)}, so pods cannot be kept closed"
    raise FirewallUnusable(f"{msg}; install the plugin again, which brings its own")
