"""What of this machine a guest gets: programs with their libraries, Python with some packages, and this tree."""

from __future__ import annotations

import re
import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from lab.programs import run

_PROGRAMS = ("conntrack", "ip", "nft", "ping", "unshare")
_DISTRIBUTIONS = ("pytest", "pytest-timeout", "pydantic", "pyroute2")  # the netns tier needs no more
# The C library loads it by name when a thread is ended; no file says so.
_UNNAMED = "libgcc_s.so.1"
_WITHOUT = {"ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "test", "tkinter"}
_TREE = ("src", "tests/kernels", "tests/lab", "tests/netns", "tests/conftest.py", "pyproject.toml")


def userland() -> Iterator[Path]:
    """Name all that it takes to tell the netns tier's stories; folders stand for whatever is in them."""
    without = _WITHOUT | {Path(sysconfig.get_config_var("LIBPL")).name}  # the static library
    programs = [Path(sys.executable), *(Path(found) for name in _PROGRAMS if (found := shutil.which(name)))]
    packages = list(_packages())
    modules = [*Path(sysconfig.get_path("stdlib"), "lib-dynload").glob("*.so"), *packages]
    yield from _with_links(programs)
    yield from _with_links(_libraries([*programs, *(path for path in modules if path.suffix == ".so")]))
    yield Path(sys.prefix, "pyvenv.cfg")
    yield from (path for path in Path(sysconfig.get_path("stdlib")).iterdir() if path.name not in without)
    yield from packages


def tree(top: Path) -> Iterator[Path]:
    """Name what of this tree it takes."""
    return (top / name for name in _TREE)


def _packages() -> Iterator[Path]:
    """Name the files of the distributions and of what they require."""
    names, seen = list(_DISTRIBUTIONS), set()
    while names:
        name = names.pop()
        if name in seen:
            continue
        seen.add(name)
        found = metadata.distribution(name)
        yield from (path for file in found.files or () if (path := Path(str(file.locate()))).exists())
        required = (re.match(r"[\w.-]+", line) for line in found.requires or () if "; " not in line)
        names += [match[0] for match in required if match]


def _libraries(programs: Iterable[Path]) -> list[Path]:
    """Return the shared libraries of all of them, their loader, and what the C library loads by itself."""
    told = run(["ldd", *programs])
    found = {Path(path) for path in re.findall(r"(?:=> |\t)(/\S+) \(0x", told)}
    (libc,) = (path for path in found if path.name == "libc.so.6")
    return sorted({*found, libc.with_name(_UNNAMED)})


def _with_links(paths: Iterable[Path]) -> Iterator[Path]:
    """Name each file, and the links by which it is found, below folders that are no links."""
    for path in paths:
        while True:
            path = path.parent.resolve() / path.name  # noqa: PLW2901 -- one link further
            yield path
            if not path.is_symlink():
                break
            path = path.parent / path.readlink()  # noqa: PLW2901 -- the same
