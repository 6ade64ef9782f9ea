"""The agent under its launcher: killed, restarted, overrun, refused; nothing is lost or doubled, and nothing leaks."""

import json
import operator
import os
import resource
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import pytest

from lab import limits, programs, snapshot, state
from lab.agent import Agent
from lab.namespaces import Namespace
from lab.night import at_night
from lab.plugin import Outcome, reap
from lab.probes import ping
from lab.rig import Attachment, Rig
from lab.topology import INTERNET6
from lab.waiting import wait_until
from netns.conftest import MakeRig, root
from slash80 import ipc
from slash80.addressing.attachment import Key
from slash80.failpoints import Failpoint
from slash80.store.locks import FileLock

ADDING = [Failpoint.LOCKED, Failpoint.RESERVED, Failpoint.LINKED, Failpoint.HOST_WIRED, Failpoint.KEPT]
REMOVING = [Failpoint.LOCKED, Failpoint.DEFERRED, Failpoint.TERMINATING]
Quick = Callable[[Rig], Rig]


@pytest.fixture
def shape() -> str:
    """The launcher; each test starts its own agent."""
    return "frozen"


@pytest.fixture
def node(make_rig: MakeRig, quick: Quick) -> Iterator[Rig]:
    """Provide a node that has had a pod before, and see that the test leaves it exactly as it was."""
    rig = make_rig()
    quick(rig).cycle()
    before = snapshot.take(rig.host)
    yield rig
    rig.host.run(lambda: reap(rig.conf))
    assert snapshot.difference(before, snapshot.take(rig.host)) == []
    assert (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir)) == (0, 0)


@pytest.fixture
def agent(node: Rig) -> Iterator[Agent]:
    """Provide the node's agent, not started; whatever becomes of the test, it does not outlive it."""
    agent = Agent(node.host, root(), node.state_dir)
    yield agent
    agent.end()


def delete(rig: Rig, pod: Namespace) -> None:
    """DEL, as the runtime sends it after a failed ADD."""
    rig.plugin.delete(pod, rig.conf)


def add_again(rig: Rig, pod: Namespace) -> None:
    """ADD once more: it works, unless the first one was complete; either way the pod then works, and can be removed."""
    outcome = rig.plugin.call("ADD", rig.conf, netns=pod)
    assert outcome.code == 0 or "attached already" in outcome.json["msg"]
    assert ping(pod, INTERNET6) == 1
    delete(rig, pod)


def listed(rig: Rig) -> list[dict[str, object]]:
    """Return what `slash80 attachments` shows."""
    program = root() / "opt/cni/bin/slash80"
    words: list[str | Path] = [program, "attachments", "-o", "json", "--state-dir", rig.state_dir]
    found: list[dict[str, object]] = json.loads(programs.run(words))
    return found


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("then", [delete, add_again])
@pytest.mark.parametrize("moment", ADDING)
def test_agent_killed_in_an_add(
    node: Rig, agent: Agent, *, moment: Failpoint, then: Callable[[Rig, Namespace], None], restarted: bool
) -> None:
    """The caller is told to try again, and the next agent or the engine cleans up and succeeds."""
    pod = node.site.pod()
    agent.start(SLASH80_FAILPOINT=f"{moment}:KILL")
    outcome = node.plugin.call("ADD", node.conf, netns=pod)

    assert outcome.code == 1, f"{outcome.message} {agent.log.read_text()}"
    assert outcome.json["code"] == 11
    assert agent.wait() == 1
    with agent if restarted else nullcontext():
        then(node, pod)


@pytest.mark.parametrize("restarted", [True, False])
@pytest.mark.parametrize("then", [delete, add_again])
@pytest.mark.parametrize("moment", REMOVING)
def test_agent_killed_in_a_del(
    node: Rig, quick: Quick, agent: Agent, *, moment: Failpoint, then: Callable[[Rig, Namespace], None], restarted: bool
) -> None:
    """The engine does it, so nothing is left if the caller does not come again, and it may come again."""
    attachment = quick(node).attach()
    agent.start(SLASH80_FAILPOINT=f"{moment}:KILL")
    outcome = node.plugin.call("DEL", node.conf, netns=attachment.pod)

    assert outcome.code == 0, f"{outcome.message} {agent.log.read_text()}"
    assert agent.wait() == 1
    assert not listed(node)
    with agent if restarted else nullcontext():
        then(node, attachment.pod)


