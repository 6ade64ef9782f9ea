"""The policies' table: changed in one transaction, read back as it was written, and put in place again."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import ip_address

import pytest

from lab.namespaces import Namespace, unique_name
from lab.policies import ANOTHER, EGRESS4, EVERY_KIND, INGRESS6, OTHER, STATES
from lab.waiting import wait_until
from slash80.addressing.ports import TCP
from slash80.agent.firewall_keeper import FirewallMonitor
from slash80.errors import FirewallUnusable
from slash80.firewall.installed import InstalledTable
from slash80.firewall.policies.changes import Changes
from slash80.firewall.policies.messages import changes_table
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.model import Direction
from slash80.policy.records import ACCEPT, CLOSED, Dispatched, Member, PeerSet, Plan, PolicyRules

WRITES = "from lab.policies import write_without_end; write_without_end()"


def _addresses(*texts: str) -> frozenset[Member]:
    return frozenset(map(ip_address, texts))


def _in_force(rules: PolicyRules) -> PolicyRules:
    """Return rules as they are read back: chains by their names alone."""
    return replace(rules, chains=dict.fromkeys(rules.chains, ()))


@pytest.fixture
def node() -> Iterator[Namespace]:
    """Provide a namespace of its own."""
    node = Namespace.create(unique_name())
    try:
        yield node
    finally:
        node.delete()


@pytest.fixture
def table(node: Namespace) -> Iterator[PolicyTable]:
    """Provide the table in that namespace, with rules."""
    table = PolicyTable(mark=31)
    try:
        node.run(table.replace, EVERY_KIND)
        yield table
    finally:
        table.close()


def test_what_is_in_force_is_read_back(node: Namespace, table: PolicyTable) -> None:
    """Sets with all kinds of peers, chains and verdicts are read from the kernel as they were put there."""
    assert _in_force(EVERY_KIND) == node.run(table.read)
    node.run(table.replace, EVERY_KIND)
    assert _in_force(EVERY_KIND) == node.run(table.read)


def test_every_commit_is_told_with_its_generation(node: Namespace) -> None:
    """By these the base table knows that it was not changed, whether nft or a message of ours has committed."""
    generations: list[int] = []
    base, table = InstalledTable(), PolicyTable(changes=Changes(generations.append))
    with closing(base), closing(table):
        first = node.run(base.nf_tables.generation)
        node.run(table.replace, EVERY_KIND)
        assert node.run(table.dispatch, {OTHER: CLOSED})
        node.run(table.apply, Plan(verdicts={OTHER: ACCEPT}))
        node.run(table.remove)
        last = node.run(base.nf_tables.generation)
    assert list(range(first + 1, last + 1)) == generations


@pytest.mark.parametrize("mark", [None, 7])
def test_a_table_with_another_mark_is_not_ours(node: Namespace, table: PolicyTable, mark: int | None) -> None:
    """A table that was made with another bit of the connection mark is not read, so that it is replaced."""
    other = PolicyTable(mark)
    try:
        assert node.run(other.read) is None
        assert node.run(other.dispatch, {OTHER: CLOSED})
    finally:
        other.close()


HARMS = {
    "deleted": "delete table inet slash80-policy",
    "flushed": "flush table inet slash80-policy",
    "without rules of a policy": "flush chain inet slash80-policy e4-one",
    "without what drops": "flush chain inet slash80-policy dropped_egress",
    "asleep": "add table inet slash80-policy { flags dormant; }",
    "with a foreign set": "add set inet slash80-policy mine { type ipv4_addr; }",
    "of an older version": """
        delete table inet slash80-policy
        table inet slash80-policy {
            comment "of old"
            chain egress { type filter hook forward priority 0; }
            chain ingress { type filter hook forward priority 0; }
        }
    """,
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS.keys())
def test_a_table_that_another_program_harmed_is_replaced(node: Namespace, table: PolicyTable, harm: str) -> None:
    """A table that is gone, empty, asleep or of an older version is not read, and is put in place whole."""
    node.nft(harm)

    assert node.run(table.read) is None
    node.run(table.replace, EVERY_KIND)
    assert _in_force(EVERY_KIND) == node.run(table.read)


def test_a_plan_of_elements_runs_no_program(
    node: Namespace, table: PolicyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Peers and verdicts come, go and change by netlink alone, whether or not they were there before."""
    monkeypatch.setattr("slash80.firewall.apply.load", lambda *_: pytest.fail("nft was run"))
    new = Dispatched(Direction.INGRESS, "s80three", ip_address("2001:db8::3"))
    plan = Plan(
        added={
            "a4-one": _addresses("10.80.1.7", "10.80.1.8"),
            "n4-web": frozenset({(ip_address("10.80.1.7"), TCP, 8)}),
        },
        deleted={"a4-one": _addresses("10.80.1.9", "10.80.1.10")},
        verdicts={EGRESS4: CLOSED, new: "i6-one", INGRESS6: "i6-one"},
        forgotten=frozenset({OTHER, replace(OTHER, ifname="s80never")}),
    )
    for _ in range(2):
        node.run(table.apply, plan)

        found = node.run(table.read)
        assert found is not None
        assert {EGRESS4: CLOSED, new: "i6-one", INGRESS6: "i6-one"} == found.verdicts
        assert _addresses("10.80.1.7", "10.80.1.8") == found.sets["a4-one"].members
        assert (ip_address("10.80.1.7"), TCP, 8) in found.sets["n4-web"].members


