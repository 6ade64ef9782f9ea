"""The cache of facts about the host."""

import pytest
from pytest_mock import MockerFixture

from slash80.host.cache import TtlCache


def test_host_fact_is_cached_for_100_ms(mocker: MockerFixture) -> None:
    """A fact that was looked up is used for 100 ms, and then looked up again."""
    clock = mocker.patch("slash80.host.cache.time.monotonic", return_value=5.0)
    cache, answers = TtlCache(), iter([1500, 9000])

    assert [1500, 1500] == [cache.get("mtu", lambda: next(answers)) for _ in range(2)]
    clock.return_value = 5.2
    assert 9000 == cache.get("mtu", lambda: next(answers))


def test_host_facts_are_cached_by_name() -> None:
    """Each fact has its own entry."""
    cache = TtlCache()

    assert (1, 2) == (cache.get(("a", 4), lambda: 1), cache.get(("a", 6), lambda: 2))


def test_failed_lookup_is_not_cached() -> None:
    """What failed is tried again by the next call."""
    cache, tries = TtlCache(), []

    def find() -> None:
        tries.append(1)
        raise OSError("no")

    for _ in range(2):
        with pytest.raises(OSError, match="no"):
            cache.get("mtu", find)
    assert 2 == len(tries)