@pytest.mark.parametrize(
    ("verb", "moment"),
    [*(("ADD", moment) for moment in ADDING), *(("DEL", moment) for moment in REMOVING)],
)
@pytest.mark.parametrize("both", [False, True])
def test_launcher_killed_in_a_call(
    node: Rig, quick: Quick, agent: Agent, *, moment: Failpoint, verb: str, both: bool
) -> None:
    """An ADD without a caller is rolled back, a DEL is finished; if the agent is killed too, by the next DEL."""
    pod = quick(node).attach().pod if verb == "DEL" else node.site.pod()
    agent.start(SLASH80_FAILPOINT=f"{moment}:STOP")
    with agent.running():
        environ = {
            "CNI_COMMAND": verb,
            "CNI_CONTAINERID": pod.name,
            "CNI_NETNS": str(pod.path),
            "CNI_IFNAME": "eth0",
            "CNI_PATH": "/opt/cni/bin",
        }
        process = subprocess.Popen(
            [agent.program], env=environ, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True
        )
        assert process.stdin
        process.stdin.write(json.dumps(node.conf).encode())
        process.stdin.close()
        wait_until(agent.is_stopped)
        process.kill()
        process.wait()
        if both:
            agent.kill()
            delete(node, pod)
        else:
            agent.resume()
            assert 0 == agent.stop()

    assert not node.host.has_link(Key(pod.name, "eth0").host_ifname)
    assert listed(node) == []
    delete(node, pod)


def test_agent_killed_with_fifty_calls_in_flight(node: Rig, agent: Agent) -> None:
    """After its restart and the runtime's retries every pod has its own addresses and can be removed."""
    pods = [node.site.pod() for _ in range(50)]
    rig = node.having(cniVersion="1.1.0")
    with agent, ThreadPoolExecutor(50) as pool:

        def add(pod: Namespace) -> Outcome:
            return rig.plugin.call("ADD", rig.conf, netns=pod)

        first = [pool.submit(add, pod) for pod in pods]
        wait_until(lambda: sum(call.done() for call in first) >= 5)
        agent.kill()
        outcomes = [call.result() for call in first]
        agent.start()
        failed = [pod for pod, outcome in zip(pods, outcomes, strict=True) if outcome.code]
        list(pool.map(lambda pod: delete(rig, pod), failed))
        again = dict(zip(failed, pool.map(add, failed), strict=True))
        results = [again.get(pod, outcome) for pod, outcome in zip(pods, outcomes, strict=True)]

        assert [0] * 50 == [outcome.code for outcome in results]
        attachments = [Attachment(pod, outcome.json) for pod, outcome in zip(pods, results, strict=True)]
        assert 100 == len({address for attachment in attachments for address in attachment.addresses})
        assert 50 == state.attachments(node.state_dir)
        assert all(pool.map(lambda pod: ping(pod, INTERNET6) == 1, pods))
        list(pool.map(rig.detach, attachments))


def test_calls_succeed_while_agents_stop_and_start(node: Rig, agent: Agent) -> None:
    """Each call is answered by one of the agents or by the engine, and none fails."""
    rig, pods = node, [node.site.pod() for _ in range(24)]
    with agent, ThreadPoolExecutor(12) as pool:
        calls = [pool.submit(lambda pod=pod: rig.detach(rig.attach(pod))) for pod in pods]  # type: ignore[misc]
        for _ in range(4):
            assert 0 == agent.stop()
            agent.start()
        for call in calls:
            call.result()