FURTHER = Plan(
    new_sets={"a4-two": PeerSet("ipv4_addr", frozenset({ip_address("10.9.9.9")}))},
    new_chains={"e4-two": ("ip daddr @a4-two accept", "goto dropped_egress")},
    verdicts={EGRESS4: "e4-two"},
    deleted={"a4-one": frozenset({ip_address("10.80.1.9")})},
    old_chains=frozenset({"e4-one"}),
    old_sets=frozenset({"n4-web", "b4-some"}),
)


def test_a_new_chain_takes_the_place_of_an_old_one(node: Namespace, table: PolicyTable) -> None:
    """It leads there in one transaction; the old chain and its sets go in a later one."""
    node.run(table.apply, FURTHER)
    between = _seen(node)
    assert between is not None
    assert {"e4-one", "e4-two", "i6-one"} == between.chains.keys()
    assert between.verdicts[EGRESS4] == "e4-two"

    node.run(table.sweep)
    found = node.run(table.read)
    assert found is not None
    assert {"e4-two", "i6-one"} == found.chains.keys()
    assert {"a4-one", "a4-two", "a6-none", "b6-one", "self4"} == found.sets.keys()
    assert found.sets["a4-one"].members == {ip_address("10.80.1.8")}
    assert found.verdicts[EGRESS4] == "e4-two"
    assert not table.left


def test_a_large_plan_of_elements_is_one_transaction_too(node: Namespace, table: PolicyTable) -> None:
    """More peers than one datagram has room for come by nft, in one transaction as well."""
    many = frozenset(ip_address("2001:db8::") + number for number in range(5000))
    node.run(table.apply, Plan(added={"a6-none": many}))

    found = node.run(table.read)
    assert found is not None
    assert many == found.sets["a6-none"].members


def test_a_refused_deletion_loses_nothing_of_the_rest(node: Namespace, table: PolicyTable) -> None:
    """Where the kernel still uses an old chain the new one is in force, and the old one goes at the next time."""
    node.nft("add rule inet slash80-policy closed goto e4-one")
    node.run(table.apply, FURTHER)
    node.run(table.sweep)

    found = _seen(node)
    assert found is not None
    assert found.verdicts[EGRESS4] == "e4-two"
    assert {"e4-one", "e4-two", "i6-one"} == found.chains.keys()
    assert table.left
    node.nft(f"delete rule inet slash80-policy closed handle {_handle(node, 'goto e4-one')}")
    node.run(table.sweep)
    after = node.run(table.read)
    assert after is not None
    assert {"e4-two", "i6-one"} == after.chains.keys()
    assert not table.left


