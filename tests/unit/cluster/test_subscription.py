"""What a listener gets to know, however seldom it asks."""

from slash80.cluster.cache import Change
from slash80.cluster.subscription import Changes, Subscription


def begun(limit: int = 10) -> Subscription[int]:
    """Return a subscription whose first answer was taken."""
    subscription = Subscription[int](lambda: None, limit)
    assert Changes(everything=True) == subscription.take()
    return subscription


def test_a_listener_begins_with_everything() -> None:
    """What was there before it came is not told object by object."""
    subscription = Subscription[int](lambda: None, 10)
    subscription.add([Change("a", None, 1)])

    assert Changes(everything=True) == subscription.take()
    assert Changes(everything=False) == subscription.take()


def test_several_changes_of_an_object_are_one() -> None:
    """A listener is told the first and the last state of an object, and nothing of one that came and went."""
    subscription = begun()
    subscription.add([Change("a", 1, 2), Change("b", None, 1), Change("c", 1, None)])
    subscription.add([Change("a", 2, 3), Change("b", 1, None), Change("c", None, 5)])

    assert Changes(everything=False, changes=(Change("a", 1, 3), Change("c", 1, 5))) == subscription.take()


def test_a_listener_that_never_asks_costs_bounded_room() -> None:
    """Beyond the limit nothing is kept but that everything has to be looked at; then it starts again."""
    subscription = begun(limit=3)
    subscription.add([Change(str(number), None, number) for number in range(4)])
    subscription.add([Change("a", None, 1)])

    assert Changes(everything=True) == subscription.take()
    subscription.add([Change("a", 1, 2)])
    assert Changes(everything=False, changes=(Change("a", 1, 2),)) == subscription.take()
