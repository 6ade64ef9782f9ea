"""How pods begin under NetworkPolicies: closed where policies are or may be, before their first packet."""

import json
import os
import signal
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from lab import state
from lab.namespaces import Namespace
from lab.policed import ISOLATED, OPEN, TABLE, gate, keys, lead, of_cluster, on_table, policed, rules, tell
from lab.probes import ANSWERED, SHORTLY, Protocol, Server, ask
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until
from netns.conftest import root
from netns.test_firewall_repair import repaired
from slash80.agent.policy_gate import PolicyGate
from slash80.failpoints import Failpoint
from slash80.policy.records import ACCEPT, CLOSED
from slash80.settings import policy

KINDS: tuple[Protocol, ...] = ("tcp", "udp")
INTERNET = (INTERNET6, INTERNET4)
BEGINNING = list(Failpoint)[: list(Failpoint).index(Failpoint.DEFERRED)]


def reached(client: Namespace, *targets: str, timeout: float = SHORTLY) -> list[str]:
    """Return the addresses at which a server answers, by both protocols; without an answer not much is waited for."""
    return [to for to in targets if all(ask(client, to, kind, timeout=timeout) for kind in KINDS)]


def answered(client: Namespace, *targets: str) -> list[str]:
    """Return the same where an answer is expected."""
    return reached(client, *targets, timeout=ANSWERED)


def verdicts(rig: Rig, attachment: Attachment) -> set[str]:
    """Return the verdicts of an interface's own ways."""
    found = rules(rig)
    assert found is not None
    return {found.verdicts.get(key, "missing") for key in keys(attachment)}


def closed(rig: Rig, attachment: Attachment) -> bool:
    """Report whether a pod reaches no one and no one reaches it, but the node, in both families by all protocols."""
    pod, other = attachment.pod, rig.attach(args=OPEN)
    with Server(pod), Server(other.pod), Server(rig.site.internet), Server(rig.host):
        node = (rig.node.ipv6, rig.node.ipv4)
        assert [*node, *attachment.addresses] == [*answered(pod, *node), *answered(rig.host, *attachment.addresses)]
        found = [*reached(pod, *INTERNET, *other.addresses), *reached(other.pod, *attachment.addresses)]
    rig.detach(other)
    return not found


def opened(rig: Rig, attachment: Attachment) -> bool:
    """Report whether a pod reaches the Internet and the node reaches it."""
    with Server(attachment.pod), Server(rig.site.internet):
        targets = answered(attachment.pod, *INTERNET), answered(rig.host, *attachment.addresses)
    return targets == ([*INTERNET], [*attachment.addresses])


@pytest.mark.with_and_without_agent
def test_a_pod_of_a_namespace_with_policies_begins_closed(routed: Rig) -> None:
    """A pod of a namespace with policies exchanges packets with its node alone; those of other namespaces are open."""
    rig = policed(routed, "isolated")
    isolated, other, plain = rig.attach(args=ISOLATED), rig.attach(args=OPEN), rig.attach()
    assert closed(rig, isolated)
    assert opened(rig, other)
    assert opened(rig, plain)
    assert ({CLOSED}, {ACCEPT}) == (verdicts(rig, isolated), verdicts(rig, other))


def test_without_policies_nothing_is_put_in_place(routed: Rig) -> None:
    """Where no namespace has policies there is no table of them, and pods are open."""
    rig = policed(routed, enforced=False)
    assert opened(rig, rig.attach(args=ISOLATED))
    assert TABLE not in rig.host.command("nft", "list", "tables")


def _written(path: Path, **changes: object) -> Path:
    document = policy.document(enforced=False, isolated=(), may_expose=None)
    path.write_text(json.dumps({key: value for key, value in (document | changes).items() if value is not None}))
    path.chmod(0o600)
    return path


