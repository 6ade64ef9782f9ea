"""The rehearsal before the first call, where it cannot be held."""

import errno
import logging
from pathlib import Path

import pytest

from slash80.agent.serve import rehearsal
from slash80.errors import Failure
from slash80.wiring import netns


@pytest.mark.parametrize("error", [OSError(errno.EPERM, "no new namespace"), Failure("no new namespace")])
def test_a_rehearsal_that_fails_is_logged_and_leaves_nothing(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An agent without the right to make namespaces serves all the same, and says why its first calls take longer."""
    (tmp_path / "rehearsal/left of a killed agent").mkdir(parents=True)

    def refused() -> int:
        raise error

    monkeypatch.setattr(netns, "new", refused)
    caplog.set_level(logging.INFO)
    rehearsal.rehearse(tmp_path)

    assert "since a rehearsal failed: " in caplog.text
    assert "no new namespace" in caplog.text
    assert [] == [*tmp_path.iterdir()]