def test_removed_pod_has_no_interface_until_its_link_is_reaped(node: Rig, agent: Agent) -> None:
    """It has neither interface nor address, its host end is down, and both ends go with the reaper."""
    agent.start(SLASH80_FAILPOINT=f"{Failpoint.TERMINATING}:STOP")  # before the reaper learns of the link
    with agent.running(), ThreadPoolExecutor(1) as pool:
        attachment = node.attach()
        removing = pool.submit(node.detach, attachment)
        wait_until(agent.is_stopped)
        with FileLock(node.state_dir / "lock").held(50):  # which the reaper needs
            agent.resume()
            removing.result()
            assert (1, 0) == (state.attachments(node.state_dir), state.living(node.state_dir))
            assert not node.host.has_link(attachment.host_ifname)
            assert not attachment.pod.has_link("eth0")
            dying = attachment.host_ifname.replace("s80", "x80")
            (link,) = [link for link in node.host.query("link show") if link["ifname"] == dying]
            assert "UP" not in link["flags"]
            addresses = [info["local"] for link in attachment.pod.query("addr show") for info in link["addr_info"]]
            assert not set(attachment.addresses) & set(addresses)
        wait_until(lambda: not node.host.has_link(dying))
        wait_until(lambda: listed(node) == [])


@pytest.mark.parametrize("netns", [None, ""])
def test_repeated_del_leaves_the_deferred_link_to_the_reaper(node: Rig, agent: Agent, netns: str | None) -> None:
    """A runtime repeats DEL when the sandbox is gone: it does not wait for the link, and restores nothing."""

    def is_left() -> bool:
        attachment = node.attach()
        node.detach(attachment)
        before = _dying(node)
        node.plugin.delete(netns, node.conf, container=attachment.pod.name)
        after = _dying(node)
        wait_until(lambda: listed(node) == [])
        return (1, 1, 0) == (len(before[0]), *before[1:]) and before == after

    with agent:
        wait_until(is_left)  # at the first time, unless the reaper, who waits for three seconds, comes in between


def _dying(node: Rig) -> tuple[list[tuple[int, str]], int, int]:
    """Return the links that wait for the reaper, and how many attachments are recorded, and how many of them live."""
    links = [one for one in node.host.run(socket.if_nameindex) if one[1].startswith("x80")]
    return links, state.attachments(node.state_dir), state.living(node.state_dir)


def test_del_with_another_namespace_spares_the_pod_in_it(node: Rig, agent: Agent) -> None:
    """The attachment is removed, and the other pod's interface of the same name, perhaps the same index, stays."""
    with agent:
        first, second = node.attach(), node.attach()
        node.plugin.delete(second.pod, node.conf, container=first.pod.name)

        assert not first.pod.has_link("eth0")
        assert not node.host.has_link(first.host_ifname)
        assert ping(second.pod, INTERNET6) == 1
        node.detach(second)


def test_restarted_agent_reaps_deferred_links(node: Rig, agent: Agent) -> None:
    """It deletes the links that any earlier agent deferred."""
    with agent:
        attachment = node.attach()
        node.detach(attachment)
        agent.kill()
        assert ["dying"] == [row["state"] for row in listed(node)]
        agent.start()

        wait_until(lambda: listed(node) == [])
        assert not node.host.has_link(attachment.host_ifname.replace("s80", "x80"))


def test_add_succeeds_beside_its_own_deferred_link(node: Rig, agent: Agent) -> None:
    """The same container and interface can be added again just after DEL."""
    with agent:
        attachment = node.attach()
        node.detach(attachment)
        again = node.attach(attachment.pod)

        assert not set(attachment.addresses) & set(again.addresses)
        assert ping(again.pod, INTERNET6) == 1
        node.detach(again)


@pytest.mark.parametrize("requested", ["ips", "mac"])
def test_address_and_mac_of_a_removed_pod_can_be_requested(node: Rig, agent: Agent, requested: str) -> None:
    """Its deferred link is deleted at once, as the engine would have done; other deferred links go with it."""
    rig = node.having(ipv6={"suffix": "mac"}, runtimeConfig={"mac": "02:00:5e:00:53:99"})
    with agent:
        first = rig.attach()
        if requested == "ips":
            rig = node.having(runtimeConfig={"ips": list(first.addresses)})
        other = node.attach()
        node.detach(other)
        node.detach(first)
        again = rig.attach()

        assert first.ipv6 == again.ipv6
        assert ping(again.pod, INTERNET6) == 1
        node.detach(again)


