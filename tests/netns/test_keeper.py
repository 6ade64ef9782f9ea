"""The agent keeps the node's table in place, also without Kubernetes: what others delete or change comes back."""

import json
from collections.abc import Callable, Iterator

import pytest

from lab import snapshot
from lab.agent import Agent
from lab.attacker import Attacker
from lab.namespaces import Namespace
from lab.probes import SHORTLY, Server, ask, ping
from lab.rig import Rig, changed
from lab.waiting import wait_until
from netns.conftest import root


def replace_last_rule(host: Namespace, chain: str) -> None:
    """Have the chain's last rule accept everything; the number of rules stays."""
    listing = json.loads(host.command("nft", "-j", "-a", "list", "chain", "inet", "slash80", chain))["nftables"]
    handle = [entry["rule"]["handle"] for entry in listing if "rule" in entry][-1]
    host.nft(f"replace rule inet slash80 {chain} handle {handle} accept")


BREAKAGES: dict[str, Callable[[Namespace], object]] = {
    "everything flushed": lambda host: host.nft("flush ruleset"),
    "table flushed": lambda host: host.nft("flush table inet slash80"),
    "chain flushed": lambda host: host.nft("flush chain inet slash80 edge"),
    "table dormant": lambda host: host.nft("add table inet slash80 { flags dormant; }"),
    "rule replaced": lambda host: replace_last_rule(host, "edge"),
    "prefix trusted": lambda host: host.nft("add element inet slash80 trusted6 { 2000::/4 }"),
    "ARP table deleted": lambda host: host.nft("delete table arp slash80"),
    "rule added": lambda host: host.nft("insert rule inet slash80 edge accept"),
}


@pytest.fixture
def shape() -> str:
    """The launcher; each test starts its own agent."""
    return "frozen"


@pytest.fixture
def agent(routed: Rig) -> Iterator[Agent]:
    """Provide the node's agent, which runs."""
    with Agent(routed.host, root(), routed.state_dir) as agent:
        yield agent


def kept(rig: Rig) -> tuple[int, str]:
    """Return how often the table was put back, and what was found the last time."""
    found = json.loads((rig.state_dir / "firewall.json").read_text())
    return found["repairs"], found["lastRepair"]


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_the_agent_puts_the_table_back(routed: Rig, agent: Agent, attacker: Attacker, breakage: str) -> None:
    """Without a further call pods are closed again; the log and the count say that it happened, and who did it."""
    pod = routed.attach()
    before = snapshot.ruleset(routed.host)
    BREAKAGES[breakage](routed.host)
    wait_until(lambda: kept(routed)[0] == 1)

    assert before == snapshot.ruleset(routed.host)
    with Server(pod.pod):
        assert ask(routed.site.internet, pod.ipv6, timeout=SHORTLY) is None
    assert ", by nft (process " in kept(routed)[1]
    wait_until(lambda: kept(routed)[1] in agent.log.read_text())


def test_an_agent_that_starts_puts_the_table_back(routed: Rig) -> None:
    """What was flushed while no agent ran comes back with the next one, which puts nothing in place before a pod."""
    with Agent(routed.host, root(), routed.state_dir) as agent:
        assert "slash80" not in routed.host.command("nft", "list", "tables")
        routed.attach()
        agent.kill()
        routed.host.nft("flush ruleset")
        agent.start()
        wait_until(lambda: "table inet slash80" in routed.host.command("nft", "list", "tables"))
        wait_until(lambda: kept(routed) == (1, "the table was deleted"))


def test_changed_settings_are_not_undone(routed: Rig, agent: Agent) -> None:
    """The keeper puts back what the last call put in place, and not what was there when it started."""
    routed.attach()
    routed.having(firewall={"trusted": ["2001:db8:77::/48"]}).attach()
    routed.host.nft("flush ruleset")
    wait_until(lambda: kept(routed)[0] == 1)
    assert "2001:db8:77::/48" in routed.host.command("nft", "list", "set", "inet", "slash80", "trusted6")


def test_what_happens_by_itself_is_no_repair(routed: Rig, agent: Agent) -> None:
    """Calls change elements or replace the table, packets change counters and limits; none of that counts."""
    mapped = changed(routed.conf, runtimeConfig={"portMappings": [{"hostPort": 8080, "containerPort": 80}]})
    for _ in range(5):
        routed.detach(routed.attach(conf=mapped))
    pod = routed.attach()
    assert ping(routed.site.internet, pod.ipv6) == 1
    routed.having(firewall={"echo": "drop"}).attach()
    routed.host.nft("flush ruleset")
    wait_until(lambda: kept(routed)[0] > 0)
    assert 1 == kept(routed)[0]
