"""Parts `policies` and `waiting`: what the API says of policies is in force, and stays so without it."""

import gc
import json
import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lab.waiting import wait_until
from slash80.addressing.attachment import Attachment
from slash80.addressing.attachment import Pod as Recorded
from slash80.addressing.ports import TCP
from slash80.agent.reconcilers.board import Outcome, PolicyCounts
from slash80.agent.reconcilers.judge import Doubts
from slash80.agent.reconcilers.known_policies import KnownPolicies
from slash80.agent.reconcilers.part import attempt
from slash80.agent.reconcilers.policies import Policies, Revocation, Waiting
from slash80.desired.problems import Reason
from slash80.errors import FirewallUnusable, TryAgain
from slash80.host.expected_verdicts import ExpectedVerdicts
from slash80.host.policy_question import PolicyQuestion
from slash80.policy.model import Direction, Flow, Namespace, Pod, Policy, Ports, Rule, Selected, Selector
from slash80.policy.records import ACCEPT, CLOSED, Dispatched, Plan, PolicyRules
from slash80.settings import policy
from slash80.settings.cluster import ClusterSettings, PolicySettings
from slash80.store.locks import AttachmentLocks
from unit.agent.reconcilers.fakes import FakeConnections, Setting
from unit.builders import attachment

ONE, TWO = (attachment(number, pod=Recorded("shop", f"web-{number}", f"uid-{number}")) for number in (1, 2))
FROM_WEB = Policy("shop", "from-web", Selector(), (Rule((Selected(None, Selector((("app", "web"),))),)),))
REFUSED = FirewallUnusable("the kernel refuses")


def shown(one: Attachment, **labels: str) -> Pod:
    """Return the Pod of an attachment as the API shows it."""
    named = one.pod
    return Pod(named.namespace, named.name, named.uid, labels, one.assignment.addresses, node="a")


class Node:
    """A node with two pods in a namespace, which looks when told to."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.sources, self.table = setting, setting.sources, setting.table
        for one in (ONE, TWO):
            setting.host.store.keep(one)
        setting.write_node_file()
        self.sources.of_pods.put(shown(ONE, app="web"), shown(TWO))
        self.sources.of_namespaces.put(Namespace("shop"))
        self.start()

    def start(self) -> None:
        """Start an agent, which knows nothing."""
        around, enforcement = self.setting.around, self.setting.enforcement()
        self.enforcement = enforcement
        self.policies, self.revocation = Policies(around, enforcement), Revocation(around, enforcement)
        self.waiting = Waiting(around, enforcement, self.setting.gate)
        self.table.done.clear()

    def look(self, **settings: bool | int) -> Outcome:
        """Have the part look once."""
        used = PolicySettings.model_validate(settings)
        self.setting.board.enforce(used)
        self.setting.cluster.follow(ClusterSettings(policy=used))
        attempt(self.policies, self.setting.around)
        return self.setting.board.outcome("policies")

    def enforce(self, *policies: Policy) -> Outcome:
        """Have these policies, and look."""
        self.sources.of_policies.put(*policies)
        self.look()
        return self.look()  # the lists of pods and namespaces begin with the first look

    @property
    def rules(self) -> PolicyRules:
        """What is in force."""
        assert self.table.kernel is not None
        return self.table.kernel

    def verdict(self, one: Attachment, direction: Direction = Direction.INGRESS) -> str:
        """Return the verdict of an interface's IPv4."""
        return self.rules.verdicts[Dispatched(direction, one.host_ifname, one.assignment.addresses[0])]


@pytest.fixture
def node(setting: Setting) -> Node:
    """Provide a node without policies."""
    return Node(setting)


def test_without_policies_nothing_is_followed_and_no_table_is_made(node: Node) -> None:
    """Calls know that, and the largest lists of the cluster cost neither the node nor the API server anything."""
    assert Outcome(in_force=True) == node.look()
    assert [] == node.table.done
    assert not node.sources.of_pods.running
    assert not node.sources.of_namespaces.running
    found = policy.read(node.setting.state_dir)
    assert found
    assert found.enforced is False


