"""Lists of the API, taken over by a compiler."""

from slash80.agent.reconcilers.known_policies import KnownPolicies
from slash80.policy.model import Namespace, Pod, Policy, Selector, Snapshot
from slash80.settings.cluster import ClusterSettings
from unit.agent.reconcilers.fakes import FakeFollowed, Setting

POD, NAMESPACE, POLICY = Pod("shop", "web"), Namespace("shop"), Policy("shop", "deny", Selector())


def known(setting: Setting) -> KnownPolicies:
    """Return what takes over complete lists of one object each."""
    setting.cluster.follow(ClusterSettings())
    setting.cluster.follow_selected(needed=True)
    setting.sources.of_pods.put(POD)
    setting.sources.of_namespaces.put(NAMESPACE)
    setting.sources.of_policies.put(POLICY)
    return KnownPolicies(setting.cluster)


def test_all_is_taken_over_once_and_then_what_changes(setting: Setting) -> None:
    """What an object was, is and is no longer follows the lists."""
    found = known(setting)
    assert found.take()
    compiler = found.compiler
    assert Snapshot((POD,), {"shop": NAMESPACE}, (POLICY,)) == compiler.snapshot()

    labelled, other = Pod("shop", "web", labels={"app": "web"}), Policy("shop", "other", Selector())
    setting.sources.of_pods.put(labelled)
    setting.sources.of_policies.put(other)
    setting.sources.of_policies.remove("shop/deny")
    setting.sources.of_namespaces.remove("shop")
    assert found.take()
    assert compiler is found.compiler
    assert Snapshot((labelled,), {}, (other,)) == compiler.snapshot()
    assert [other] == found.policies


def test_changes_that_were_too_many_begin_anew(setting: Setting) -> None:
    """Of those that were lost it is not known what they were about, so nothing that was known counts."""
    found = known(setting)
    found.take()
    setting.sources.of_pods.put(*(Pod("shop", f"web-{number}") for number in range(101)))
    setting.sources.of_pods.remove("shop/web")
    assert found.take()
    assert 101 == len(found.compiler.snapshot().pods)
    assert (POLICY,) == found.compiler.snapshot().policies


def test_while_a_list_is_not_complete_nothing_is_taken_over(setting: Setting) -> None:
    """A selector would find too few pods, and close what is open."""
    found = known(setting)
    sources = setting.sources
    for one in (sources.of_pods, sources.of_namespaces, sources.of_policies):
        one.synced = False
        assert not found.take()
        one.synced = True
    setting.cluster.follow_selected(needed=False)
    assert not found.take()


def test_lists_that_were_begun_again_are_taken_over_whole(setting: Setting) -> None:
    """The last policy went, and with it the list of Pods; with the next policy there is another list."""
    found = known(setting)
    found.take()
    setting.cluster.follow_selected(needed=False)
    setting.sources.of_pods = FakeFollowed()
    setting.sources.of_pods.put(Pod("bank", "vault"))
    setting.cluster.follow_selected(needed=True)
    assert found.take()
    assert (Pod("bank", "vault"),) == found.compiler.snapshot().pods
    assert Pod("bank", "vault") == found.pods.get("bank/vault")
