"""An informer: what it knows and how often it asks, after whatever happened to the server."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from urllib3 import Timeout

from lab.kube import NAMESPACES, FakeApi, namespace
from lab.waiting import wait_until
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.cache import Change
from slash80.cluster.informer import Informer
from slash80.cluster.objects.reading import Resource
from slash80.cluster.pace import INTERVAL, LONGEST
from unit.cluster.fakes import INDEXES, PATH, PODS, FakeClock, Pod, pod

A, B = Pod("a", "ns", "10.0.0.1"), Pod("b", "ns", "10.0.0.2")
Made = Callable[..., Informer[Pod]]


@pytest.fixture(autouse=True)
def _pods(server: FakeApi) -> None:
    """Have the server keep Pods."""
    server.objects[PATH] = {}


@pytest.fixture
def made(server: FakeApi, api: Api) -> Iterator[Made]:
    """Return what makes informers, whose waits take no time and which end with the test."""
    informers = []

    def make(clock: FakeClock | None = None, **more: Any) -> Informer[Pod]:  # noqa: ANN401 -- handed on
        informers.append(Informer(api, PODS, indexes=INDEXES, clock=clock or FakeClock(), **more))
        return informers[-1]

    yield make
    for one in informers:
        one.stop()
        assert one.join(100)


@pytest.fixture
def started(made: Made, server: FakeApi) -> Callable[..., Informer[Pod]]:
    """Return what starts an informer and has it watch."""

    def start(**more: Any) -> Informer[Pod]:  # noqa: ANN401 -- handed on
        found = made(**more)
        found.start()
        wait_until(lambda: server.watched == 1)
        return found

    return start


def end(server: FakeApi, version: str) -> None:
    """End the watch as a server does after some minutes, in which it has sent bookmarks."""
    server.say(PATH, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}})
    server.say(PATH, {"type": "END"})


def asked(server: FakeApi, what: str) -> int:
    """Return how many requests had this in their line."""
    return sum(what in line for line in server.seen)


def test_objects_are_listed_and_then_follow_the_watch(server: FakeApi, started: Made) -> None:
    """They are there in the order of their keys, and found by key and by index."""
    server.put(PATH, pod("b", "10.0.0.2"))
    found = started()
    assert ([B], True, "") == (found.objects, found.synced, found.problem)

    server.put(PATH, pod("a", "10.0.0.1"))
    wait_until(lambda: found.objects == [A, B])
    assert ([B], [A, B], A) == (
        found.indexed("address", "10.0.0.2"),
        found.indexed("namespace", "ns"),
        found.get("ns/a"),
    )
    server.remove(PATH, "ns/b")
    wait_until(lambda: found.objects == [A])
    assert [] == found.indexed("address", "10.0.0.2")


def test_listeners_are_woken_by_changes_only(server: FakeApi, started: Made) -> None:
    """An object that changes in what is not kept wakes no subscriber; one takes what has changed, old and new."""
    bell = threading.Semaphore(0)
    found = started(changed=bell.release)
    assert bell.acquire(timeout=100)
    subscription = found.subscribe(bell.release)
    assert subscription.take().everything

    server.put(PATH, pod("a", "10.0.0.1"))
    server.put(PATH, pod("a", "10.0.0.1", labels={"x": "y"}))
    server.put(PATH, pod("a", "10.0.0.9"))
    for _ in range(4):
        assert bell.acquire(timeout=100)
    assert (Change("ns/a", None, Pod("a", "ns", "10.0.0.9")),) == subscription.take().changes
    assert not bell.acquire(blocking=False)

    found.unsubscribe(subscription)
    server.put(PATH, pod("a", "10.0.0.8"))
    assert bell.acquire(timeout=100)
    assert () == subscription.take().changes


def test_only_what_is_selected_is_asked_for(server: FakeApi, started: Made) -> None:
    """The field selector is in the list's request and in the watch's, which wants bookmarks."""
    server.put(PATH, pod("a", "10.0.0.1"))
    server.put(PATH, pod("b", "10.0.0.2"))
    found = started(selector="metadata.name=b")

    assert [B] == found.objects
    assert all("fieldSelector=metadata.name%3Db" in line for line in server.seen)
    assert "allowWatchBookmarks=true" in server.seen[-1]


def test_objects_that_lose_the_label_are_gone(server: FakeApi, api: Api) -> None:
    """The label selector is in the list's request and the watch's; a lost label comes as a deletion."""
    resource = Resource(NAMESPACES, lambda document: str(document["metadata"]["name"]), labels="expose=true")
    for number in range(10):
        server.put(NAMESPACES, namespace(f"other-{number}"))
    server.put(NAMESPACES, namespace("a", expose="true"))
    found = Informer(api, resource)
    found.start()
    wait_until(lambda: found.objects == ["a"])
    server.put(NAMESPACES, namespace("other-1", expose="true"))
    wait_until(lambda: found.objects == ["a", "other-1"])
    server.put(NAMESPACES, namespace("a", expose="false"))
    wait_until(lambda: found.objects == ["other-1"])
    found.stop()

    assert 1 == asked(server, "limit=")
    assert all("labelSelector=expose%3Dtrue" in line for line in server.seen)
    assert found.join(100)


def test_a_watch_that_ended_is_followed_by_one_from_the_last_bookmark(server: FakeApi, started: Made) -> None:
    """Nothing is listed again, and nothing is wrong."""
    found = started()
    end(server, "77")
    wait_until(lambda: asked(server, "watch=1") == 2)

    assert "resourceVersion=77" in server.seen[-1]
    assert 1 == asked(server, "limit=")
    assert "" == found.problem


def test_watches_that_end_at_once_are_begun_at_most_once_a_second(server: FakeApi, made: Made) -> None:
    """A proxy that answers each watch with nothing was asked 6,500 times a second; it is reported, and asked seldom."""
    server.cut_short = True
    clock = FakeClock(waits=12)
    found = made(clock)
    found.run()

    assert (12, 1) == (asked(server, "watch=1"), asked(server, "limit="))
    assert all(INTERVAL <= rest <= LONGEST for rest in clock.rests)
    assert LONGEST / 2 <= clock.rests[-1]
    assert "ends each watch of /api/v1/pods at once" in found.problem


def test_short_watches_that_bring_something_are_paced_too(server: FakeApi, made: Made) -> None:
    """They have not failed, so the rest does not grow."""
    server.cut_short = True
    clock = FakeClock(waits=6)
    names = iter("abcdef")

    def changed() -> None:
        if (name := next(names, None)) is not None:
            server.put(PATH, pod(name))

    found = made(clock, changed=changed)
    found.run()

    assert [INTERVAL] * 6 == clock.rests
    assert ("", 6) == (found.problem, len(found.objects))


def test_a_forgotten_version_is_listed_again(server: FakeApi, started: Made) -> None:
    """410 is not a failure: what was deleted meanwhile is gone, and who listens is told."""
    server.put(PATH, pod("a", "10.0.0.1"))
    found = started()
    subscription = found.subscribe(lambda: None)
    subscription.take()
    server.forgotten = True
    del server.objects[PATH]["ns/a"]
    end(server, "9")
    wait_until(lambda: not found.objects)
    server.forgotten = False

    assert (Change("ns/a", A, None),) == subscription.take().changes
    assert "" == found.problem


def test_a_server_that_forgets_every_version_is_listed_less_and_less_often(server: FakeApi, made: Made) -> None:
    """Each list costs it more than a watch does."""
    server.forgotten = True
    clock = FakeClock(waits=10)
    made(clock).run()

    assert 10 == asked(server, "limit=")
    assert LONGEST / 2 <= clock.rests[-1]


def test_a_list_that_breaks_off_is_not_taken_for_a_whole_one(server: FakeApi, made: Made) -> None:
    """With two pages of three there is nothing, rather than four objects of which the rest would seem deleted."""
    for number in range(5):
        server.put(PATH, pod(f"p{number}"))
    found = made()
    server.faults = [200, 200, 410]
    with pytest.raises(Refused, match="410"):
        found.follow()

    assert ([], False) == (found.objects, found.synced)


def test_a_list_that_expires_again_and_again_is_reported(server: FakeApi, made: Made) -> None:
    """Nothing is known then, which must not look as if all were well."""
    server.faults = [410] * 3
    found = made(FakeClock(waits=3))
    found.run()

    assert "the API server refuses /api/v1/pods: 410" in found.problem
    assert not found.synced


def test_what_is_known_stays_in_force_while_the_server_is_away(server: FakeApi, made: Made) -> None:
    """The problem is told once, and is gone with the first answer."""
    server.put(PATH, pod("a", "10.0.0.1"))
    server.cut_short = True
    server.faults = [200, 500, 503, 500]
    told: list[str] = []
    found: Informer[Pod] = made(FakeClock(waits=4), changed=lambda: told.append(found.problem))
    found.run()

    assert [A] == found.objects
    assert [True, False, True, False] == [problem == "" for problem in told]
    assert "the API server refuses /api/v1/pods: 500" in told[1]


def test_the_age_is_the_time_since_the_server_last_said_anything(server: FakeApi, made: Made) -> None:
    """It is infinite before that, and any answer makes it zero."""
    clock = FakeClock(waits=1)
    found = made(clock)
    assert float("inf") == found.age
    server.cut_short = True
    found.run()

    assert clock.rests[0] == found.age


def test_hostile_objects_cost_themselves_only(server: FakeApi, started: Made) -> None:
    """They are reported by name, and the others go on."""
    server.put(PATH, pod("a", "10.0.0.1"))
    bell = threading.Semaphore(0)
    found = started(changed=bell.release)
    server.put(PATH, pod("a", 7))
    server.put(PATH, pod("b", "10.0.0.2"))
    wait_until(lambda: found.objects == [A, B])

    assert {"ns/a": "podIP is 7, but must be a string"} == found.unreadable
    assert "/api/v1/pods: ns/a cannot be understood: podIP is 7" in found.problem
    server.put(PATH, pod("a", "10.0.0.1"))
    wait_until(lambda: found.problem == "")


@pytest.mark.parametrize("broken_off", [False, True])
def test_a_lost_event_is_made_up_for_by_a_list(server: FakeApi, started: Made, *, broken_off: bool) -> None:
    """A line that is not an event may have been about any object, so the next watch begins with a list."""
    found = started()
    server.say(PATH, b"nonsense\n")
    server.put(PATH, pod("a", "10.0.0.1"))
    wait_until(lambda: found.objects == [A])
    assert "cannot be understood: an event cannot be read" in found.problem
    assert 1 == asked(server, "limit=")

    if broken_off:
        server.cut()
    else:
        server.say(PATH, {"type": "END"})
    wait_until(lambda: found.problem == "")
    assert 2 == asked(server, "limit=")


def test_a_mistake_of_ours_does_not_end_the_thread(
    server: FakeApi, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged with its traceback and reported, and everything is listed again."""

    def mistake() -> None:
        raise ZeroDivisionError("ours")

    server.put(PATH, pod("a", "10.0.0.1"))
    found = made(FakeClock(waits=2), changed=mistake)
    found.run()

    assert 2 == asked(server, "limit=")
    assert [A] == found.objects
    assert "/api/v1/pods cannot be followed: ZeroDivisionError: ours" == found.problem
    assert "in mistake" in caplog.text