def test_the_first_policy_isolates_its_pods(node: Node) -> None:
    """A chain judges what they receive, calls know of the namespace, and the numbers are on the board."""
    assert Outcome(in_force=True) == node.enforce(FROM_WEB)
    assert ["replace", "apply"] == node.table.done
    assert node.verdict(ONE) in node.rules.chains
    assert ACCEPT == node.verdict(ONE, Direction.EGRESS)
    assert PolicyCounts(policies=1, isolated=2) == node.setting.board.policy_counts
    found = policy.read(node.setting.state_dir)
    assert found
    assert found.isolates("shop")


def test_the_last_policy_takes_table_and_lists_with_it(node: Node) -> None:
    """As long as it is there calls take it to be, with no pod to close; then they know that they need none."""
    node.enforce(FROM_WEB)
    node.sources.of_policies.remove("shop/from-web")
    node.setting.table.failures = [REFUSED]
    assert [Reason.POLICIES_FAILED] == [problem.reason for problem in node.look().problems]
    found = policy.read(node.setting.state_dir)
    assert found
    assert (True, frozenset()) == (found.enforced, found.isolated)

    assert Outcome(in_force=True) == node.look()
    found = policy.read(node.setting.state_dir)
    assert found
    assert found.enforced is False
    assert node.table.kernel is None
    assert not node.sources.of_pods.running
    assert PolicyCounts() == node.setting.board.policy_counts
    assert ["replace", "apply", "remove"] == node.table.done


def test_what_was_known_of_policies_goes_with_the_last_of_them(node: Node) -> None:
    """All Pods of the cluster are part of it, while the list of policies goes on; another one begins with nothing."""
    node.enforce(FROM_WEB)
    assert node.enforcement.keeper
    keeper = weakref.ref(node.enforcement.keeper)
    node.sources.of_policies.remove("shop/from-web")
    node.look()
    gc.collect()
    assert keeper() is None
    assert Outcome(in_force=True) == node.enforce(FROM_WEB)
    assert node.verdict(ONE) in node.rules.chains


def test_an_end_that_was_not_told_is_told_by_the_next_agent(node: Node) -> None:
    """The one before died when the table had gone: calls need no table any more."""
    node.setting.host.store.keep(ONE)
    document = policy.document(enforced=True, isolated=(), may_expose=None)
    (node.setting.state_dir / policy.NAME).write_text(json.dumps(document))
    assert Outcome(in_force=True) == node.look()
    found = policy.read(node.setting.state_dir)
    assert found
    assert found.enforced is False


def test_policies_that_are_switched_off_are_taken_away(node: Node) -> None:
    """With `policy.enforce` false their list ends as well."""
    node.enforce(FROM_WEB)
    assert Outcome(in_force=True) == node.look(enforce=False)
    assert node.table.kernel is None
    assert not node.sources.of_policies.running


def test_a_label_changes_a_sets_members_only(node: Node) -> None:
    """Elements are changed by netlink, and no rule is touched."""
    node.enforce(FROM_WEB)
    chains = node.rules.chains
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.look()
    assert ["replace", "apply", "apply"] == node.table.done
    assert chains == node.rules.chains
    members = {member for one in node.rules.sets.values() for member in one.members}
    assert {*TWO.assignment.addresses} <= members


