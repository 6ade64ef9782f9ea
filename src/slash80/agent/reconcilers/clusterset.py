"""The clusterset as agents follow it: the ConfigMap of now, and the last file that could be used.

A mistake in the file changes nothing, neither at once nor after the agent or the node has started again: a file that
has been used is kept where it survives a boot. Once the ConfigMap is deleted no member is trusted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slash80.agent import files
from slash80.cluster.objects.configmap import CLUSTERSET, CLUSTERSET_FILE
from slash80.desired.members import invalid
from slash80.desired.problems import Problem, Reason
from slash80.errors import CniError, InvalidConfig
from slash80.store.locks import private

if TYPE_CHECKING:
    from slash80.settings.clusterset import Clusterset

_WHERE = f"{CLUSTERSET_FILE} of ConfigMap {CLUSTERSET}"
_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class _File:
    """A text, and what it says; `problem` is why it cannot be understood."""

    text: str
    values: Clusterset | None
    problem: str = ""


class ClustersetFile:
    """The file of the ConfigMap, and the copy of the last one that was used, in a folder of the node's disk."""

    def __init__(self, kept: Path) -> None:
        """Read nothing yet; the folder is made when it is needed."""
        self._folder = kept
        self._present: _File | None = None
        self._good: _File | None = None
        self._looked = False

    def candidates(self, listed: Sequence[str | None] | None, problems: list[Problem]) -> list[Clusterset]:
        """Return the clusterset of now if it is well-formed, then the last one that was used.

        `listed` has the file of the ConfigMap, None in it where that lacks the key; it is empty where there is no
        ConfigMap, and None while that is not known.
        """
        if listed is not None and not listed:
            self._forget(problems)
            return []
        good = self._last_good(problems)
        if listed is None:
            return [good.values] if good and good.values else []
        present = self._read(listed[0])
        if present.problem:
            problems.append(invalid(present.problem, kept=good is not None))
        found = [present, good] if good and good.text != present.text else [present]
        return [one.values for one in found if one.values]

    def keep(self, used: Clusterset | None) -> None:
        """Keep the clusterset that was used; raise IoFailure when that cannot be done."""
        present = self._present
        if present and used and present.values is used and present != self._good:
            private(self._folder).chmod(0o700)
            files.write(self._path, present.text)
            self._good = present

    @property
    def _path(self) -> Path:
        return self._folder / CLUSTERSET_FILE

    def _read(self, text: str | None) -> _File:
        """Return what a text says; the same text is read once."""
        if self._present is None or self._present.text != (text or ""):
            self._present = _parsed(text)
        return self._present

    def _last_good(self, problems: list[Problem]) -> _File | None:
        """Return what was used last, by this process or by one before."""
        if self._good or self._looked:
            return self._good
        self._looked = True
        try:
            with self._path.open("rb") as file:
                found = _parsed(file.read(_BYTES + 1).decode())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            found = _File("", None, str(error))
        if found.problem:
            message = f"{self._path} cannot be used: {found.problem}; it is written again with the next file"
            problems.append(Problem(Reason.CLUSTERSET_NOT_KEPT, str(self._path), message))
            return None
        self._good = found
        return found

    def _forget(self, problems: list[Problem]) -> None:
        """Have no clusterset: it must not come back when the API cannot be asked."""
        self._present = self._good = None
        try:
            self._path.unlink()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            message = f"{self._path} cannot be deleted, although the ConfigMap is gone: {error.strerror}; delete it"
            problems.append(Problem(Reason.CLUSTERSET_NOT_KEPT, str(self._path), message))


def _parsed(text: str | None) -> _File:
    from slash80.settings.clusterset import parse  # noqa: PLC0415 -- 0.6 MiB, and many clusters are alone

    try:
        if text is None:
            raise InvalidConfig(f"ConfigMap {CLUSTERSET} has no key {CLUSTERSET_FILE}; add it, or delete the ConfigMap")
        return _File(text, parse(text, _WHERE))
    except CniError as error:
        return _File(text or "", None, error.msg)
