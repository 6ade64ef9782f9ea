"""The file of a clusterset, as people keep it."""

from __future__ import annotations

from pathlib import Path

from slash80.errors import InvalidConfig


def read(path: Path) -> str | None:
    """Return its text, with its own line ends; None where it does not exist. Raise InvalidConfig."""
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        what = f"{path} is not in UTF-8: {error.reason} at byte {error.start}"
        raise InvalidConfig(f"{what}; save it in that encoding") from error
    except OSError as error:
        raise InvalidConfig(f"{path} cannot be read: {error.strerror}; name another file by -f") from error
