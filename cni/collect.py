"""Lays the engine's directory out, `.slash80/`: what PyInstaller found, and all that these files need of a system.

    engine, nft     the starter (cni/starter.c): becomes the program of its name in libexec/
    libexec/        those programs and every library of theirs, the C library and its loader among them, and what is
                    loaded into nft before them (cni/nft_preload.c)
    licenses/       what the licences of other people's parts ask for (cni/notices.py)
    the rest        Python modules, compiled, and extension modules

The folder is not called lib, and the loader does not end in .so: by their names SELinux's policy would label them as
what a confined domain may not execute.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

_LOADER = "loader"
_LIBC = "libc.so.6"
# The C library loads it by name when a thread is cancelled; no file says so.
_UNNAMED = "libgcc_s.so.1"
# What the node's C library is told there may be libraries that ours cannot load: those to be loaded before any other,
# and those that look names up. No option turns these files off, so they are looked for below a file.
_NODES_LISTS = {_LOADER: b"/etc/ld.so.preload\0", _LIBC: b"/etc/nsswitch.conf\0"}
_NOWHERE = b"/dev/null/"
Entry = tuple[str, str, str]  # PyInstaller's: where it belongs, where it is, what it is


def lay_out(
    target: Path, programs: Mapping[Path, Path], preloaded: Iterable[Path], entries: Iterable[Entry]
) -> list[Path]:
    """Lay all out but the licences, each program with its starter; return the files of this machine that were taken."""
    libexec = target / "libexec"
    shutil.rmtree(target, ignore_errors=True)
    libexec.mkdir(parents=True)
    sources = [*_place_modules(target, entries)]
    for library in preloaded:
        shutil.copy(library, libexec / library.name)
        sources.append(library)
    for program, starter in programs.items():
        shutil.copy(program, libexec / program.name)
        shutil.copy(starter, target / program.name)
        sources.append(program)
    libraries = _libraries(sources)
    for name, library in libraries.items():
        shutil.copy(library, libexec / name)
    for name, words in _NODES_LISTS.items():
        _replace(libexec / name, words, _NOWHERE + words[len(_NOWHERE) :])
    for path in (*target.glob("*"), *libexec.iterdir()):
        if path.is_file() and _is_elf(path):
            path.chmod(0o755)
    _demand_closed(target)
    return [*sources, *libraries.values()]


def _place_modules(target: Path, entries: Iterable[Entry]) -> Iterator[Path]:
    """Copy Python's modules; yield those that are machine code. Its own lie with all others: one folder to look in."""
    for name, source, kind in entries:
        if ".dist-info/" in name or (kind == "BINARY" and "/" not in name):
            continue  # what only pip wants; a library, which _libraries finds
        place = target / (Path(name).name if "lib-dynload" in name else name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, place)
        if _is_elf(place):
            subprocess.run(["strip", "--strip-unneeded", place], check=True)
            yield Path(source)


def _libraries(files: Iterable[Path]) -> Mapping[str, Path]:
    """Return all libraries that these files lead to, by the names under which they are looked for; and the loader."""
    found: dict[str, Path] = {}
    for file in files:
        for name, path in re.findall(r"(\S+) (?:=> (\S+) )?\(0x", _told("ldd", file)):
            if name.startswith("/"):
                found[_LOADER] = Path(name).resolve()
            elif path:
                found[name] = Path(path)
    found[_UNNAMED] = found[_LIBC].with_name(_UNNAMED)
    return found


def _replace(path: Path, words: bytes, others: bytes) -> None:
    content = path.read_bytes()
    if content.count(words) != 1:
        raise SystemExit(f"{path} has {words!r} {content.count(words)} times and not once: it is another C library")
    path.write_bytes(content.replace(words, others))


def _demand_closed(target: Path) -> None:
    """Demand that nothing here would be linked with a library from elsewhere, or misses a part of Python."""
    libexec = target / "libexec"
    python = _symbols(libexec / "engine", "--defined-only")
    start = (libexec / _LOADER, "--inhibit-cache", "--library-path", libexec, "--list")
    for path in filter(_is_elf, target.rglob("*")):
        if path.parent == target and (libexec / path.name).exists():
            continue  # the starter, which has all within itself
        for line in _told(*start, path).splitlines():
            if "not found" in line or ("=> " in line and f"=> {target}/" not in line):
                raise SystemExit(f"{path} needs what is not here: {line.strip()}")
        if missing := {name for name in _symbols(path, "--undefined-only") if re.match("_?Py", name)} - python:
            raise SystemExit(f"{path} needs what the linker left out of the engine: {missing}")


def _symbols(path: Path, which: str) -> set[str]:
    return {line.split()[-1].partition("@")[0] for line in _told("nm", "-D", which, path).splitlines()}


def _is_elf(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == b"\x7fELF"


def _told(*command: str | Path) -> str:
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
