"""The cluster's settings: those of the ConfigMap, and the last ones that could be used.

A mistake in the ConfigMap must not open what earlier settings kept closed, neither at once nor after the agent or the
node has started again. So settings that have been used are kept where they survive a boot.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from slash80.agent import files
from slash80.desired.problems import Problem, Reason
from slash80.errors import CniError, InvalidConfig
from slash80.settings import cluster
from slash80.settings.cluster import ClusterSettings
from slash80.store.locks import private


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings and the text that they were read from."""

    text: str
    values: ClusterSettings


class SettingsFile:
    """The ConfigMap's file, and the copy of it that was used last."""

    def __init__(self, config: Path, kept: Path) -> None:
        """Read nothing yet; `kept` is a folder of the node's disk, made when needed."""
        self._config, self._folder = config, kept
        self._good: Settings | None = None

    def candidates(self, problems: list[Problem]) -> Iterator[Settings]:
        """Yield the present settings if they are well-formed, then the last ones that were used."""
        good = self._last_good(problems)
        try:
            text = cluster.read(self._config)
            if text is None and good and good.values != ClusterSettings():
                raise InvalidConfig(f"{self._config} is gone; give the ConfigMap an empty config.yaml for the defaults")
            present = Settings(text or "", cluster.parse(text or "", self._config))
        except CniError as error:
            problems.append(self.problem(error.msg))
        else:
            yield present
            if present == good:
                return
        if good:
            yield good

    def problem(self, message: str) -> Problem:
        """Return the problem that the present settings cannot be used, with what comes of it."""
        outcome = (
            "the last good settings stay in force"
            if self._good
            else "no earlier ones are known, so what is in force stays, and a node that has just booted attaches no pod"
        )
        return Problem(Reason.SETTINGS_INVALID, str(self._config), f"{message}; {outcome}")

    def keep(self, used: Settings) -> None:
        """Keep the settings that were used; raise IoFailure when that cannot be done."""
        if used != self._good:
            self._good = used
            private(self._folder).chmod(0o700)  # who mounted it may have made it readable for all
            files.write(self._kept, used.text)

    @property
    def _kept(self) -> Path:
        return self._folder / "config.yaml"

    def _last_good(self, problems: list[Problem]) -> Settings | None:
        """Return what was used last, by this process or by one before; what cannot be used any more was not."""
        if self._good is None:
            try:
                text = cluster.read(self._kept)
                self._good = None if text is None else Settings(text, cluster.parse(text, self._kept))
            except CniError as error:
                problems.append(Problem(Reason.SETTINGS_NOT_KEPT, str(self._kept), error.msg))
        return self._good
