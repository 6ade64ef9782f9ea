"""How much hypothesis tries: the same in every run of CI, much more and other things at night (PROFILE=nightly)."""

from hypothesis import HealthCheck, settings

from lab.night import PROFILE

_FACTORS = {"ci": 1, "nightly": 8}
_TOO_SLOW = [HealthCheck.too_slow]  # the machine may be


def examples(count: int) -> int:
    """Return how many examples are tried where `ci` tries so many."""
    return count * _FACTORS[PROFILE]


def of_this_run() -> settings:
    """Return the settings from which those of each test are made."""
    same = PROFILE == "ci"  # the same commit gives the same verdict
    return settings(
        max_examples=examples(50), deadline=None, derandomize=same, database=None, suppress_health_check=_TOO_SLOW
    )
