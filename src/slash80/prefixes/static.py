"""Source `static`: prefixes that the agent was started with, or a file that is read again each time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

from slash80.addressing.family import Prefix
from slash80.desired.prefixes import PrefixReport
from slash80.desired.problems import Problem, Reason
from slash80.errors import InvalidConfig, shown

_NAME = "static"


@dataclass(frozen=True, slots=True)
class Static:
    """Prefixes as texts, and a file with one on each line; `#` begins a comment."""

    given: Sequence[str] = ()
    file: Path | None = None

    def report(self) -> PrefixReport:
        """Return the prefixes of this moment, or the problem of the first one that is not a prefix."""
        try:
            return PrefixReport(_NAME, tuple(_prefix(text, where) for text, where in self._texts()))
        except InvalidConfig as error:
            return PrefixReport(_NAME, problem=Problem(Reason.PREFIX_SOURCE_FAILED, _NAME, error.msg))

    def _texts(self) -> Iterator[tuple[str, str]]:
        yield from ((text, "--prefix") for text in self.given)
        if self.file is None:
            return
        try:
            lines = self.file.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return  # a node without the file leaves the answer to the next source
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidConfig(f"--prefix-file {self.file} cannot be read: {error}; fix it") from error
        for number, line in enumerate(lines, 1):
            if text := line.partition("#")[0].strip():
                yield text, f"{self.file} line {number}"


def _prefix(text: str, where: str) -> Prefix:
    try:
        return ip_network(text)
    except ValueError as error:
        msg = f"{where} has {shown(text)}: {error}"
        raise InvalidConfig(f"{msg}; give a prefix such as 2001:db8:0:1:1::/80") from error
