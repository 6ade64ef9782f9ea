"""Runtimes without root: their node is a network namespace of a user namespace, where they are root over little."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from lab import programs
from lab.plugin import Json
from netns.conftest import root

# What a rootless runtime makes of its user; `ip netns` has its names in a directory of its own there.
ALONE = ("unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-ec")
READY = "mount -t tmpfs none /run/netns; ip link set lo up; ip netns add pod1; ip netns add pod2"
CALL = 'CNI_COMMAND={} CNI_CONTAINERID={} CNI_NETNS=/run/netns/{} CNI_IFNAME=eth0 CNI_PATH=/ "$1" < "$2"'


def call(verb: str, pod: str) -> str:
    """Return the words that call the plugin for a pod."""
    return CALL.format(verb, pod, pod)


def run(script: str, program: str, state_dir: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with the plugin as $1 and a configuration as $2."""
    conf: Json = {"cniVersion": "1.0.0", "name": "rootless", "type": "slash80", "stateDir": str(state_dir)}
    conf |= {"ipv6": {"prefixes": ["2001:db8:0:1:1::/80"]}, "ipv4": {"prefixes": ["10.80.1.0/24"]}}
    path = state_dir.with_name("conf.json")
    path.write_text(json.dumps(conf))
    Path("/run/netns").mkdir(exist_ok=True)
    return programs.ended([*ALONE, script, "sh", root() / "opt/cni/bin" / program, path])


def test_rootless_runtime_has_pods(tmp_path: Path) -> None:
    """With a state directory of its own, its pods reach each other, and none is left."""
    script = [
        *(READY, call("ADD", "pod1"), call("ADD", "pod2")),
        "ip netns exec pod2 cat /proc/sys/net/ipv6/conf/eth0/keep_addr_on_down",
        "ip netns exec pod1 ping -n -c1 -W1 10.80.1.2 > /dev/null",
        *(call("DEL", "pod1"), call("DEL", "pod2")),
        "ip -o link show group 21376",
    ]
    done = run("; ".join(script), "slash80", tmp_path / "state")
    first, second, *rest = done.stdout.splitlines()

    assert done.returncode == 0, done.stderr
    assert [len(json.loads(result)["ips"]) for result in (first, second)] == [2, 2]
    assert rest == ["1"]


@pytest.mark.parametrize("program", ["slash80", ".slash80/engine"])
def test_state_dir_of_another_user_is_code_5(tmp_path: Path, program: str) -> None:
    """Launcher and engine say what to set when it is the default one, which is root's."""
    state_dir = tmp_path / "state"
    state_dir.mkdir(mode=0o700)
    os.chown(state_dir, 65534, 65534)
    error: Json = json.loads(run(f"{READY}; {call('ADD', 'pod1')}", program, state_dir).stdout)

    assert error["code"] == 5
    assert f"{state_dir} belongs to another user; set stateDir to a directory" in error["msg"]


@pytest.mark.parametrize("program", ["slash80", ".slash80/engine"])
def test_state_dir_that_cannot_be_created_is_code_5(tmp_path: Path, program: str) -> None:
    """The advice is the same if the directory above belongs to another user."""
    above = tmp_path / "above"
    above.mkdir(mode=0o755)
    os.chown(above, 65534, 65534)
    state_dir = above / "state"
    error: Json = json.loads(run(f"{READY}; {call('ADD', 'pod1')}", program, state_dir).stdout)

    assert error["code"] == 5
    assert f"{state_dir}: Permission denied; set stateDir to a directory" in error["msg"]
