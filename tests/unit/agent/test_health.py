"""What probes are told."""

import json
import socket
import urllib.request
from urllib.error import HTTPError

import pytest

from slash80.agent import health
from slash80.agent.health import Health
from slash80.desired.problems import Problem, Reason


def test_probe_gets_health_and_problems_over_http() -> None:
    """A probe on loopback gets the state, and the body names the problems."""
    told = Health(("127.0.0.1", 0), idle=lambda: 0)
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
    assert (status, {"secondsSinceLook": idle}) == Health(("127.0.0.1", 0), idle=lambda: idle).answer("/healthz")


def test_a_path_that_is_not_served_is_answered_with_those_that_are() -> None:
    """A person who asks by hand sees what can be asked."""
    assert (404, {"paths": ["/healthz", "/readyz"]}) == Health(("127.0.0.1", 0), idle=lambda: 0).answer("/metrics")


def test_a_probe_that_sends_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits in a thread of its own, and who connects and stays silent would keep it for ever."""
    monkeypatch.setattr(health, "_WAIT", 0.01)
    with socket.create_connection(
        ("127.0.0.1", Health(("127.0.0.1", 0), idle=lambda: 0).start()), timeout=20
    ) as silent:
        assert b"" == silent.recv(1)