def test_a_watch_is_ended_by_the_server_at_a_random_time(server: FakeApi, made: Made) -> None:
    """Each watch asks for another limit, or all nodes would begin their next watches together."""
    server.cut_short = True
    made(FakeClock(waits=20)).run()
    seconds = {line.partition("timeoutSeconds=")[2] for line in server.seen if "watch=1" in line}

    assert 5 < len(seconds)
    assert all(300 <= int(one) <= 600 for one in seconds)


@pytest.mark.parametrize("silent", ["limit=", "watch=1"])
def test_stopping_is_prompt_before_the_server_answers(server: FakeApi, made: Made, silent: str) -> None:
    """The thread that waits for the head of an answer is woken, and no subscriber is."""
    server.mute = {silent}
    told: list[str] = []
    found = made(changed=lambda: told.append("changed"))
    found.start()
    wait_until(lambda: asked(server, silent) == 1)
    told.clear()
    found.stop()

    assert found.join(100)
    assert ([], "") == (told, found.problem)


def test_stopping_is_prompt_while_a_watch_is_silent(server: FakeApi, started: Made) -> None:
    """The thread waits for an event that never comes; nothing new is asked for afterwards."""
    found = started()
    found.stop()

    assert found.join(100)
    assert 1 == asked(server, "watch=1")


