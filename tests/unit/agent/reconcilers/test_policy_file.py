"""What calls are told of namespaces, and what they are not told before it is known."""

import json

from slash80.addressing.attachment import Pod as Recorded
from slash80.agent.reconcilers.policy_file import calls_know, tell_calls, tell_calls_of_the_end
from slash80.host import unpoliced
from slash80.policy.model import Policy, Selector
from slash80.policy.records import ACCEPT, CLOSED
from slash80.settings import policy
from slash80.settings.cluster import ClusterSettings, PolicySettings
from slash80.settings.policy import PolicyFile
from unit.agent.reconcilers.fakes import Setting
from unit.builders import attachment
from unit.wiring.plans import link

DENY = Policy("shop", "deny", Selector())


def isolating(*namespaces: str, exposing: str) -> PolicyFile:
    """Return what the file says where these namespaces have policies, and pods of one may open ports."""
    return PolicyFile(bool(namespaces), frozenset(namespaces), frozenset({exposing}))


def told(setting: Setting) -> PolicyFile | None:
    """Have the file say what is known, and return what it says."""
    assert () == tell_calls(setting.around, setting.host)
    return policy.read(setting.state_dir)


def following(setting: Setting, *policies: Policy) -> None:
    """Have complete lists, with these policies."""
    setting.cluster.follow(ClusterSettings())
    setting.board.enforce(PolicySettings())
    setting.sources.of_policies.put(*policies)


def test_namespaces_with_policies_are_named(setting: Setting) -> None:
    """Their pods begin closed; those of the others are as without policies."""
    following(setting, DENY, Policy("shop", "other", Selector()))
    assert isolating("shop", exposing="team-a") == told(setting)
    assert 0o600 == (setting.state_dir / policy.NAME).stat().st_mode & 0o777

    setting.sources.of_policies.put(Policy("bank", "deny", Selector()))
    setting.sources.of_policies.remove("shop/deny")
    setting.sources.of_policies.remove("shop/other")
    assert isolating("bank", exposing="team-a") == told(setting)


def test_without_policies_none_are_enforced(setting: Setting) -> None:
    """An ADD asks nothing of the table then, nor of the controller."""
    following(setting)
    assert isolating(exposing="team-a") == told(setting)


def test_policies_that_end_are_in_force_until_their_table_goes(setting: Setting) -> None:
    """An ADD gives its interface a verdict until then, and the table has none for the pods of any namespace."""
    following(setting, DENY)
    told(setting)
    setting.sources.of_policies.remove("shop/deny")
    ending = PolicyFile(enforced=True, isolated=frozenset(), may_expose=frozenset({"team-a"}))
    for _ in range(2):
        assert ending == told(setting)

    tell_calls_of_the_end(setting.state_dir)
    for _ in range(2):
        assert isolating(exposing="team-a") == told(setting)


def test_policies_that_are_switched_off_are_not_enforced(setting: Setting) -> None:
    """Their list is not needed for that, and may be forbidden."""
    following(setting, DENY)
    setting.sources.of_policies.synced = False
    setting.board.enforce(PolicySettings(enforce=False))
    assert isolating(exposing="team-a") == told(setting)


def test_before_policies_are_known_there_is_no_file(setting: Setting) -> None:
    """A call that finds none takes every pod to be isolated; `none known` would open them."""
    following(setting, DENY)
    setting.sources.of_policies.synced = False
    assert told(setting) is None
    assert not calls_know(setting.state_dir)

    setting.sources.of_policies.synced = True
    assert told(setting) is not None
    assert calls_know(setting.state_dir)


def test_settings_that_are_not_known_switch_nothing_off(setting: Setting) -> None:
    """While the node is not known it is not known either which settings are in use."""
    setting.cluster.follow(ClusterSettings())
    assert told(setting) is None
    setting.tell_calls("shop")
    assert isolating("shop", exposing="team-a") == told(setting)


