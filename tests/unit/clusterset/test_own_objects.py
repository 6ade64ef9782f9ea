"""The Secret is filled once, by the first of several processes, and the state is kept beside the file."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from slash80.cluster.api import Api, Refused
from slash80.clusterset.own_objects import OwnObjects
from slash80.errors import InvalidConfig

Document = dict[str, Any]
SECRET = "/api/v1/namespaces/slash80-system/secrets/slash80-clusterset"
STATE = "/api/v1/namespaces/slash80-system/configmaps/slash80-clusterset-state"


class Server(Api):
    """Objects by path; a patch merges, and is refused where it names another version than the present one."""

    def __init__(self, *paths: str) -> None:
        self.objects: dict[str, Document] = {path: {"metadata": {"resourceVersion": "1"}} for path in paths}
        self.lock = threading.Lock()

    def get(self, path: str, **_: str) -> Document:
        """Return a copy of an object."""
        with self.lock:
            if path not in self.objects:
                raise Refused(404, "not found")
            return dict(json.loads(json.dumps(self.objects[path])))

    def patch(self, path: str, body: object, *, kind: str, **_: str) -> Document:
        """Merge the data of an object."""
        assert kind == "merge"
        assert isinstance(body, dict)
        with self.lock:
            found = self.objects[path]
            version = found["metadata"]["resourceVersion"]
            if body.get("metadata", {}).get("resourceVersion", version) != version:
                raise Refused(409, "the object has been modified")
            found.setdefault("data", {}).update(body["data"])
            found["metadata"]["resourceVersion"] = str(int(version) + 1)
            return dict(found)


class Key:
    """A key that is another one each time."""

    def __init__(self, number: int) -> None:
        self._number = number

    def data(self) -> dict[str, str]:
        """Return it as a Secret keeps it."""
        return {"tls.key": str(self._number)}


def keys() -> Any:  # noqa: ANN401 -- a counter
    """Return what makes keys, and counts them."""
    numbers = iter(range(1, 1000))
    return lambda: Key(next(numbers))


def test_an_empty_secret_is_filled() -> None:
    """A new key is put into it, and the same one is found later."""
    server, create = Server(SECRET), keys()
    own = OwnObjects(server, "slash80-system")

    assert {"tls.key": "1"} == own.filled(create)
    assert {"tls.key": "1"} == own.filled(create)
    assert {"tls.key": "1"} == own.secret()


def test_several_processes_agree_on_one_key() -> None:
    """During a rollout two may begin at once: what they do at the same moment leaves one key, which all of them use."""
    server, create = Server(SECRET), keys()
    begin = threading.Barrier(4)

    def at_once() -> object:
        begin.wait()
        return OwnObjects(server, "slash80-system").filled(create)

    with ThreadPoolExecutor(4) as pool:
        found = [future.result() for future in [pool.submit(at_once) for _ in range(4)]]

    assert [server.objects[SECRET]["data"]] * 4 == found


@pytest.mark.parametrize("data", [{}, {"tls.key": "", "tls.crt": ""}, None])
def test_a_secret_of_empty_values_is_empty(data: Document | None) -> None:
    """A person who empties it asks for a new key."""
    server = Server(SECRET)
    server.objects[SECRET]["data"] = data or {}

    assert {"tls.key": "1"}.items() <= OwnObjects(server, "slash80-system").filled(keys()).items()


def test_a_refusal_is_not_tried_again() -> None:
    """Without the right no key can be put into it, and the server's sentence says so."""
    server = Server(SECRET)

    def forbidden(*_: object, **__: object) -> Document:
        raise Refused(403, "secrets is forbidden")

    server.patch = forbidden  # type: ignore[method-assign]
    with pytest.raises(Refused, match="forbidden"):
        OwnObjects(server, "slash80-system").filled(keys())


def test_a_secret_that_always_changes_is_given_up() -> None:
    """Another program that writes it all the time is named as the cause, instead of trying for ever."""
    server = Server(SECRET)

    def conflict(*_: object, **__: object) -> Document:
        raise Refused(409, "modified")

    server.patch = conflict  # type: ignore[method-assign]
    with pytest.raises(InvalidConfig, match="changes all the time"):
        OwnObjects(server, "slash80-system").filled(keys())


@pytest.mark.parametrize("ask", [OwnObjects.secret, OwnObjects.state])
def test_a_missing_object_names_the_manifest(ask: Any) -> None:  # noqa: ANN401 -- a method
    """Both come with the manifests, since the program may not create them."""
    with pytest.raises(InvalidConfig, match="manifests/clusterset"):
        ask(OwnObjects(Server(), "slash80-system"))


def test_keys_of_the_state_are_kept_side_by_side() -> None:
    """The state is written often and the file seldom, and neither removes the other."""
    server = Server(STATE)
    own = OwnObjects(server, "slash80-system")
    own.keep({"clusterset.yaml": "name: shop"})
    own.keep({"state.json": "{}"})

    assert {"clusterset.yaml": "name: shop", "state.json": "{}"} == own.state()