def test_an_informer_that_is_stopped_leaves_the_others_their_connections(server: FakeApi, made: Made, api: Api) -> None:
    """Each has its own, although they were made of one client."""
    one, other = made(), made()
    for informer in (one, other):
        informer.start()
    wait_until(lambda: server.watched == 2)
    one.stop()
    assert one.join(100)
    server.put(PATH, pod("a", "10.0.0.1"))
    wait_until(lambda: other.objects == [A])

    assert api.items(PATH)


def test_stopping_ends_a_rest_at_once(server: FakeApi, api: Api) -> None:
    """With the kernel's clock: a thread that waits to ask again does not wait that long."""
    server.faults = [500]
    told = threading.Event()
    found = Informer(api, PODS, changed=told.set)
    found.start()
    assert told.wait(100)
    found.stop()

    assert found.join(100)


def test_an_informer_that_never_began_can_be_stopped(made: Made) -> None:
    """Its thread has ended as far as anybody can tell."""
    found = made()
    found.stop()

    assert found.join(0)


def test_one_round_raises_what_went_wrong(server: FakeApi, made: Made) -> None:
    """A refusal and a server that is away are different problems."""
    found = made()
    server.faults = [401]
    with pytest.raises(Refused, match="401"):
        found.follow()
    server.stop()
    with pytest.raises(Unreachable):
        found.follow()
    assert not found.synced


@pytest.mark.parametrize(("seconds", "again"), [(0.0, True), (90.0, False)], ids=["long", "not for long"])
def test_a_watch_that_was_silent_from_its_beginning_is_followed_by_a_list(
    seconds: float, *, again: bool, server: FakeApi, made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that was restored from an older backup says nothing until it has come to the watch's version again."""
    monkeypatch.setattr("slash80.cluster.api._SILENCE", Timeout(connect=5, read=0.1))
    monkeypatch.setattr("slash80.cluster.informer._SILENT", seconds)
    server.put(PATH, pod("a", "10.0.0.1"))
    found = made(FakeClock(waits=12))
    found.start()
    wait_until(lambda: [A] == found.objects)
    server.objects[PATH] = {}  # no event tells of it
    wait_until(lambda: asked(server, "watch=1") > 3)

    assert again is (asked(server, "limit=") > 1)
    assert again is ([] == found.objects)