UNKNOWN: dict[str, Callable[[Path], object]] = {
    "missing": lambda _: None,
    "of an earlier boot": lambda path: _written(path, boot="before"),
    "of another user": lambda path: os.chown(_written(path), 1000, 1000),
    "writable by others": lambda path: _written(path).chmod(0o666),
    "a link": lambda path: path.symlink_to(_written(path.with_suffix(".real"))),
    "not JSON": lambda path: path.write_text("enforced: false"),
    "of an older agent": lambda path: _written(path, enforced=None, isolated=None, mayExpose=[]),
}


@pytest.mark.parametrize("why", UNKNOWN)
def test_what_is_not_known_is_closed(routed: Rig, why: str) -> None:
    """Without a file that says otherwise any pod of Kubernetes begins closed, and a plain container is open."""
    rig = of_cluster(routed)
    UNKNOWN[why](rig.state_dir / policy.NAME)
    begun, plain = rig.attach(args=OPEN), rig.attach()
    assert ({CLOSED}, {ACCEPT}) == (verdicts(rig, begun), verdicts(rig, plain))
    with Server(rig.site.internet):
        assert [] == reached(begun.pod, *INTERNET)
        assert [*INTERNET] == answered(plain.pod, *INTERNET)


def test_an_upgrade_closes_no_pod_that_runs(routed: Rig) -> None:
    """What ran before it was known whether there are policies stays open; what has begun closed stays closed."""
    rig = policed(routed, enforced=False)
    running = rig.attach(args=ISOLATED)
    (rig.state_dir / policy.NAME).unlink()
    begun = rig.attach(args=ISOLATED)
    for _ in range(2):
        assert ({ACCEPT}, {CLOSED}) == (verdicts(rig, running), verdicts(rig, begun))
        rig.host.nft("flush ruleset")
        assert {CLOSED} == verdicts(rig, rig.attach(args=ISOLATED))
    assert opened(rig, running)


DAMAGES = {"flushed": f"flush table inet {TABLE}", "deleted": f"delete table inet {TABLE}", "all": "flush ruleset"}


@pytest.mark.with_and_without_agent
@pytest.mark.parametrize("damage", DAMAGES)
def test_the_next_add_puts_a_missing_table_back_closed(routed: Rig, damage: str) -> None:
    """Running pods of namespaces with policies are closed then until the controller comes, the others go on."""
    rig = policed(routed, "isolated")
    isolated, other = rig.attach(args=ISOLATED), rig.attach(args=OPEN)
    lead(rig, ACCEPT, [isolated.host_ifname])
    rig.host.nft(DAMAGES[damage])
    rig.attach(args=OPEN)
    assert ({CLOSED}, {ACCEPT}) == (verdicts(rig, isolated), verdicts(rig, other))
    assert closed(rig, isolated)
    assert opened(rig, other)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_repair_closes_pods_with_policies_until_the_agent_comes(routed: Rig, damage: str) -> None:
    """Without an agent `slash80 firewall repair` keeps a table that is whole, and puts a missing one back closed."""
    rig = policed(routed, "isolated")
    isolated, other, plain = rig.attach(args=ISOLATED), rig.attach(args=OPEN), rig.attach()
    lead(rig, ACCEPT, [isolated.host_ifname])
    assert (0, "") == repaired(rig)
    assert {ACCEPT} == verdicts(rig, isolated)

    rig.host.nft(DAMAGES[damage])
    assert 0 == repaired(rig)[0]
    assert [{CLOSED}, {ACCEPT}, {ACCEPT}] == [verdicts(rig, one) for one in (isolated, other, plain)]
    assert closed(rig, isolated)
    assert opened(rig, other)
    assert opened(rig, plain)

    lead(rig, ACCEPT, [isolated.host_ifname])  # as the agent does that has come
    assert (0, "") == repaired(rig)
    assert opened(rig, isolated)


