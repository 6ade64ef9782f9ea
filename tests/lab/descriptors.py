"""What this process opens and leaves open, whatever of other tests is closed meanwhile, as by garbage collection."""

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path


class Descriptors:
    """The descriptors that were open when this was made."""

    def __init__(self) -> None:
        self._before = _targets()

    def left(self) -> list[str]:
        """Return the targets to which more descriptors lead than before; one that was renewed has another number."""
        return sorted((_targets() - self._before).elements())


def _targets() -> Counter[str]:
    found: Counter[str] = Counter()
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a generator's own descriptor might be listed
        with suppress(FileNotFoundError):  # the one by which the folder was read
            found[str(Path("/proc/self/fd", number).readlink())] += 1
    return found
