"""The versions of the specification."""

import pytest

from slash80.cni import versions
from slash80.errors import IncompatibleVersion

FIRST = {"ADD": "0.1.0", "DEL": "0.1.0", "CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}


@pytest.mark.parametrize(("verb", "first"), FIRST.items())
def test_verb_exists_since_its_version(verb: str, first: str) -> None:
    """A verb is supported from its first version on, and not before."""
    allowed = []
    for version in versions.SUPPORTED:
        try:
            versions.require(version, verb)
        except IncompatibleVersion:
            continue
        allowed.append(version)

    assert list(versions.SUPPORTED[versions.SUPPORTED.index(first) :]) == allowed


def test_unknown_version_names_the_supported_ones() -> None:
    """The message suffices to fix the configuration."""
    with pytest.raises(IncompatibleVersion, match=r"'2\.0\.0' is not supported; use one of 0\.1\.0, .*1\.1\.0"):
        versions.require("2.0.0", "ADD")


@pytest.mark.parametrize(
    ("version", "other", "is_so"),
    [("1.0.0", "0.4.0", True), ("0.3.1", "0.3.1", True), ("0.3.0", "0.3.1", False)],
)
def test_versions_are_compared_by_number(version: str, other: str, is_so: bool) -> None:  # noqa: FBT001
    """Later versions are at least earlier ones."""
    assert is_so == versions.at_least(version, other)