def test_second_agent_waits_for_the_first(node: Rig, agent: Agent) -> None:
    """It takes over when the first one ends, and removes nothing until then."""
    other = Agent(node.host, root(), node.state_dir)
    with agent, ThreadPoolExecutor(1) as pool:
        starting = pool.submit(other.start)
        with pytest.raises(TimeoutError):
            starting.result(timeout=1)
        node.detach(node.attach())
        assert 0 == agent.stop()
        starting.result()
    with other.running():
        node.detach(node.attach())


def test_state_dir_of_another_agent_is_code_7(node: Rig, agent: Agent) -> None:
    """A configuration whose socket and stateDir belong to two agents is refused with both names."""
    rig = node.having(stateDir=str(node.state_dir.with_name("elsewhere")), socket=str(node.state_dir / "cni.sock"))
    with agent:
        error = rig.plugin.refuses("ADD", rig.conf, netns=node.site.pod())

    assert 7 == error["code"]
    assert str(node.state_dir) in error["msg"]


def test_agent_answers_only_root(node: Rig, agent: Agent) -> None:
    """A user who can open the socket gets no answer."""
    with agent:
        path = node.state_dir / "cni.sock"
        assert 0o600 == path.stat().st_mode & 0o777
        path.parent.chmod(0o711)
        path.chmod(0o666)
        assert [0, 1] == [_in_child(partial(_asked_by, user, path)) for user in (0, 65534)]


def _in_child(action: Callable[[], int]) -> int:
    """Return what the action gives in a process of its own."""
    child = os.fork()
    if not child:
        code = 2
        try:
            code = action()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _asked_by(user: int, path: Path) -> int:
    """Ask for the version as a user who may open the socket; give 0 when it was answered."""
    folder = os.open(path.parent, os.O_RDONLY)
    os.fchdir(folder)
    os.setresuid(user, user, user)
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(path.name)
        return _asked(caller)


def _asked(caller: socket.socket) -> int:
    """Ask for the version; give 0 when it was answered."""
    try:
        caller.sendall(ipc.write({"CNI_COMMAND": "VERSION"}, b""))
        caller.shutdown(socket.SHUT_WR)
        return 0 if caller.recv(100).startswith(b"\0{") else 1
    except OSError:
        return 1


@pytest.mark.parametrize("since", ["before", "after"])
def test_noted_del_is_done_by_the_next_agent(node: Rig, agent: Agent, tmp_path: Path, since: str) -> None:
    """If the attachment was created again since then, the note is about the earlier one and is dropped."""
    bare = tmp_path / "bare/slash80"
    bare.parent.mkdir()
    shutil.copy(agent.program, bare)
    pod = node.site.pod()
    attachment = node.attach(pod)
    environ = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": pod.name, "CNI_IFNAME": "eth0", "CNI_PATH": "/"}
    assert programs.run([bare], environ=environ, stdin=json.dumps(node.conf)) == ""
    if since == "after":
        node.detach(attachment)
        attachment = node.attach(pod)
    notes = node.state_dir / ipc.NOTES
    (notes / "1-1").write_bytes(b"damaged")

    with agent:
        wait_until(lambda: not list(notes.iterdir()))
        assert (since == "after") == node.host.has_link(attachment.host_ifname)
        node.detach(attachment)
    notes.rmdir()


CALLS = int(os.environ.get("SLASH80_CALLS", "2000"))