def test_an_add_that_was_undone_keeps_no_old_chain(node: Namespace, table: PolicyTable) -> None:
    """Its key is in no one's rules, since its record has gone with it; what leads to other chains stays."""
    undone, comes = (replace(EGRESS4, ifname=ifname) for ifname in ("s80undone", "s80comes"))
    assert {} == node.run(table.dispatch, {undone: "e4-one", comes: CLOSED})
    node.run(table.apply, FURTHER)
    for _ in range(2):
        node.run(table.sweep)
    assert not table.left
    after = _seen(node)
    assert after is not None
    assert {"e4-two", "i6-one"} == after.chains.keys()
    assert {**EVERY_KIND.verdicts, EGRESS4: "e4-two", comes: CLOSED} == after.verdicts


def test_a_chain_that_was_left_lets_nothing_pass(node: Namespace, table: PolicyTable) -> None:
    """Who does not know yet that the table was written again, without this chain, may lead a pod there."""
    node.nft("flush table inet slash80-policy")
    with closing(PolicyTable(31)) as of_a_repair:
        node.run(of_a_repair.replace, PolicyRules(verdicts={EGRESS4: CLOSED}))
    assert {} == node.run(table.dispatch, {OTHER: "e4-one"})
    rules = node.command("nft", "list", "chain", "inet", "slash80-policy", "e4-one").splitlines()[2:-2]
    assert ["goto dropped_egress"] == [rule.strip() for rule in rules]
    assert _seen(node) is None


def test_a_chain_that_was_left_is_taken_up_again(node: Namespace, table: PolicyTable) -> None:
    """A chain that waits for its deletion and is wanted again has its rules once, and is not deleted."""
    node.nft("add rule inet slash80-policy closed goto e4-one")
    node.run(table.apply, FURTHER)
    node.run(table.sweep)
    back = Plan(
        new_sets={"n4-web": EVERY_KIND.sets["n4-web"], "b4-some": EVERY_KIND.sets["b4-some"]},
        new_chains={"e4-one": EVERY_KIND.chains["e4-one"]},
        verdicts={EGRESS4: "e4-one"},
    )
    node.run(table.apply, back)

    assert not table.left
    listed = node.command("nft", "list", "chain", "inet", "slash80-policy", "e4-one")
    assert listed.count("dport 80") == 1


def test_a_plan_that_is_refused_changes_nothing(node: Namespace, table: PolicyTable) -> None:
    """A plan that does not fit what is in the kernel raises FirewallUnusable and is not carried out in part."""
    with pytest.raises(FirewallUnusable, match="nft refuses the table of NetworkPolicies"):
        node.run(table.apply, Plan(new_chains={"e4-new": ("ip daddr @a4-missing accept",)}, verdicts={OTHER: CLOSED}))
    with pytest.raises(FirewallUnusable, match="refuses 'nft add element inet slash80-policy a4-missing'"):
        node.run(table.apply, Plan(added={"a4-missing": frozenset({ip_address("10.0.0.1")})}, verdicts={OTHER: CLOSED}))

    assert _in_force(EVERY_KIND) == node.run(table.read)


