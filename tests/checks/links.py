"""Check what documents refer to: relative links, their anchors, paths of the tree; and that each page can be found.

Sources are read as well, for the documents that their comments name.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from lab import programs

ROOT = Path(__file__).resolve().parents[2]
START = "README.md"  # from here every document must be reachable

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#{1,6} +(.*)", re.MULTILINE)
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"(?<![\w/.-])(?:docs/[\w./-]+\.(?:md|svg)|manifests/[\w./-]*\w)")  # anywhere in a source
PATH = re.compile(r"(?:\.ci|bench|cni|docs|manifests|src|tests)/[\w./-]+")
SOURCES = (".c", ".h", ".md", ".py", ".sh", ".spec", ".toml", ".yaml", "Makefile", "Dockerfile")
OWN = "manifests/overlays/mine"  # the overlay that a reader is told to write
INVENTED = "tests/unit/checks/"  # the tests of the checks name documents that exist in their own small trees only


def broken(root: Path, files: list[str]) -> list[str]:
    """Return a sentence for every reference of these files that leads nowhere, and every page without a link to it."""
    pages = sorted(name for name in files if name.endswith(".md"))
    sources = sorted(name for name in files if name.endswith(SOURCES) and not name.startswith(INVENTED))
    return [
        *(problem for page in pages for problem in _links(root, page)),
        *(problem for source in sources for problem in _paths(root, source, files)),
        *_unreachable(root, pages),
    ]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub names them: the second of two equal ones gets -1."""
    seen: dict[str, int] = {}
    for heading in HEADING.finditer(FENCED.sub("", text)):
        words = LINK.sub(lambda link: link[0][1:].split("]")[0], heading[1]).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        seen[slug] = seen.get(slug, -1) + 1
    return {f"{slug}-{n}" if n else slug for slug, count in seen.items() for n in range(count + 1)}


def _prose(text: str) -> str:
    """Return a page without its fenced blocks and code; lines keep their numbers."""
    return CODE.sub("", FENCED.sub(lambda block: "\n" * block[0].count("\n"), text))


def _targets(root: Path, page: str) -> Iterator[tuple[int, str, Path, str]]:
    """Yield line, text, file and anchor of each relative link of a page; a link may run over the end of a line."""
    prose = _prose((root / page).read_text(encoding="utf-8"))
    for link in LINK.finditer(prose):
        if re.match(r"[a-z]+:", link[1]) is None:
            path, _, anchor = link[1].partition("#")
            number = prose.count("\n", 0, link.start()) + 1
            yield number, link[1], ((root / page).parent / path if path else root / page).resolve(), anchor


def _links(root: Path, page: str) -> Iterator[str]:
    for number, target, path, anchor in _targets(root, page):
        if not path.exists() or not path.is_relative_to(root):
            yield f"{page}:{number}: the link {target} leads to no file"
        elif anchor and (path.suffix != ".md" or anchor not in anchors(path.read_text(encoding="utf-8"))):
            yield f"{page}:{number}: the link {target} names no heading of {path.relative_to(root)}"


def _paths(root: Path, source: str, files: list[str]) -> Iterator[str]:
    """Check the documents and manifests that a source names, and in documents every path of the tree in backquotes."""
    for number, line in enumerate((root / source).read_text(encoding="utf-8").splitlines(), 1):
        named = NAMED.findall(line)
        if source.endswith(".md"):
            named += [code for code in CODE.findall(line) if PATH.fullmatch(code)]
        for name in named:
            folder = name.rstrip("/") + "/"
            if not name.startswith(OWN) and name not in files and not any(file.startswith(folder) for file in files):
                yield f"{source}:{number}: {name} is not in the tree"


def _unreachable(root: Path, pages: list[str]) -> list[str]:
    """Return a sentence for each page below docs/ to which no chain of links leads from the README."""
    known, ahead = {START}, [START]
    while ahead:
        for _, _, path, _ in _targets(root, ahead.pop()):
            page = str(path.relative_to(root)) if path.is_relative_to(root) else ""
            if page in pages and page not in known:
                known.add(page)
                ahead.append(page)
    return [f"{page}:1: no link leads here from {START}" for page in pages if page not in known]


def main() -> int:
    """Print what leads nowhere."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    files = [name for name in programs.run(command).splitlines() if (ROOT / name).is_file()]
    problems = broken(ROOT, files)
    print(*problems, sep="\n", end="\n" if problems else "")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
