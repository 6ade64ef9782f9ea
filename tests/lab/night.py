"""How much is repeated: `make test` does the same every time, `make test PROFILE=nightly` all that it leaves out.

What hypothesis tries is in `profiles`.
"""

import os
from typing import TypeVar

T = TypeVar("T")
PROFILE = os.environ.get("SLASH80_PROFILE") or "ci"
NIGHT = PROFILE == "nightly"


def at_night(many: T, usual: T) -> T:
    """Return how often something is repeated, or with what."""
    return many if NIGHT else usual
