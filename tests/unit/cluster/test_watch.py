"""A watch: what it knows, after whatever happened to the server."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from lab.kube import FakeApi, node
from lab.waiting import wait_until
from slash80.cluster import watch as watching
from slash80.cluster.api import Api, Refused, Unreachable
from slash80.cluster.watch import Watch

NODES = "/api/v1/nodes"


def _name(document: dict[str, Any]) -> str:
    return str(document["metadata"]["name"]) + str(document["metadata"].get("annotations", ""))


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(watching, "_PATIENCE", (0.01, 0.02))


def _until(question: Callable[[], object]) -> None:
    wait_until(lambda: bool(question()), seconds=20)


def _started(api: Api, **more: Any) -> tuple[Watch[str], list[int]]:  # noqa: ANN401 -- handed on
    changes: list[int] = []
    found = Watch(api, NODES, read=_name, changed=lambda: changes.append(1), **more)
    found.start()
    return found, changes


def test_what_is_there_and_what_comes_and_goes(server: FakeApi, api: Api) -> None:
    """Each change is told, one that changes nothing here is not."""
    server.put(NODES, node("b"))
    found, changes = _started(api)
    _until(lambda: server.watched)
    assert ["b"] == found.objects
    assert found.synced
    assert found.problem == ""

    server.put(NODES, node("a"))
    _until(lambda: len(changes) == 2)
    server.put(NODES, node("a") | {"status": {"phase": "other"}})
    server.remove(NODES, "b")
    _until(lambda: len(changes) == 3)
    assert ["a"] == found.objects


def test_only_what_is_selected_is_asked_for(server: FakeApi, api: Api) -> None:
    """By the list and by the watch."""
    server.put(NODES, node("a"))
    server.put(NODES, node("b"))
    found, _ = _started(api, selector="metadata.name=b")
    _until(lambda: server.watched)

    assert ["b"] == found.objects
    assert all("fieldSelector=metadata.name%3Db" in asked for asked in server.seen)
    assert "allowWatchBookmarks=true" in server.seen[-1]


def test_a_watch_goes_on_from_the_last_bookmark(server: FakeApi, api: Api) -> None:
    """The server ends each watch after a while; nothing is listed again."""
    found, _ = _started(api)
    _until(lambda: server.watched)
    server.say(NODES, {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "77"}}})
    server.say(NODES, {"type": "END"})
    _until(lambda: sum("watch=1" in asked for asked in server.seen) == 2)

    assert "resourceVersion=77" in server.seen[-1]
    assert found.age < 10


def test_a_forgotten_version_is_listed_anew(server: FakeApi, api: Api) -> None:
    """410 is no failure: what was deleted meanwhile is gone."""
    server.put(NODES, node("a"))
    found, _ = _started(api)
    _until(lambda: server.watched)
    server.forgotten = True
    del server.objects[NODES]["a"]
    server.say(NODES, {"type": "END"})
    _until(lambda: sum("watch=1" in asked for asked in server.seen) >= 2)
    server.forgotten = False
    _until(lambda: not found.objects)

    assert found.problem == ""


def test_what_is_known_stays_while_the_server_is_away(server: FakeApi, api: Api) -> None:
    """The problem is told once, and gone with the first answer."""
    server.put(NODES, node("a"))
    found, changes = _started(api)
    _until(lambda: server.watched)
    server.faults = [500, 503, 500]
    server.say(NODES, {"type": "END"})
    _until(lambda: found.problem)
    assert ["a"] == found.objects
    assert "500" in found.problem
    _until(lambda: not found.problem)

    assert 2 == len(changes)


def test_an_object_that_makes_no_sense_does_not_end_it(server: FakeApi, api: Api) -> None:
    """It is told, and gone once the object is."""
    server.put(NODES, node("a"))
    found, _ = _started(api)
    _until(lambda: server.watched)
    server.say(NODES, {"type": "MODIFIED", "object": {"metadata": {}}})
    server.objects[NODES]["b"] = {"metadata": {}}
    _until(lambda: "cannot be understood" in found.problem)
    assert ["a"] == found.objects
    del server.objects[NODES]["b"]
    _until(lambda: not found.problem)


def test_one_round_raises_what_went_wrong(server: FakeApi, api: Api) -> None:
    """For the thread that decides when to try again."""
    found = Watch(api, NODES, read=_name, changed=threading.Event().set)
    server.faults = [401]
    with pytest.raises(Refused, match="401"):
        found.follow()
    server.stop()
    with pytest.raises(Unreachable):
        found.follow()
    assert not found.synced