def test_no_call_leaks_a_descriptor(node: Rig, agent: Agent) -> None:
    """Good and bad calls, calls that hang up or pass too many descriptors leave the agent's descriptors unchanged."""
    request = ipc.write(
        {"CNI_COMMAND": "CHECK", "CNI_CONTAINERID": "c", "CNI_NETNS": "x", "CNI_IFNAME": "e", "CNI_PATH": "/"},
        json.dumps(node.conf).encode(),
    )
    with agent, Path("/proc/self/ns/net").open("rb") as file:
        folder = os.open(node.state_dir, os.O_PATH)
        for number in range(CALLS):
            if number == 100:
                before = agent.descriptors()
            with socket.socket(socket.AF_UNIX) as caller:
                caller.connect(f"/proc/self/fd/{folder}/cni.sock")
                data = [request, request[:50], b"x" * 1000, b"", ipc.MAGIC][number % 5]
                descriptors = [file.fileno()] * (number % 4)
                socket.send_fds(caller, [data or b"y"], descriptors)
                if number % 3:
                    caller.shutdown(socket.SHUT_WR)
                    assert caller.recv(1) == b"\1"
        os.close(folder)
        wait_until(lambda: agent.descriptors() <= before)
        assert agent.memory() < 64 << 10


def test_memory_stays_what_it_was(node: Rig, agent: Agent) -> None:
    """Once each process has reaped its first hundreds of pods, the agent grows no more."""
    rig = node.having(ipv4={"prefixes": ["10.96.0.0/16"]})
    pods = [node.site.pod() for _ in range(4)]

    def cycles(count: int, pod: Namespace) -> None:
        for number in range(count):
            container = f"{pod.name}-{count}-{number}"
            rig.plugin.add(pod, rig.conf, container=container)
            rig.plugin.delete(pod, rig.conf, container=container)

    with agent, ThreadPoolExecutor(len(pods)) as pool:
        list(pool.map(partial(cycles, at_night(1000, usual=400)), pods))
        before = agent.own_memory()
        list(pool.map(partial(cycles, CALLS // 20), pods))
        assert sum(agent.own_memory()) - sum(before) < 3 << 10
    node.detach(node.attach())  # the network has its old prefixes again, and its covers follow
    # and so does what the firewall knows as the node's own
    node.plugin.gc(node.conf | {"cniVersion": "1.1.0", "cni.dev/valid-attachments": []})


def test_callers_under_resource_limits_are_served_or_refused(node: Rig, agent: Agent) -> None:
    """Each is served by the agent or refused by name, and the next call is served as usual."""
    values = {"NOFILE": 8, "FSIZE": 0, "AS": 8 << 20, "DATA": 8 << 20, "STACK": 256 << 10, "CPU": 1}
    stdin = json.dumps(node.conf).encode()
    environ = {"CNI_COMMAND": "DEL", "CNI_CONTAINERID": "c", "CNI_IFNAME": "e", "CNI_PATH": "/"}

    def call(name: str, value: int) -> subprocess.CompletedProcess[bytes]:
        limit = limits.hard(getattr(resource, f"RLIMIT_{name}"), value)
        return subprocess.run(
            [agent.program], env=environ, input=stdin, capture_output=True, check=False, preexec_fn=limit
        )

    with agent:
        assert [0] * len(values) == [call(name, value).returncode for name, value in values.items()]
        assert all(json.loads(call("NOFILE", few).stdout)["msg"] for few in range(5))
        node.detach(node.attach())


def test_large_calls_release_their_memory(node: Rig, agent: Agent) -> None:
    """Each process and thread returns the memory of 3 MiB of annotations."""
    annotations = {"io.kubernetes.cri.pod-annotations": {"a": "<" * (1 << 19)}}
    rig = node.having(runtimeConfig=annotations)
    escaped = json.dumps(rig.conf).replace("<", "\\u003c").encode()
    assert len(escaped) > 3 << 20
    calls = [{"CNI_COMMAND": "DEL", "CNI_CONTAINERID": f"c{n}", "CNI_IFNAME": "e", "CNI_PATH": "/"} for n in range(60)]
    with agent, ThreadPoolExecutor(8) as pool:
        quiet = json.dumps(node.conf).encode()
        assert {0} == {done.code for done in pool.map(lambda call: node.plugin.execute(call, quiet), calls)}
        before = agent.own_memory()
        assert {0} == {done.code for done in pool.map(lambda call: node.plugin.execute(call, escaped), calls)}
        # an answer is there before the call that gave it has ended
        wait_until(lambda: max(map(operator.sub, agent.own_memory(), before)) < 3 << 10)
