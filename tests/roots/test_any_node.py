"""On any root: a node brings a kernel, and everything else comes with the plugin."""

import json
from dataclasses import replace

import pytest

from lab.rig import Rig
from roots.root import ENGINE, LAUNCHER, NFT, Root, Rooted

INPUT = b'{"cniVersion": "1.0.0"}'


@pytest.mark.parametrize("program", [LAUNCHER, ENGINE])
def test_version(node: Root, program: str) -> None:
    """Launcher and engine answer, with nothing on standard error."""
    done = node.run(program, stdin=INPUT, CNI_COMMAND="VERSION")
    assert (0, b"") == (done.returncode, done.stderr)
    assert "1.1.0" in json.loads(done.stdout)["supportedVersions"]


@pytest.mark.parametrize("words", [(LAUNCHER, "version"), (ENGINE, "version"), (NFT, "--version")])
def test_without_proc(node: Root, words: tuple[str, ...]) -> None:
    """A program finds itself, its loader and its libraries where /proc is not mounted."""
    done = replace(node, options=node.options - {"proc"}).run(*words)
    assert (0, b"") == (done.returncode, done.stderr)
    assert done.stdout


def test_the_life_of_a_pod(rig: Rig) -> None:
    """ADD, CHECK and DEL by the engine; the firewall is put in place by the nft that came along."""
    assert isinstance(rig.plugin, Rooted)
    assert not (rig.plugin.root.path / "usr/sbin/nft").exists()
    attachment = rig.attach()
    rig.plugin.check(attachment.pod, rig.conf, attachment.result)
    done = rig.plugin.root.run(NFT, "list", "table", "inet", "slash80", host=rig.host)
    assert (0, b"") == (done.returncode, done.stderr)
    assert b"chain edge" in done.stdout

    rig.detach(attachment)
    assert not rig.host.has_link(attachment.host_ifname)


def test_the_agent_serves(rig: Rig) -> None:
    """The agent runs there too: a removal is left to its reaper, as no engine does it."""
    assert isinstance(rig.plugin, Rooted)
    with rig.plugin.root.agent(rig.host):
        attachment = rig.attach()
        rig.detach(attachment)
        assert rig.host.has_link("x80" + attachment.host_ifname[3:])
