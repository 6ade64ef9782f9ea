"""What probes are told."""

import json
import socket
import urllib.request
from urllib.error import HTTPError

import pytest

from slash80.agent import health
from slash80.agent.health import Health, Metrics
from slash80.desired.problems import Problem, Reason


class Told:
    """Reports what is accepted."""

    def answer(self, accept: str) -> tuple[int, str, bytes]:
        """Tell it."""
        return 200, "text/x", f"for {accept}".encode()


def _health(idle: float = 0) -> Health:
    return Health(("127.0.0.1", 0), lambda: idle, Told)


def test_probe_gets_health_and_problems_over_http() -> None:
    """A probe on loopback gets the state, and the body names the problems."""
    told = _health()
    url = f"http://127.0.0.1:{told.start()}"
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(f"{url}/readyz")
    with refused.value as answer:
        assert 503 == answer.status
    told.ready(ready=True, problems=[Problem(Reason.NO_PREFIX, "a", "one thing")])
    with urllib.request.urlopen(f"{url}/readyz") as answer:
        assert {"ready": True, "problems": ["one thing"]} == json.loads(answer.read())


@pytest.mark.parametrize(("idle", "status"), [(59.9, 200), (60.0, 503), (900.0, 503)])
def test_a_part_that_no_longer_moves_fails_the_liveness_probe(idle: float, status: int) -> None:
    """The kubelet starts the agent again after a minute, which is several times what any part needs."""
    assert (status, {"secondsSinceLook": idle}) == _health(idle).answer("/healthz")


def test_a_path_that_is_not_served_is_answered_with_those_that_are() -> None:
    """A person who asks by hand sees what can be asked."""
    assert (404, {"paths": ["/healthz", "/readyz", "/metrics"]}) == _health().answer("/")


@pytest.mark.parametrize("query", ["", "?", "?name[]=slash80_ready", "?a=b?c#d"])
def test_what_follows_a_path_does_not_matter(query: str) -> None:
    """Scrapers and probes may add parameters, which mean nothing here."""
    url = f"http://127.0.0.1:{_health().start()}"
    with urllib.request.urlopen(f"{url}/healthz{query}") as answer:
        assert {"secondsSinceLook": 0} == json.loads(answer.read())
    with urllib.request.urlopen(urllib.request.Request(f"{url}/metrics{query}", headers={"Accept": "a/b"})) as answer:
        assert (b"for a/b", "text/x") == (answer.read(), answer.headers["Content-Type"])


def test_metrics_are_made_at_the_first_scrape() -> None:
    """A node that is not scraped need not load what they are made of."""
    made: list[int] = []

    def make() -> Metrics:
        made.append(1)
        return Told()

    health = Health(("127.0.0.1", 0), lambda: 0, make)
    health.respond("/healthz", "")
    assert [] == made
    for _ in range(2):
        assert (200, "text/x", b"for ") == health.respond("/metrics", "")
    assert [1] == made


def test_a_probe_that_sends_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits in a thread of its own, and who connects and stays silent would keep it for ever."""
    monkeypatch.setattr(health, "_WAIT", 0.01)
    with socket.create_connection(("127.0.0.1", _health().start()), timeout=20) as silent:
        assert b"" == silent.recv(1)