def test_pods_of_networks_of_their_own_are_not_judged(routed: Rig) -> None:
    """They are open while there is a table that drops what it does not know, and it knows them before their link."""
    rig = policed(routed, "isolated")
    isolated = rig.attach(args=ISOLATED)
    own = rig.having(
        source=None, name="own", ipv6={"prefixes": ["2001:db8:0:99:1::/80"]}, ipv4={"prefixes": ["10.99.1.0/24"]}
    )
    elsewhere = own.having(stateDir=f"{rig.state_dir}-other", socket=None)
    for one in (own, elsewhere):
        found = one.attach(args=ISOLATED)
        assert {ACCEPT} == verdicts(rig, found)
        rig.host.nft(f"delete table inet {TABLE}")
        rig.attach(args=OPEN)
        assert ({CLOSED}, {ACCEPT}) == (verdicts(rig, isolated), verdicts(rig, found))


def test_a_second_interface_begins_as_the_first_one(routed: Rig) -> None:
    """Both links of a container may send from both links' addresses, and none of these ways leads out."""
    rig = policed(routed, "isolated")
    eth0 = rig.attach(args=ISOLATED)
    net1 = rig.attach(eth0.pod, args=ISOLATED, ifname="net1")
    assert {CLOSED} == verdicts(rig, eth0) | verdicts(rig, net1)
    with Server(rig.site.internet):
        for ifname, to in product(("eth0", "net1"), INTERNET):
            assert [] == bound(eth0.pod, ifname, to, eth0.addresses + net1.addresses)


def bound(pod: Namespace, ifname: str, to: str, sources: tuple[str, ...]) -> list[str]:
    """Return from which of its addresses a pod gets an answer by one of its links."""
    pod.ip(f"route replace {to} dev {ifname} via {'fe80::1' if ':' in to else '169.254.1.1'} onlink")
    found = []
    for source in sources:
        if (":" in source) == (":" in to):
            pod.ip(
                f"route replace {to} dev {ifname} via {'fe80::1' if ':' in to else '169.254.1.1'} onlink src {source}"
            )
            found += [source] if ask(pod, to, timeout=SHORTLY) else []
    return found


def remove(rig: Rig, attachment: Attachment) -> None:
    """Delete an interface's elements, as another program might."""
    for key in keys(attachment):
        name = f"{key.direction}{key.address.version}"
        rig.host.nft(f'delete element inet {TABLE} {name} {{ "{key.ifname}" . {key.address} }}')
    assert {"missing"} == verdicts(rig, attachment)


def collect(rig: Rig, attachment: Attachment) -> None:
    """GC with a list that has the pod."""
    named = [{"containerID": attachment.pod.name, "ifname": "eth0"}]
    rig.plugin.gc(rig.having(cniVersion="1.1.0", **{"cni.dev/valid-attachments": named}).conf)


REPAIRS: dict[str, Callable[[Rig, Attachment], None]] = {
    "CHECK": lambda rig, pod: rig.plugin.check(pod.pod, rig.conf, pod.result, args=ISOLATED),
    "GC": collect,
}


@pytest.mark.parametrize("repair", REPAIRS)
def test_what_was_deleted_is_put_back_closed(routed: Rig, repair: str) -> None:
    """A pod without its elements is cut off, and closed once they are back; those that another pod has stay."""
    rig = policed(routed, "isolated")
    isolated, kept = rig.attach(args=ISOLATED), rig.attach(args=ISOLATED)
    lead(rig, ACCEPT, [kept.host_ifname])
    remove(rig, isolated)
    for _ in range(2):
        REPAIRS[repair](rig, isolated)
        assert ({CLOSED}, {ACCEPT}) == (verdicts(rig, isolated), verdicts(rig, kept))


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
@pytest.mark.parametrize("moment", BEGINNING)
def test_a_killed_add_leaves_nothing_open(routed: Rig, moment: Failpoint) -> None:
    """Wherever it is killed, no packet of the pod gets out, also after the next ADD of another pod."""
    rig, pod = policed(routed, "isolated"), routed.site.pod()
    killed = rig.plugin.call("ADD", rig.conf, netns=pod, args=ISOLATED, SLASH80_FAILPOINT=f"{moment}:KILL")
    assert -signal.SIGKILL == killed.code
    quick = rig.in_process()
    with Server(rig.site.internet):
        assert [] == reached(pod, *INTERNET)
        other = quick.attach(args=OPEN)
        assert [] == reached(pod, *INTERNET)
        assert [*INTERNET] == answered(other.pod, *INTERNET)
    for one in (pod, other.pod):
        quick.plugin.delete(one, rig.conf)
    assert (0, 0) == (state.attachments(rig.state_dir), state.held_addresses(rig.state_dir))