def test_a_list_that_is_not_complete_leaves_what_the_file_says(setting: Setting) -> None:
    """Each list by itself, also after the agent has started again without the API server."""
    following(setting, DENY)
    first = told(setting)
    setting.sources.of_policies.put(Policy("bank", "deny", Selector()))
    setting.sources.exposing.objects = ["team-b"]

    setting.sources.of_policies.synced = setting.sources.exposing.synced = False
    assert first == told(setting)
    setting.sources.exposing.synced = True
    assert isolating("shop", exposing="team-b") == told(setting)
    setting.sources.of_policies.synced, setting.sources.exposing.synced = True, False
    assert isolating("shop", "bank", exposing="team-b") == told(setting)


def test_too_many_namespaces_isolate_all(setting: Setting) -> None:
    """Which stays so while the list is not complete."""
    following(setting)
    setting.sources.of_policies.objects = [Policy(f"team-{number}", "deny", Selector()) for number in range(10_001)]
    found = told(setting)
    assert found
    assert (True, None) == (found.enforced, found.isolated)
    setting.sources.of_policies.synced = False
    assert found == told(setting)


def test_the_file_of_a_version_without_policies_does_not_count(setting: Setting) -> None:
    """It says nothing of policies, so nothing of it is carried over but who may open ports."""
    following(setting)
    document = policy.document(enforced=False, isolated=(), may_expose=["team-z"])
    old = {key: document[key] for key in ("version", "boot", "mayExpose")}
    (setting.state_dir / policy.NAME).write_text(json.dumps(old))
    setting.sources.of_policies.synced = setting.sources.exposing.synced = False
    assert PolicyFile(None, None, frozenset({"team-z"})) == told(setting)
    assert not calls_know(setting.state_dir)
    setting.sources.of_policies.synced = True
    assert isolating(exposing="team-z") == told(setting)


def test_the_note_of_who_ran_before_goes_when_calls_know(setting: Setting) -> None:
    """It says which pods an ADD must not close while nothing is known; from now on the controller decides."""
    note = setting.state_dir / unpoliced.NAME
    note.write_text("[]")
    following(setting)
    setting.sources.of_policies.synced = False
    assert told(setting) is None
    assert note.exists()
    setting.sources.of_policies.synced = True
    told(setting)
    assert not note.exists()


def test_what_runs_is_accepted_until_its_policies_are_in_force(setting: Setting) -> None:
    """The first policy of a cluster brings a table at once, or the next ADD would close all that it did not find."""
    running, coming = (attachment(number, pod=Recorded("shop", f"p{number}", "uid")) for number in (1, 2))
    for one in (running, coming):
        setting.host.store.keep(one)
    setting.kernel._answers["ip link show"] = [link(running.host_ifname)]
    setting.write_node_file()
    following(setting)
    told(setting)
    assert setting.table.kernel is None

    following(setting, DENY)
    told(setting)
    assert setting.table.kernel is not None
    found = {key.ifname: verdict for key, verdict in setting.table.kernel.verdicts.items()}
    assert {running.host_ifname: ACCEPT, coming.host_ifname: CLOSED} == found
    assert not (setting.state_dir / "unpoliced.json").exists()


def test_what_began_closed_stays_so_when_policies_are_found(setting: Setting) -> None:
    """Also if another program has deleted the table since; what ran before the upgrade is accepted."""
    upgraded, begun = (attachment(number, pod=Recorded("shop", f"p{number}", "uid")) for number in (1, 2))
    for one in (upgraded, begun):
        setting.host.store.keep(one)
    setting.kernel._answers["ip link show"] = [link(upgraded.host_ifname), link(begun.host_ifname, 6)]
    (setting.state_dir / "unpoliced.json").write_text(json.dumps([upgraded.host_ifname]))
    setting.write_node_file()
    following(setting, DENY)
    told(setting)
    assert setting.table.kernel is not None
    found = {key.ifname: verdict for key, verdict in setting.table.kernel.verdicts.items()}
    assert {upgraded.host_ifname: ACCEPT, begun.host_ifname: CLOSED} == found


def test_a_table_that_was_lost_is_not_taken_for_the_first_one(setting: Setting) -> None:
    """Where policies are enforced already nothing is accepted by the file: an ADD or the next look puts it back."""
    following(setting, DENY)
    told(setting)
    setting.table.kernel = None
    following(setting, DENY, Policy("bank", "deny", Selector()))
    told(setting)
    assert setting.table.kernel is None
