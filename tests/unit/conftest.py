"""Settings of hypothesis: the machine may be slow, and the same commit gives the same verdict."""

from hypothesis import HealthCheck, settings

slow = [HealthCheck.too_slow]
settings.register_profile("unit", deadline=None, derandomize=True, database=None, suppress_health_check=slow)
settings.load_profile("unit")
