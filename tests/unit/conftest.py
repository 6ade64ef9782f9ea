"""Hypothesis tries what the profile of this run says, and what several of its folders need."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

import pytest
from hypothesis import settings

from lab.night import PROFILE
from profiles import of_this_run
from slash80.addressing.family import Address
from slash80.firewall import conntrack

settings.register_profile(f"slash80-{PROFILE}", of_this_run())
settings.load_profile(f"slash80-{PROFILE}")


@dataclass
class Connections:
    """Connection tracking: which addresses' connections were deleted, call by call, and what happens at each call."""

    forgotten: list[list[Address]] = field(default_factory=list)
    at_each: Callable[[], object] = lambda: None

    def forget(self, addresses: Collection[Address]) -> int:
        """Note the addresses, unless the call fails."""
        self.at_each()
        self.forgotten.append(list(addresses))
        return 0


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> Connections:
    """Stand in for the kernel's connection tracking."""
    fake = Connections()
    monkeypatch.setattr(conntrack, "forget", fake.forget)
    return fake
