"""Source `static`: prefixes that the agent was started with, or a file that is read anew each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from slash80.addressing.family import Prefix
from slash80.errors import InvalidConfig, shown


@dataclass(frozen=True, slots=True)
class Static:
    """Prefixes as texts, and a file with one on each line; `#` begins a remark."""

    given: Sequence[str] = ()
    file: Path | None = None

    def prefixes(self) -> list[Prefix]:
        """Give the prefixes of this moment; raise InvalidConfig naming the one that is none."""
        return [_prefix(text, where) for text, where in self._texts()]

    def _texts(self) -> Iterator[tuple[str, str]]:
        yield from ((text, "--prefix") for text in self.given)
        if self.file is None:
            return
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return  # a node without the file leaves the answer to the next source
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfig(f"--prefix-file {self.file} cannot be read: {error}; mend it") from error
        for number, line in enumerate(lines, 1):
            if text := line.partition("#")[0].strip():
                yield text, f"{self.file} line {number}"


def _prefix(text: str, where: str) -> Prefix:
    try:
        return ip_network(text)
    except ValueError as error:
        msg = f"{where} has {shown(text)}: {error}"
        raise InvalidConfig(f"{msg}; give a prefix such as 2001:db8:0:1:1::/80") from error
