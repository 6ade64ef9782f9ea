"""Hypothesis tries what the profile of this run says."""

from hypothesis import settings

from lab.night import PROFILE
from profiles import of_this_run

settings.register_profile(f"slash80-{PROFILE}", of_this_run())
settings.load_profile(f"slash80-{PROFILE}")
