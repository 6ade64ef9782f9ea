"""Check the words of documents, docstrings, comments and messages against a list of those that readers stumble over.

Each entry of the list says what to write instead. Code in backquotes and in fenced blocks is left out.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checks.links import FENCED
from lab import programs

ROOT = Path(__file__).resolve().parents[2]
CHECKED = (
    ".c",
    ".h",
    ".md",
    ".py",
    ".sh",
    ".spec",
    ".toml",
    ".yaml",
    ".service",
    ".conflist",
    "Makefile",
    "Dockerfile",
)

# What stands here as a pattern, without regard to case and between word boundaries, and what a reader expects instead.
INSTEAD = {
    r"anew\b": "again",
    r"(?:whoever|whosoever)\b": "name the actor: the caller, another program",
    r"mend(?:s|ed|ing)?\b": "fix or repair",
    r"wish(?:es|ed|ing)?\b": "request or option",
    r"hear(?:s|d|ing)?\b(?! from)": "receive, notice or learn",
    r"doom(?:s|ed)?\b": "mark as terminating",
    r"(?:graveyard|bur(?:y|ied|ies))\b": "deferred deletion",
    r"(?:is|are|was|were) (?-i:none)\b(?! of)": "is not a ...",
    r"(?<!there )is no (?!longer|more|other|need|reason|way|one|such|less|later|free|room|source)\w": "is not a",
    r"in vain\b": "without effect",
    r"tells? (?:whether|how|what|where|who|which)\b": "reports or says",
    r"told (?:whether|how|what|where|which|as|by|in|apart)\b": "reported",
    r"(?:nobody|somebody)\b(?: else)?(?:'s)?": "name the actor: another program, a pod, no process",
    r"(?:comes? to be|(?:goes?|go) on for ?ever)\b": "becomes; runs until",
    r"at first\b(?! sight)": "say when, in docs/decisions",
}
# How a docstring must not begin: the imperative that names what the caller gets is Return.
BEGINNINGS = {
    r"gives?\b": "Return",
    r"tells?\b": "Return whether, Report",
    r"say\b": "Return or Report",
    r"know\b": "Return",
}

# What one of these words is right for: (a path that ends so, the word): why.
ALLOWED: dict[tuple[str, str], str] = {}

# Folders and files whose words are still being replaced. This table must only shrink; it ends empty.
EXEMPT: tuple[str, ...] = ()

# The list itself, and its test, hold the words.
LISTS = ("tests/checks/wording.py", "tests/unit/checks/test_wording.py")

_WORDS = [
    (re.compile(r"\b" + words.replace(" ", r"\s+").replace(r"there\s+", r"there\s"), re.IGNORECASE), instead)
    for words, instead in INSTEAD.items()
]
_BEGINNINGS = [(re.compile(words, re.IGNORECASE), instead) for words, instead in BEGINNINGS.items()]
_CODE = re.compile(r"``?[^`\n]+``?|\{[^{}]*\}|https?://\S+")
_C_TEXT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL)
_DOCSTRING = re.compile(r"^[a-zA-Z]*(?:\"\"\"|''')")


@dataclass(frozen=True)
class Text:
    """A piece of a file that people read."""

    line: int
    words: str
    docstring: bool = False


def texts(name: str, source: str) -> Iterator[Text]:
    """Yield what people read of a file: all prose, or comments and strings."""
    if name.endswith((".py", ".spec")):
        yield from _python(source)
    elif name.endswith((".c", ".h")):
        for match in _C_TEXT.finditer(source):
            yield Text(source.count("\n", 0, match.start()) + 1, match[0])
    else:
        yield Text(1, FENCED.sub(lambda block: "\n" * block[0].count("\n"), source))


def _python(source: str) -> Iterator[Text]:
    before = tokenize.NEWLINE
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(token.start[0], token.string)
        elif token.type == tokenize.STRING:
            begins = before in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
            match = _DOCSTRING.match(token.string)
            docstring = begins and match is not None
            yield Text(token.start[0], token.string[match.end() :] if docstring and match else token.string, docstring)
        if token.type not in (tokenize.NL, tokenize.COMMENT):
            before = token.type


def findings(name: str, source: str) -> list[str]:
    """Return a sentence for each word of a file that should be another."""
    found = []
    for text in texts(name, source):
        words = _CODE.sub(lambda code: "_" * len(code[0]), text.words)
        hits = [(hit, instead) for pattern, instead in _WORDS for hit in pattern.finditer(words)]
        if text.docstring and not _is_test(name):
            hits += [(hit, instead) for pattern, instead in _BEGINNINGS if (hit := pattern.match(words))]
        for hit, instead in hits:
            if not any(name.endswith(path) and hit[0].lower() == word for path, word in ALLOWED):
                line = text.line + words.count("\n", 0, hit.start())
                found.append(f"{name}:{line}: {hit[0].strip()!r}: write {instead}")
    return found


def _is_test(name: str) -> bool:
    return Path(name).name.startswith("test_")


def is_exempt(name: str, rooms: tuple[str, ...] = EXEMPT) -> bool:
    """Report whether a file belongs to one of these rooms, whose words are still being replaced."""
    return any(name == room or name.startswith(f"{room}/") for room in rooms)


def main() -> int:
    """Print which words to replace, and which exempt rooms are clean by now; --all reads exempt rooms as well."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    names = [name for name in programs.run(command).splitlines() if name.endswith(CHECKED) and name not in LISTS]
    found = {
        name: findings(name, (ROOT / name).read_text(encoding="utf-8")) for name in names if (ROOT / name).is_file()
    }
    for room in EXEMPT:
        if not any(found[name] for name in found if is_exempt(name, (room,))):
            print(f"{room} is clean: remove it from EXEMPT")
    wrong = [line for name in found if "--all" in sys.argv or not is_exempt(name) for line in found[name]]
    print(*wrong, sep="\n", end="\n" if wrong else "")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