def test_an_interface_gets_its_verdict_by_netlink_alone(
    node: Namespace, table: PolicyTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ADD's verdicts are those of keys that had none; without a whole table they are refused."""
    monkeypatch.setattr("slash80.firewall.apply.load", lambda *_: pytest.fail("nft was run"))
    new = Dispatched(Direction.EGRESS, "s80new", ip_address("10.80.1.4"))
    for verdict in (CLOSED, ACCEPT):
        assert node.run(table.dispatch, {new: verdict, OTHER: CLOSED, EGRESS4: CLOSED})
    found = node.run(table.read)
    assert found is not None
    assert {**EVERY_KIND.verdicts, new: CLOSED} == found.verdicts

    node.nft("flush table inet slash80-policy")
    assert not node.run(table.dispatch, {OTHER: CLOSED})
    node.nft("delete table inet slash80-policy")
    assert not node.run(table.dispatch, {OTHER: CLOSED})


@dataclass
class Followed:
    """The table with a thread that reads what the kernel tells of it, as an agent has it."""

    node: Namespace
    changes: Changes = field(default_factory=Changes)
    woken: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.table = PolicyTable(31, self.changes)
        self.monitor = FirewallMonitor(lambda: self.woken.append(1), changes=changes_table, seen=self.changes.seen)

    def is_intact(self) -> bool:
        """Report whether the table is as its writer left it, when all was read."""
        generation = self.node.run(self.table.nf_tables.generation)
        wait_until(lambda: bool(self.monitor._monitor and self.monitor._monitor.generation >= generation))
        return self.node.run(self.table.is_intact, EVERY_KIND)


@pytest.fixture
def followed(node: Namespace) -> Iterator[Followed]:
    """Provide the table with rules, and what follows it."""
    followed = Followed(node)
    node.run(followed.monitor.start)
    try:
        node.run(followed.table.replace, EVERY_KIND)
        yield followed
    finally:
        followed.monitor.stop()
        followed.table.close()
        node.nft("table inet slash80-policy { chain last { }; }")  # or the thread waits for what comes next


def test_what_its_writer_and_adds_change_is_no_harm(node: Namespace, followed: Followed) -> None:
    """The writer's own commits by nft and by netlink, keys that ADD adds, and other tables leave it intact."""
    assert followed.is_intact()
    node.run(followed.table.apply, Plan(verdicts={EGRESS4: CLOSED}, forgotten=frozenset({OTHER})))
    node.run(followed.table.replace, EVERY_KIND)
    adding = PolicyTable()
    try:
        assert {} == node.run(adding.dispatch, {replace(OTHER, ifname="s80new"): CLOSED})
    finally:
        adding.close()
    node.nft("table inet other { chain one { }; }")

    assert followed.is_intact()
    assert followed.is_intact()


INTRUSIONS = {
    "deletes a key": 'delete element inet slash80-policy egress4 { "s80one" . 10.80.1.2 }',
    "adds a peer": "add element inet slash80-policy a4-one { 10.80.1.77 }",
    "adds a rule": "insert rule inet slash80-policy e4-one accept",
    **HARMS,
}


@pytest.mark.parametrize("intrusion", INTRUSIONS.values(), ids=INTRUSIONS.keys())
def test_a_program_that_changes_the_table_is_noticed(node: Namespace, followed: Followed, intrusion: str) -> None:
    """Whatever another program changes wakes the writer, who finds it not intact until it was replaced."""
    assert followed.is_intact()
    followed.woken.clear()
    node.nft(intrusion)

    wait_until(lambda: bool(followed.woken))
    assert not followed.is_intact()
    assert not followed.is_intact()
    node.run(followed.table.replace, EVERY_KIND)
    assert followed.is_intact()


@pytest.mark.parametrize("harm", [harm for harm in HARMS.values() if "flush chain" not in harm])
def test_harm_is_found_without_being_told(node: Namespace, table: PolicyTable, harm: str) -> None:
    """A table that is gone, empty, asleep or of an older version is not intact, also if no monitor has read of it."""
    assert node.run(table.is_intact, EVERY_KIND)
    node.nft(harm)

    assert not node.run(table.is_intact, EVERY_KIND)


@pytest.mark.parametrize("commits", range(1, 10))
def test_a_writer_that_is_killed_leaves_no_part_of_a_change(node: Namespace, commits: int) -> None:
    """A writer that is killed at any moment leaves rules that were wanted before or after its change, never a part.

    What the change has made useless may be there as well, since that is deleted afterwards.
    """
    table = PolicyTable(31)
    start = partial(subprocess.Popen, [sys.executable, "-c", WRITES], stdout=subprocess.DEVNULL, start_new_session=True)
    writer = node.run(start)
    try:
        wait_until(lambda: node.run(table.nf_tables.generation) > 20 + commits)
    finally:
        os.killpg(writer.pid, signal.SIGKILL)  # and the nft that it may have called
        writer.wait()

    try:
        # what nft has handed to the kernel may end a moment after nft itself
        wait_until(lambda: _is_one_of_the_states(node.run(table.read)))
        node.run(table.replace, EVERY_KIND)
        assert _in_force(EVERY_KIND) == node.run(table.read)
    finally:
        table.close()


def _is_one_of_the_states(found: PolicyRules | None) -> bool:
    """Report whether one of them decides, beside at most what another one needs."""
    chains = {name for one in STATES for name in one.chains}
    sets = {item for one in STATES for item in one.sets.items()}
    return found is not None and any(
        found.verdicts == one.verdicts
        and one.chains.keys() <= found.chains.keys() <= chains
        and one.sets.items() <= found.sets.items() <= sets
        for one in STATES
    )


def test_whether_a_table_is_taken_is_asked_without_changing_it(node: Namespace, table: PolicyTable) -> None:
    """The kernel's reason is returned; what is in force stays, and no commit tells others of a change."""
    before = node.run(table.nf_tables.generation)
    reversed_range = {**EVERY_KIND.chains, "i6-one": ("tcp dport 80-79 accept", "goto dropped_ingress")}
    assert "nft refuses the table of NetworkPolicies" in node.run(
        table.refusal, replace(EVERY_KIND, chains=reversed_range)
    )
    missing = {**EVERY_KIND.verdicts, OTHER: "e4-missing"}  # which only the kernel can know
    assert node.run(table.refusal, replace(EVERY_KIND, verdicts=missing))
    assert node.run(table.refusal, ANOTHER) == ""
    assert _in_force(EVERY_KIND) == node.run(table.read)
    assert before == node.run(table.nf_tables.generation)


def test_removing_what_is_not_there_is_fine(node: Namespace, table: PolicyTable) -> None:
    """The table is deleted, also when another program has flushed it, and a second time nothing happens."""
    node.nft("flush table inet slash80-policy")
    for _ in range(2):
        node.run(table.remove)
    assert node.run(table.read) is None


@pytest.mark.parametrize("mark", [None, 7, 31])
def test_the_rules_are_written_again_in_the_same_table(node: Namespace, table: PolicyTable, mark: int | None) -> None:
    """Its maps and sets stay, so a packet that is under way finds its pod and its peer; the bit may be another one."""
    before = _handle(node, "table inet slash80-policy")
    other = PolicyTable(mark)
    try:
        node.run(other.replace, ANOTHER)
        node.run(other.sweep)
        assert _in_force(ANOTHER) == node.run(other.read)
    finally:
        other.close()
    assert before == _handle(node, "table inet slash80-policy")
    listed = node.command("nft", "list", "chain", "inet", "slash80-policy", "policies")
    assert (mark is not None) == ("ct mark" in listed)


@pytest.mark.parametrize("intrusion", [one for one in INTRUSIONS.values() if "table inet slash80-policy" not in one])
def test_what_another_program_changed_is_put_right_in_the_same_table(
    node: Namespace, table: PolicyTable, intrusion: str
) -> None:
    """Unless there is something that the table never has: rules are written again, and sets and maps are completed."""
    before = _handle(node, "table inet slash80-policy")
    node.nft(intrusion)
    node.run(table.replace, EVERY_KIND)
    node.run(table.sweep)
    assert _in_force(EVERY_KIND) == node.run(table.read)
    assert (before == _handle(node, "table inet slash80-policy")) == ("add set" not in intrusion)
    listed = node.command("nft", "list", "chain", "inet", "slash80-policy", "e4-one")
    assert (1, 0) == (listed.count("dport 80"), listed.count("accept"))


def _seen(node: Namespace) -> PolicyRules | None:
    """Return what is in force as another process reads it."""
    with closing(PolicyTable(31)) as other:
        return node.run(other.read)


def _handle(node: Namespace, rule: str) -> str:
    listed = node.command("nft", "-a", "list", "table", "inet", "slash80-policy").splitlines()
    return next(line.rsplit(maxsplit=1)[-1] for line in listed if rule in line)