def test_chains_are_loaded_before_the_firewalls_lock_is_taken(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds where they are many, for which ADDs would wait; nothing leads there until the lock is held."""
    node.enforce(FROM_WEB)
    before, done, apply = node.rules, list[tuple[bool, bool, bool]](), node.table.apply

    def noted(plan: Plan) -> None:
        done.append((_firewall_is_held(node), bool(plan.new_chains), bool(plan.verdicts)))
        apply(plan)

    monkeypatch.setattr(node.table, "apply", noted)
    node.sources.of_policies.put(replace(FROM_WEB, ingress=(Rule((Selected(None, Selector()),)),)))
    assert Outcome(in_force=True) == node.look()
    assert [(False, True, False), (True, False, True)] == done
    assert before.chains.keys().isdisjoint(node.rules.chains)


def _firewall_is_held(node: Node) -> bool:
    try:
        with AttachmentLocks(node.setting.state_dir, 0).firewall_held():
            return False
    except TryAgain:
        return True


def test_what_has_not_changed_is_not_written(node: Node) -> None:
    """A look every ten seconds sends the kernel nothing, and reads nothing from it."""
    node.enforce(FROM_WEB)
    node.table.done.clear()
    node.look()
    assert [] == node.table.done


@pytest.mark.parametrize("unsynced", ["of_pods", "of_namespaces", "of_policies"])
def test_a_list_that_is_not_complete_changes_nothing(node: Node, unsynced: str) -> None:
    """Nor does it after a restart of the agent: what is in force stays, whatever half a list would say."""
    node.enforce(FROM_WEB)
    before = node.table.kernel
    node.start()
    getattr(node.sources, unsynced).synced = False
    for one in (node.sources.of_pods, node.sources.of_namespaces, node.sources.of_policies):
        one.objects = []
    if unsynced != "of_policies":
        node.sources.of_policies.put(FROM_WEB)
    assert Outcome(in_force=True) == node.enforce()
    assert before == node.table.kernel
    assert [] == node.table.done


def test_after_a_restart_the_kernels_table_is_changed_and_not_replaced(node: Node) -> None:
    """Nothing that both allow is lost meanwhile; what is wrong in it is put right."""
    node.enforce(FROM_WEB)
    node.start()
    node.look()
    assert [] == node.table.done

    node.start()
    node.table.kernel = replace(node.rules, verdicts=dict.fromkeys(node.rules.verdicts, CLOSED))
    node.look()
    assert ["apply"] == node.table.done
    assert node.verdict(ONE) in node.rules.chains


def test_a_table_that_another_program_changed_is_put_back_whole(node: Node) -> None:
    """As when one has flushed it, or deleted an element of its maps; connections are judged again then."""
    node.enforce(FROM_WEB)
    before, node.table.kernel = node.table.kernel, PolicyRules()
    node.setting.woken.clear()
    node.look()
    assert before == node.table.kernel
    assert ["replace", "apply", "replace"] == node.table.done
    assert "revocation" in node.setting.woken


def test_a_table_that_is_left_without_policies_is_removed(node: Node) -> None:
    """The last policy went while no agent ran."""
    node.setting.host.installed.policies = True
    node.look()
    assert ["remove"] == node.table.done
    node.setting.host.installed.policies = False
    node.look()
    assert ["remove"] == node.table.done


def test_a_refused_change_replaces_the_table(node: Node) -> None:
    """Another program may have deleted what the change builds on."""
    node.enforce(FROM_WEB)
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.table.failures = [REFUSED]
    assert Outcome(in_force=True) == node.look()
    assert ["replace", "apply", "replace"] == node.table.done


def test_what_cannot_be_put_in_force_is_tried_again(node: Node) -> None:
    """The problem has the kernel's words, and what is in force is asked of the kernel again."""
    node.enforce(FROM_WEB)
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.table.failures = [REFUSED, REFUSED]
    assert [Reason.POLICIES_FAILED] == [problem.reason for problem in node.look().problems]
    assert Outcome(in_force=True) == node.look()
    assert ["replace", "apply", "apply"] == node.table.done


def test_another_mark_is_another_table(node: Node) -> None:
    """The bit stands in the table's rules, which does not have it where connections go on."""
    node.enforce(FROM_WEB)
    assert 31 == node.table.mark
    node.look(mark=7)
    assert 7 == node.table.mark
    node.look(endConnections=False)
    assert node.table.mark is None


def test_each_policy_that_cannot_be_understood_is_named(node: Node) -> None:
    """With the reason and what comes of it."""
    broken = Policy("shop", "odd", Selector(), (), None, "spec.ingress[0].from is 5, but must be a list of objects")
    (problem,) = node.enforce(FROM_WEB, broken).problems
    assert (Reason.POLICY_INVALID, "NetworkPolicy shop/odd") == (problem.reason, problem.subject)
    assert "cannot be understood: spec.ingress[0].from is 5" in problem.message
    assert "its pods are isolated, and it allows nothing" in problem.message


REFUSED_PORT = Policy("shop", "odd", Selector((("app", "db"),)), (Rule(ports=(Ports(TCP, 666, 666),)),))


def test_a_policy_that_the_kernel_refuses_costs_only_itself(node: Node) -> None:
    """It isolates its pods and allows nothing, while all others are in force, also when they change."""
    node.table.refused = {"dport 666"}
    node.sources.of_pods.put(shown(ONE, app="web"), shown(TWO, app="db"))
    web = replace(FROM_WEB, pods=Selector((("app", "web"),)))
    (problem,) = node.enforce(REFUSED_PORT, web).problems
    assert (Reason.POLICY_REFUSED, "NetworkPolicy shop/odd") == (problem.reason, problem.subject)
    assert "since the kernel refuses what follows from it: nft refuses dport 666; its pods here are" in problem.message
    assert ("goto dropped_ingress",) == node.rules.chains[node.verdict(TWO)][-1:]
    assert not any("accept" in rule for rule in node.rules.chains[node.verdict(TWO)] if "@self" not in rule)
    assert any("@a4" in rule for rule in node.rules.chains[node.verdict(ONE)])
    assert PolicyCounts(policies=2, isolated=2, rejected=1) == node.setting.board.policy_counts

    asked = node.table.asked
    node.sources.of_policies.put(replace(web, ingress=(Rule(ports=(Ports(TCP, 80, 80),)),)))
    assert [problem] == [*node.look().problems]
    assert any("dport 80" in rule for rule in node.rules.chains[node.verdict(ONE)])
    assert asked == node.table.asked


def test_a_refused_policy_is_in_force_when_it_was_changed(node: Node) -> None:
    """It is another one then, and nothing that was found out about it before counts."""
    node.table.refused = {"dport 666"}
    node.enforce(replace(REFUSED_PORT, pods=Selector()))
    node.sources.of_policies.put(replace(REFUSED_PORT, pods=Selector(), ingress=(Rule(ports=(Ports(TCP, 7, 7),)),)))
    assert Outcome(in_force=True) == node.look()
    assert any("dport 7 " in rule for rule in node.rules.chains[node.verdict(ONE)])
    assert PolicyCounts(policies=1, isolated=2) == node.setting.board.policy_counts


def test_a_refused_policy_is_tried_again_later(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may have lacked memory; as long as it refuses, nothing that is in force is touched."""
    node.table.refused = {"dport 666"}
    node.enforce(replace(REFUSED_PORT, pods=Selector()))
    monkeypatch.setattr("slash80.agent.reconcilers.policy_keeper._TRY_AGAIN", 0.0)
    before, done = node.rules, [*node.table.done]
    assert [Reason.POLICY_REFUSED] == [problem.reason for problem in node.look().problems]
    assert (before, done) == (node.rules, node.table.done)

    node.table.refused = set()
    assert Outcome(in_force=True) == node.look()
    assert any("dport 666" in rule for rule in node.rules.chains[node.verdict(ONE)])


def test_a_table_that_is_refused_whatever_it_holds_blames_no_policy(node: Node) -> None:
    """As on a kernel without nf_tables: what is wrong is not a policy."""
    node.enforce(FROM_WEB)
    node.table.refused = {"dropped"}
    node.sources.of_policies.put(replace(FROM_WEB, egress=()))
    (problem,) = node.look().problems
    assert (Reason.POLICIES_FAILED, "nft refuses dropped") == (problem.reason, problem.message)


def test_without_settings_that_are_in_use_nothing_happens(node: Node) -> None:
    """They may switch policies off, or not."""
    node.setting.cluster.follow(ClusterSettings())
    attempt(node.policies, node.setting.around)
    assert Outcome(in_force=False) == node.setting.board.outcome("policies")
    assert [] == node.table.done


FLOW = Flow(TWO.assignment.addresses[0], ONE.assignment.addresses[0], TCP, 80)
BACK = replace(FLOW, source=FLOW.destination, destination=FLOW.source)


@pytest.fixture
def connections(node: Node) -> FakeConnections:
    """Have a connection from the second pod to the first, and one back."""
    found = node.setting.connections
    found.open = {FLOW, BACK}
    return found


def revoked(node: Node) -> Outcome:
    """Have the part look once."""
    attempt(node.revocation, node.setting.around)
    return node.setting.board.outcome("revocation")


def test_what_a_change_forbids_is_ended(node: Node, connections: FakeConnections) -> None:
    """And goes on when it is allowed again; without a change connections are not looked at."""
    node.enforce(FROM_WEB)
    assert "revocation" in node.setting.woken
    assert Outcome(in_force=True) == revoked(node)
    assert {FLOW} == connections.marked

    node.look()
    revoked(node)
    assert [31] == connections.asked

    node.sources.of_pods.put(shown(TWO, app="web"))
    node.look()
    revoked(node)
    assert set() == connections.marked


def test_what_a_change_only_allows_ends_nothing(node: Node, connections: FakeConnections) -> None:
    """Where no connection was ended none has to go on: to read all of them takes long."""
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.enforce(FROM_WEB)
    revoked(node)
    node.sources.of_pods.put(Pod("shop", "far", labels={"app": "web"}, addresses=(ip_address("10.80.9.1"),)))
    node.look()
    assert "apply" in node.table.done
    revoked(node)
    assert 1 == len(connections.asked)


def test_of_a_peer_that_goes_only_its_own_connections_are_judged(node: Node, connections: FakeConnections) -> None:
    """Of all others nothing has changed; in a large cluster a peer goes at any time."""
    far, gone = ip_address("10.80.9.1"), ip_address("10.80.9.2")
    for number, address in enumerate((far, gone)):
        node.sources.of_pods.put(Pod("shop", f"far-{number}", labels={"app": "web"}, addresses=(address,), node="b"))
    node.sources.of_pods.put(shown(TWO, app="web"))
    connections.open |= {replace(FLOW, source=address) for address in (far, gone)}
    node.enforce(FROM_WEB)
    revoked(node)
    assert (set(), 4) == (connections.marked, connections.judged)

    node.sources.of_pods.remove("shop/far-1")
    node.look()
    revoked(node)
    assert ({replace(FLOW, source=gone)}, 5) == (connections.marked, connections.judged)


def test_what_is_no_pods_of_this_node_keeps_the_mark_of_another_program(
    node: Node, connections: FakeConnections
) -> None:
    """The node itself and what it forwards for others may have connections with a peer, too."""
    gone, host = ip_address("10.80.9.2"), ip_address("192.0.2.1")
    others = {replace(FLOW, source=host, destination=gone), replace(FLOW, source=gone, destination=host)}
    node.sources.of_pods.put(Pod("shop", "far", labels={"app": "web"}, addresses=(gone,), node="b"))
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.enforce(FROM_WEB)
    revoked(node)
    of_a_pod = replace(FLOW, source=gone)
    connections.open, connections.marked = {of_a_pod, *others}, {*others}
    node.sources.of_pods.remove("shop/far")
    node.look()
    revoked(node)
    assert {of_a_pod, *others} == connections.marked


def test_what_is_allowed_again_while_connections_are_judged_goes_on(node: Node, connections: FakeConnections) -> None:
    """To read them all takes long: what was not allowed when that began is ended, and goes on a moment later."""
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.enforce(FROM_WEB)
    revoked(node)
    node.sources.of_pods.put(shown(TWO))
    node.look()

    def allowed_meanwhile() -> None:
        node.sources.of_pods.put(shown(TWO, app="web"))
        node.look()

    connections.meanwhile.append(allowed_meanwhile)
    revoked(node)
    assert {FLOW} == connections.marked
    revoked(node)
    assert set() == connections.marked


def test_a_label_that_comes_while_the_table_is_changed_ends_connections(
    node: Node, connections: FakeConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table follows from it already, what else is known of the pod does not; there is no later change of rules."""
    node.enforce(replace(FROM_WEB, pods=Selector((("role", "db"),))))
    revoked(node)
    assert (ACCEPT, set()) == (node.verdict(ONE), connections.marked)
    take = KnownPolicies.take

    def labelled_afterwards(known: KnownPolicies) -> bool:
        taken = take(known)
        monkeypatch.undo()
        node.sources.of_pods.put(shown(ONE, app="web", role="db"))
        return taken

    monkeypatch.setattr(KnownPolicies, "take", labelled_afterwards)
    node.look()
    assert node.verdict(ONE) in node.rules.chains
    revoked(node)
    node.look()
    revoked(node)
    assert {FLOW} == connections.marked


def test_a_change_that_was_made_although_it_failed_ends_connections(
    node: Node, connections: FakeConnections, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An nft that takes too long is killed, perhaps when the kernel has its change; nothing differs afterwards."""
    node.sources.of_pods.put(shown(TWO, app="web"))
    node.enforce(FROM_WEB)
    revoked(node)
    node.sources.of_pods.put(shown(TWO))
    apply = node.table.apply

    def killed(plan: Plan) -> None:
        apply(plan)
        node.table.failures = [REFUSED]  # of the table as a whole
        raise REFUSED

    monkeypatch.setattr(node.table, "apply", killed)
    assert [Reason.POLICIES_FAILED] == [problem.reason for problem in node.look().problems]
    monkeypatch.undo()
    assert Outcome(in_force=True) == node.look()
    revoked(node)
    assert {FLOW} == connections.marked


def test_a_pod_that_is_closed_has_no_connections(node: Node, connections: FakeConnections) -> None:
    """The API does not show it any more, as when it was deleted by force, and what runs of it may begin none."""
    node.enforce(replace(FROM_WEB, ingress=(Rule(),)))
    revoked(node)
    assert set() == connections.marked
    node.sources.of_pods.remove("shop/web-1")
    node.look()
    assert CLOSED == node.verdict(ONE)
    revoked(node)
    assert {FLOW, BACK} == connections.marked


def test_doubts_about_many_peers_are_doubts_about_all() -> None:
    """And what gets other rules is judged whole; what is only allowed more raises none."""
    doubts = Doubts()
    assert doubts.take() is None
    assert not doubts
    doubts.add(Plan(verdicts={Dispatched(Direction.INGRESS, "s80", ip_address("10.80.1.1")): ACCEPT}))
    assert not doubts

    many = [ip_address("10.1.0.0") + number for number in range(1001)]
    doubts.add(Plan(deleted={"a4": frozenset(many[:2]), "n4": frozenset({(many[2], TCP, 80)})}))
    assert frozenset(many[:3]) == doubts.take()
    doubts.add(Plan(deleted={"a4": frozenset(many)}))
    assert doubts.take() is None

    doubts.add(Plan(deleted={"a4": frozenset(many[:1])}))
    doubts.add(Plan(verdicts={Dispatched(Direction.INGRESS, "s80", many[0]): CLOSED}))
    doubts.add(Plan(deleted={"a4": frozenset(many[:1])}))
    assert doubts
    assert doubts.take() is None


def test_connections_that_could_not_be_read_are_read_again(node: Node, connections: FakeConnections) -> None:
    """What was forbidden stays so, and the problem is named."""
    node.enforce(FROM_WEB)
    connections.broken = FirewallUnusable("connections cannot be ended")
    assert [Reason.POLICIES_FAILED] == [problem.reason for problem in revoked(node).problems]
    connections.broken = None
    assert Outcome(in_force=True) == revoked(node)
    assert {FLOW} == connections.marked


def test_an_agent_that_starts_judges_all_connections_once(node: Node, connections: FakeConnections) -> None:
    """The one before may have died before it had ended what it had forbidden."""
    node.enforce(FROM_WEB)
    node.start()
    node.look()
    assert [] == node.table.done
    revoked(node)
    assert {FLOW} == connections.marked


def test_connections_go_on_where_they_shall_not_be_ended(node: Node, connections: FakeConnections) -> None:
    """With `policy.endConnections` false they are not even looked at, and without policies neither."""
    revoked(node)
    node.look(endConnections=False)
    node.enforce(FROM_WEB)
    node.look(endConnections=False)
    revoked(node)
    assert [] == connections.asked


NEW = attachment(3, pod=Recorded("shop", "web-3", "uid-3"))


@pytest.fixture
def asking(node: Node) -> Iterator[PolicyQuestion]:
    """Have an ADD ask for a third pod, which it has closed."""
    node.enforce(FROM_WEB)
    node.setting.gate.start()
    node.setting.host.store.keep(NEW)
    closed = {
        Dispatched(direction, NEW.host_ifname, address): CLOSED
        for direction in Direction
        for address in NEW.assignment.addresses
    }
    node.table.kernel = replace(node.rules, verdicts={**node.rules.verdicts, **closed})
    with closing(PolicyQuestion(node.setting.state_dir)) as question:
        question.ask(NEW.host_ifname)
        yield question
    node.setting.gate.stop()


def test_a_pod_that_asks_gets_its_chain_at_once(node: Node, asking: PolicyQuestion) -> None:
    """By a change that adds what it needs, and its ADD goes on."""
    _until_asked(node)
    node.sources.of_pods.put(shown(NEW))
    node.table.done.clear()
    assert attempt(node.waiting, node.setting.around)
    assert asking.answered()
    assert ["apply"] == node.table.done
    assert node.verdict(ONE) == node.verdict(NEW)
    assert [] == node.setting.gate.pending()


def test_an_add_that_asks_before_the_agent_knows_what_is_in_force_is_answered(
    node: Node, asking: PolicyQuestion
) -> None:
    """An agent that starts has many that ask; they need not wait until their time is over."""
    _until_asked(node)
    node.sources.of_pods.put(shown(NEW))
    node.start()
    attempt(node.waiting, node.setting.around)
    assert [NEW.host_ifname] == node.setting.gate.pending()
    node.setting.woken.clear()
    node.look()
    assert "waiting" in node.setting.woken
    attempt(node.waiting, node.setting.around)
    assert asking.answered()


def test_a_pod_that_is_bound_to_this_node_has_its_chains_before_its_add(node: Node) -> None:
    """The API shows it before its kubelet has made a sandbox; its ADD has elements to write then, and no rules."""
    to_all = Rule((Selected(None, Selector()),))
    node.enforce(FROM_WEB, Policy("shop", "db", Selector((("app", "db"),)), None, (to_all,)))
    before = node.rules
    node.sources.of_pods.put(shown(NEW, app="db"))
    node.look()
    assert before.chains.keys() < node.rules.chains.keys()
    assert before.verdicts == node.rules.verdicts
    prepared = node.rules.chains
    node.setting.host.store.keep(NEW)
    node.look()
    assert prepared == node.rules.chains
    assert node.verdict(NEW, Direction.EGRESS) in prepared


def test_a_pod_that_is_not_known_waits(node: Node, asking: PolicyQuestion) -> None:
    """Its labels decide which chain it gets; it stays closed until then."""
    _until_asked(node)
    attempt(node.waiting, node.setting.around)
    assert [NEW.host_ifname] == node.setting.gate.pending()
    assert CLOSED == node.verdict(NEW)


def test_a_verdict_that_was_known_is_written_again_for_an_ask(node: Node, asking: PolicyQuestion) -> None:
    """The ADD may have closed its interface after a look had already given it a chain."""
    _until_asked(node)
    node.sources.of_pods.put(shown(NEW))
    node.look()
    key = Dispatched(Direction.INGRESS, NEW.host_ifname, NEW.assignment.addresses[0])
    node.table.kernel = replace(node.rules, verdicts={**node.rules.verdicts, key: CLOSED})
    attempt(node.waiting, node.setting.around)
    assert node.verdict(ONE) == node.verdict(NEW)


def test_a_pod_whose_policy_is_refused_keeps_no_other_waiting(node: Node, asking: PolicyQuestion) -> None:
    """It stays closed, the others are answered, and the part that finds out which policy it is has been woken."""
    _until_asked(node)
    node.table.refused = {"dport 666"}
    other = attachment(4, pod=Recorded("shop", "web-4", "uid-4"))
    node.setting.host.store.keep(other)
    node.sources.of_policies.put(REFUSED_PORT)
    node.sources.of_pods.put(shown(NEW, app="db"), shown(other))
    with closing(PolicyQuestion(node.setting.state_dir)) as question:
        question.ask(other.host_ifname)
        wait_until(lambda: len(node.setting.gate.pending()) == 2)
        node.setting.woken.clear()
        attempt(node.waiting, node.setting.around)
        assert question.answered()
    assert "policies" in node.setting.woken
    assert CLOSED == node.verdict(NEW)
    node.setting.woken.clear()
    node.look()
    assert "waiting" in node.setting.woken
    attempt(node.waiting, node.setting.around)
    assert asking.answered()
    assert node.verdict(NEW) not in {ACCEPT, CLOSED}


def test_an_add_that_was_undone_waits_no_more(node: Node, asking: PolicyQuestion) -> None:
    """There is no record that anything could be done for."""
    _until_asked(node)
    node.setting.host.store.release(NEW.host_ifname)
    attempt(node.waiting, node.setting.around)
    assert [] == node.setting.gate.pending()


def _until_asked(node: Node) -> None:
    wait_until(lambda: bool(node.setting.gate.pending()))


COMING = Recorded("shop", "web-3", "uid-3")


def bound(**labels: str) -> Pod:
    """Return a Pod of this node that has no interface yet."""
    return Pod(COMING.namespace, COMING.name, COMING.uid, labels, node="a")


@pytest.fixture
def expected(node: Node) -> ExpectedVerdicts:
    """Provide what is said of pods to come, of which the node has one that a policy isolates."""
    node.enforce(FROM_WEB)
    node.sources.of_pods.put(bound())
    node.look()
    assert node.setting.host.expected
    return node.setting.host.expected


def test_an_add_finds_what_applies_to_a_pod_that_is_bound_to_the_node(node: Node, expected: ExpectedVerdicts) -> None:
    """It is what the pod's interface has afterwards, in both directions; nothing is said of one that is attached."""
    said = expected.use(COMING)
    assert said is not None
    assert {said.ingress4, said.ingress6} <= node.rules.chains.keys()
    assert (ACCEPT, ACCEPT) == (said.egress4, said.egress6)
    assert expected.use(ONE.pod) is None

    three = attachment(3, pod=COMING)
    node.setting.host.store.keep(three)
    node.look()
    assert said.ingress4 == node.verdict(three)
    assert expected.use(COMING) is None
    assert expected.used == 1


@pytest.mark.parametrize("change", ["policy", "namespace"])
def test_what_was_said_of_a_pod_ends_as_soon_as_a_policy_or_a_namespace_changes(
    node: Node, expected: ExpectedVerdicts, change: str
) -> None:
    """Not when the table is changed, which is later; then it is what applies now."""
    before = expected.use(COMING)
    if change == "policy":
        node.sources.of_policies.put(replace(FROM_WEB, name="all", ingress=(Rule(),)))
    else:
        node.sources.of_namespaces.put(Namespace("shop", {"team": "a"}))
    assert expected.use(COMING) is None
    node.look()
    assert ((ACCEPT,) * 4 if change == "policy" else before) == expected.use(COMING)


def test_pods_that_change_do_not_end_it(node: Node, expected: ExpectedVerdicts) -> None:
    """A cluster has a change of a Pod at any time."""
    node.sources.of_pods.put(Pod("shop", "elsewhere", "uid-4", {"app": "web"}, node="b"))
    assert expected.use(COMING) is not None


@pytest.mark.parametrize("after", ["a failure", "the last policy"])
def test_what_was_said_of_a_pod_ends_with_what_is_in_force(node: Node, expected: ExpectedVerdicts, after: str) -> None:
    """Where it is not known what the table has, and where the table is gone."""
    if after == "a failure":
        node.sources.of_pods.put(Pod("shop", "elsewhere", "uid-4", {"app": "web"}, (ip_address("10.1.1.1"),), node="b"))
        node.setting.table.failures = [REFUSED] * 5
    else:
        node.sources.of_policies.remove("shop/from-web")
    node.look()
    assert expected.use(COMING) is None
