"""Clusters with an API server each, and a kubeconfig with a context for each of them."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from unit.cli.clusterset.clusters import Clusters, Terminal


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[Clusters]:
    """Return the clusters `eu` and `us`, in which the program runs and has not said anything."""
    made = Clusters(tmp_path / "kubeconfig")
    addresses = {name: api.start() for name, api in made.apis.items()}
    config = {
        "contexts": [{"name": name, "context": {"cluster": name}} for name in addresses],
        "clusters": [{"name": name, "cluster": {"server": server}} for name, server in addresses.items()],
    }
    made.kubeconfig.write_text(json.dumps(config))
    yield made
    for api in made.apis.values():
        api.stop()


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what a person will type, line by line, on a terminal."""
    lines: list[str] = []
    monkeypatch.setattr("sys.stdin", Terminal(lines))
    return lines


@pytest.fixture
def colours(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> pytest.CaptureFixture[str]:
    """Return what is printed on a wide terminal with colours."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"TERM": "xterm-256color", "COLUMNS": "200", "COLORTERM": ""}.items():
        monkeypatch.setenv(name, value)
    # of the class: pytest puts another object of it there for the test itself
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    return capsys
