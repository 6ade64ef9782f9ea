"""The versions of the CNI specification, and what each of them knows."""

from __future__ import annotations

from slash80.errors import IncompatibleVersion, shown

SUPPORTED = ("0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")
NEWEST = SUPPORTED[-1]
OLDEST = SUPPORTED[0]  # what a configuration without `cniVersion` means
_FIRST_WITH = {"CHECK": "0.4.0", "STATUS": "1.1.0", "GC": "1.1.0"}


def document() -> dict[str, object]:
    """Return the answer to VERSION."""
    return {"cniVersion": NEWEST, "supportedVersions": list(SUPPORTED)}


def require(version: str, command: str) -> None:
    """Raise IncompatibleVersion unless the version is supported and has the verb."""
    if version not in SUPPORTED:
        msg = f"cniVersion {shown(version)} is not supported; use one of {', '.join(SUPPORTED)}"
        raise IncompatibleVersion(msg)
    first = _FIRST_WITH.get(command, OLDEST)
    if not at_least(version, first):
        msg = f"cniVersion '{version}' has no {command}; it came with {first}"
        raise IncompatibleVersion(msg)


def at_least(version: str, other: str) -> bool:
    """Compare two supported versions."""
    return SUPPORTED.index(version) >= SUPPORTED.index(other)
