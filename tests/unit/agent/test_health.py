"""What probes are told."""

import json
import urllib.request
from urllib.error import HTTPError

import pytest

from slash80.agent import health
from slash80.agent.health import Health


def test_a_probe_hears_over_http_how_things_are() -> None:
    """On loopback, with the problems for people who ask by hand."""
    told = Health(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{told.start()}"
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(f"{url}/readyz")
    with refused.value as answer:
        assert 503 == answer.status
    told.ready(ready=True, problems=["one thing"])
    with urllib.request.urlopen(f"{url}/readyz") as answer:
        assert {"ready": True, "problems": ["one thing"]} == json.loads(answer.read())


def test_a_controller_that_no_longer_moves_is_ill(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a minute."""
    told = Health(("127.0.0.1", 0))
    assert 200 == told.answer("/healthz")[0]
    monkeypatch.setattr(health, "_STALE", 0)
    assert 503 == told.answer("/healthz")[0]
    assert 404 == told.answer("/metrics")[0]
