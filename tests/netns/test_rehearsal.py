"""What an agent does before its first call, so that this takes no longer than any other."""

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import programs
from lab.agent import Agent
from lab.rig import Rig
from netns.conftest import MakeRig, root
from slash80.agent.serve import rehearsal

# In an interpreter of its own, since the tests before have loaded everything in this one.
FIRST_CALL = """
import io, json, os, sys
from pathlib import Path
import slash80.agent.run
from slash80 import engine
from slash80.agent.serve import rehearsal
from slash80.host.context import CallContext, STANDALONE
from slash80.settings.network import NetConf
from slash80.settings.node import NodeFile
folder, sandbox, conf = Path(sys.argv[1]), os.open(sys.argv[2], os.O_RDONLY), sys.argv[3]
folder.mkdir()
rehearsal.rehearse(folder)
assert [] == list(folder.iterdir())
assert NetConf.__pydantic_complete__ and NodeFile.__pydantic_complete__
loaded = set(sys.modules)
environ = {"CNI_COMMAND": "ADD", "CNI_CONTAINERID": "c", "CNI_IFNAME": "eth0", "CNI_NETNS": "x", "CNI_PATH": "/"}
context = CallContext(STANDALONE.opened, sandbox)
engine.answer(environ, io.BytesIO(conf.encode()), lambda code, text: print(code), context=context)
print(sorted(set(sys.modules) - loaded))
"""


@pytest.fixture
def shape() -> str:
    """The launcher; each test starts its own agent."""
    return "frozen"


@pytest.fixture
def node(make_rig: MakeRig) -> Rig:
    """Put the plugin on a node that has had a pod before."""
    rig = make_rig()
    rig.cycle()
    return rig


@pytest.fixture
def agent(node: Rig) -> Iterator[Agent]:
    """Give the node's agent, not started; whatever becomes of the test, it does not outlive it."""
    agent = Agent(node.host, root(), node.state_dir)
    yield agent
    agent.end()


def test_a_rehearsal_succeeds_and_leaves_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Pods are attached and detached in namespaces without a name, and its folder is gone afterwards."""
    caplog.set_level(logging.INFO)
    rehearsal.rehearse(tmp_path)

    assert "rehearsal failed" not in caplog.text
    assert [] == [*tmp_path.iterdir()]


def test_the_first_call_after_a_rehearsal_builds_nothing(node: Rig, tmp_path: Path) -> None:
    """After a rehearsal an ADD imports no module and builds no validator, and the rehearsal has left no file."""
    state_dir = tmp_path / "another"
    conf = json.dumps(node.conf | {"stateDir": str(state_dir)})
    words: list[str | Path] = [sys.executable, "-c", FIRST_CALL, state_dir, node.site.pod().path, conf]

    assert "0\n[]\n" == node.host.run(programs.run, words)


def test_an_agent_that_serves_has_all_open(node: Rig, agent: Agent) -> None:
    """Store and netlink sockets are open in each process that answers calls before the agent says that it serves."""
    with agent:
        assert all(_opened(pid) >= {"state.db", "NETLINK_ROUTE", "NETLINK_NETFILTER"} for pid in agent.pids[1:])


def test_a_rehearsal_that_was_killed_is_begun_again(node: Rig, agent: Agent) -> None:
    """What a killed rehearsal left is removed by the next one, and so is what that one makes."""
    (node.state_dir / "rehearsal/locks").mkdir(parents=True)
    with agent:
        assert not (node.state_dir / "rehearsal").exists()
        assert "rehearsal failed" not in agent.log.read_text()


def _opened(pid: int) -> set[str]:
    """Return what a process has open, by the names of files and of netlink's protocols."""
    return {Path(link).name for link in _links(pid)} | set(_netlink(pid))


def _links(pid: int) -> Iterator[str]:
    """Yield what its descriptors lead to, but for those that it closes meanwhile, as its reaper does."""
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            yield str(path.readlink())


def _netlink(pid: int) -> list[str]:
    """Return the protocols of a process's netlink sockets."""
    names = {"0": "NETLINK_ROUTE", "12": "NETLINK_NETFILTER"}
    lines = [line.split() for line in Path(f"/proc/{pid}/net/netlink").read_text().splitlines()[1:]]
    protocols = {f"socket:[{fields[9]}]": names.get(fields[1], fields[1]) for fields in lines}
    return sorted(protocols[link] for link in _links(pid) if link in protocols)