def test_a_pod_is_open_when_its_add_returns(routed: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controller is asked for the very interface, puts what applies to it in force, and lets the ADD go on."""
    monkeypatch.setattr("slash80.host.policy_question.SECONDS", 20)
    rig = policed(routed, "isolated")
    named: list[str] = []

    def asked(door: PolicyGate) -> None:
        named.extend(door.pending())
        lead(rig, ACCEPT, named)
        door.done(named)

    with gate(rig, asked) as door, Server(rig.site.internet):
        attachment = rig.attach(args=ISOLATED)
        assert [*INTERNET] == answered(attachment.pod, *INTERNET)
        rig.attach(args=OPEN)
    assert [attachment.host_ifname] == named
    assert (1, 1, 0) == (door.counts().asked, door.counts().answered, door.counts().unanswered)


def test_a_recreated_pod_is_not_judged_as_the_one_before(routed: Rig) -> None:
    """A pod of the same name begins closed, whatever its predecessor was allowed: its labels may be others."""
    rig = policed(routed, "isolated")
    before = rig.attach(args=f"{ISOLATED};K8S_POD_UID=one")
    lead(rig, ACCEPT, [before.host_ifname])
    rig.detach(before)
    assert closed(rig, rig.attach(args=f"{ISOLATED};K8S_POD_UID=two"))


def test_a_controller_that_was_faster_is_not_overruled(routed: Rig) -> None:
    """The record is there before the ADD comes to the table, so the controller may have opened the pod by then."""
    rig = policed(routed, "isolated")
    attachment = rig.attach(args=ISOLATED)
    lead(rig, ACCEPT, [attachment.host_ifname])
    there = on_table(rig, lambda table: table.dispatch(dict.fromkeys(keys(attachment), CLOSED)))
    assert dict.fromkeys(keys(attachment), ACCEPT) == there
    assert {ACCEPT} == verdicts(rig, attachment)


def test_a_pod_whose_controller_hangs_is_closed_until_it_is_well_again(
    routed: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ADD succeeds in any case, and waits no longer than it may."""
    monkeypatch.setattr("slash80.host.policy_question.SECONDS", 0.2)
    rig = policed(routed, "isolated")
    with gate(rig, lambda _: None) as door:
        attachment = rig.attach(args=ISOLATED)
        assert closed(rig, attachment)
        wait_until(lambda: door.counts().unanswered == 1)
    lead(rig, ACCEPT, [attachment.host_ifname])
    assert opened(rig, attachment)


def test_policies_that_end_leave_no_trace(routed: Rig) -> None:
    """When the file says that nothing is enforced any more, pods begin as without policies."""
    rig = policed(routed, "isolated")
    rig.attach(args=ISOLATED)
    tell(rig, policy.document(enforced=False, isolated=(), may_expose=None))
    on_table(rig, lambda table: table.remove())
    assert opened(rig, rig.attach(args=ISOLATED))
    assert TABLE not in rig.host.command("nft", "list", "tables")


@pytest.mark.parametrize("shape", ["frozen"], indirect=True)
def test_uninstall_takes_the_table_away(routed: Rig) -> None:
    """With the state directory, in which all files about policies are."""
    rig = policed(routed, "isolated")
    rig.attach(args=ISOLATED)
    folders = [f"--{name}-dir={rig.state_dir.with_name(name)}" for name in ("bin", "conf", "data")]
    program = root() / "opt/cni/bin/slash80"
    said = rig.host.command(str(program), "uninstall", "--force", *folders, f"--state-dir={rig.state_dir}")
    assert f"table inet {TABLE}" in said.splitlines()
    assert "slash80" not in rig.host.command("nft", "list", "tables")
    assert not rig.state_dir.exists()
