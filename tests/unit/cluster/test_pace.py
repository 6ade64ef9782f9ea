"""How long an informer rests between two attempts."""

from slash80.cluster.pace import INTERVAL, LONGEST, Pace, jitter


def test_two_attempts_never_begin_within_the_interval() -> None:
    """What is left of the interval is waited for after a success; after a long attempt nothing is left."""
    pace = Pace()
    assert INTERVAL == pace.rest(began=10, now=10)
    assert INTERVAL / 4 == pace.rest(began=10, now=10 + INTERVAL * 3 / 4)
    assert 0 == pace.rest(began=10, now=310)


def test_failures_in_a_row_double_the_rest_up_to_a_bound() -> None:
    """The rest stays bounded even after so many failures that the doubled number does not fit into a float."""
    pace = Pace(jitter=lambda: 1.0)
    rests = []
    for _ in range(2000):
        pace.failed()
        rests.append(pace.rest(began=0, now=100))

    assert [1, 2, 4, 8, 16, LONGEST] == rests[:6]
    assert {LONGEST} == set(rests[5:])


def test_a_success_ends_a_row_of_failures() -> None:
    """The next failure rests as short as the first one."""
    pace = Pace(jitter=lambda: 1.0)
    for _ in range(5):
        pace.failed()
    pace.succeeded()
    pace.failed()

    assert INTERVAL == pace.rest(began=0, now=100)


def test_jitter_shortens_a_rest_but_never_below_the_interval() -> None:
    """Nodes that failed together come back apart."""
    pace = Pace(jitter=lambda: 0.5)
    pace.failed()
    assert INTERVAL == pace.rest(began=10, now=10)
    pace.failed()
    pace.failed()
    assert 2 == pace.rest(began=0, now=100)


def test_jitter_is_between_a_half_and_one() -> None:
    """The random factor lies between a half and one, and differs from one time to the next."""
    drawn = {jitter() for _ in range(100)}

    assert 1 < len(drawn)
    assert all(0.5 <= one <= 1 for one in drawn)
