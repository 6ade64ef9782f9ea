"""What counts as left open, and what does not."""

import os
from pathlib import Path

from lab.descriptors import Descriptors


def test_descriptor_that_is_left_open_is_named(tmp_path: Path) -> None:
    """A descriptor that was opened and not closed is listed with its target, and one that was closed is not."""
    descriptors = Descriptors()
    with (tmp_path / "leaked").open("wb"):
        (tmp_path / "closed").open("wb").close()

        assert descriptors.left() == [str(tmp_path / "leaked")]
    assert descriptors.left() == []


def test_descriptor_of_another_test_that_is_closed_meanwhile_does_not_count(tmp_path: Path) -> None:
    """Closing what was open before changes nothing, and a leak that gets the number of it is still listed."""
    others = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    descriptors = Descriptors()
    os.close(others)

    assert descriptors.left() == []
    with (tmp_path / "leaked").open("wb"):
        assert descriptors.left() == [str(tmp_path / "leaked")]
