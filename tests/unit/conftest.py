"""Settings of hypothesis: the machine may be slow, and the same commit gives the same verdict."""

from hypothesis import settings

settings.register_profile("unit", deadline=None, derandomize=True, database=None)
settings.load_profile("unit")
