"""Hypothesis tries what the profile of this run says."""

from hypothesis import settings

from profiles import PROFILE, of_this_run

settings.register_profile(f"slash80-{PROFILE}", of_this_run())
settings.load_profile(f"slash80-{PROFILE}")
