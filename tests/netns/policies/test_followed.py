"""The controller follows the API's policies on a real node, and keeps them without the API."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from lab.kube import NAMESPACES, PODS, POLICIES, namespace, pod, policy
from lab.policed import TABLE, dropped
from lab.probes import ANSWERED, SHORTLY, Protocol, Server, ask, source_seen
from lab.rig import Attachment
from lab.waiting import wait_until
from netns.policies.test_revoke import Conversation
from netns.test_controller import Started, started
from slash80.agent.reconcilers.controller import Controller
from slash80.agent.reconcilers.policy_keeper import PolicyKeeper
from slash80.cluster.api import Api
from slash80.cluster.credentials import ClientConfig
from slash80.host.context import Host
from slash80.policy import words
from slash80.policy.model import Policy

__all__ = ["started"]


class Shop:
    """Two pods of a namespace; the first may be reached by pods with the label app=web only, once there is a policy."""

    def __init__(self, node: Started) -> None:
        self.node = node
        node.settle()
        rig = node.rig()
        self.server, self.client = (
            rig.attach(args=f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name};K8S_POD_UID={name}") for name in "ab"
        )
        node.api.put(NAMESPACES, namespace("shop"))
        self.show("a", self.server, app="db")
        self.show("b", self.client, app="web")

    def show(self, name: str, attachment: Attachment, **labels: str) -> None:
        """Have the API show a pod with these labels."""
        self.node.api.put(PODS, pod(name, "shop", name, attachment.addresses, **labels))

    def isolate(self) -> None:
        """Have the policy, and wait until it is in force, and the client's label with it."""
        rule = {"from": [{"podSelector": {"matchLabels": {"app": "web"}}}]}
        self.node.api.put(POLICIES, policy("db", "shop", podSelector={"matchLabels": {"app": "db"}}, ingress=[rule]))
        wait_until(lambda: self.node.look()["policies"]["isolated"] == 1)
        wait_until(lambda: bool(self.node.look()) and self.reached(timeout=SHORTLY))

    def reached(self, *, timeout: float = ANSWERED) -> bool:
        """Report whether the client reaches the server by both families."""
        return all(ask(self.client.pod, address, timeout=timeout) for address in self.server.addresses)

    def refused(self) -> bool:
        """Report whether it reaches it by none: a server that is only slow has not dropped what it was asked."""
        before = dropped(self.node.host)
        answered = any(ask(self.client.pod, address, timeout=SHORTLY) for address in self.server.addresses)
        return not answered and dropped(self.node.host) - before >= len(self.server.addresses)


@pytest.fixture
def shop(started: Started) -> Iterator[Shop]:
    """Provide the pods, of which the first answers."""
    found = Shop(started)
    with Server(found.server.pod):
        yield found


def test_labels_open_and_close_without_a_new_pod(shop: Shop) -> None:
    """A pod that loses the label is refused, and reaches the other again when it has it back; so without the policy."""
    shop.isolate()
    assert shop.reached()
    shop.show("b", shop.client, app="other")
    wait_until(lambda: bool(shop.node.look()) and shop.refused())
    shop.show("b", shop.client, app="web")
    wait_until(lambda: bool(shop.node.look()) and shop.reached(timeout=SHORTLY))

    shop.node.api.remove(POLICIES, "shop/db")
    wait_until(lambda: bool(shop.node.look()) and TABLE not in shop.node.host.command("nft", "list", "tables"))
    assert shop.reached()


def test_a_connection_that_was_open_before_ends_and_goes_on(shop: Shop) -> None:
    """A label that is gone ends it in both directions; when the label is back it goes on."""
    address = shop.server.ipv6
    shop.isolate()
    with closing(Conversation(shop.client.pod, shop.server.pod, address, "udp")) as connection:
        assert connection.passes(forth=True)
        shop.show("b", shop.client, app="other")

        def ended() -> bool:
            shop.node.look()
            return not any(connection.passes(forth=forth, timeout=SHORTLY) for forth in (True, False))

        wait_until(ended)
        shop.show("b", shop.client, app="web")
        wait_until(lambda: bool(shop.node.look()) and connection.passes(forth=True, timeout=SHORTLY))


def test_a_pod_that_comes_while_the_last_policy_goes_begins_open(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as the table is there an ADD gives its interface a verdict, since it drops what it does not know."""
    shop.isolate()
    rig, reached = shop.node.rig(), list[bool]()
    end = PolicyKeeper.end

    def after_an_add(keeper: PolicyKeeper, host: Host) -> None:
        between = rig.attach(args="K8S_POD_NAMESPACE=shop;K8S_POD_NAME=c;K8S_POD_UID=c")
        reached.extend(bool(source_seen(between.pod, address)) for address in shop.client.addresses)
        end(keeper, host)

    monkeypatch.setattr(PolicyKeeper, "end", after_an_add)
    shop.node.api.remove(POLICIES, "shop/db")
    with Server(shop.client.pod):
        wait_until(lambda: bool(shop.node.look()) and TABLE not in shop.node.host.command("nft", "list", "tables"))
    assert [True, True] == reached
    assert '"enforced": false' in (shop.node.state_dir / "policy.json").read_text()


def test_a_policy_that_nft_refuses_costs_only_itself(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """It isolates its pods and allows nothing; changes of other policies are in force, and pods they isolate open."""
    shop.isolate()
    rules_of = words.rules_of

    def with_a_fault(policy: Policy, *arguments: Any, **more: Any) -> words.Words:  # noqa: ANN401 -- as of `rules_of`
        if policy.broken or policy.name != "odd":
            return rules_of(policy, *arguments, **more)
        return words.Words(("tcp dport 80-79 accept",))

    monkeypatch.setattr(words, "rules_of", with_a_fault)
    shop.node.api.put(POLICIES, policy("odd", "shop", podSelector={"matchLabels": {"app": "odd"}}, ingress=[{}]))
    shop.show("b", shop.client, app="odd")
    wait_until(lambda: shop.node.look()["policies"]["rejected"] == 1)
    (problem,) = [one for one in shop.node.report()["problemDetails"] if one["reason"] == "PolicyRefused"]
    assert "NetworkPolicy shop/odd" == problem["subject"]
    assert "Range" in problem["message"]
    with Server(shop.client.pod):
        assert not any(ask(shop.server.pod, address, timeout=SHORTLY) for address in shop.client.addresses)
    assert shop.refused()

    allowing = [{"from": [{"podSelector": {"matchLabels": {"app": "odd"}}}]}]
    shop.node.api.put(POLICIES, policy("db", "shop", podSelector={"matchLabels": {"app": "db"}}, ingress=allowing))
    wait_until(lambda: bool(shop.node.look()) and shop.reached(timeout=SHORTLY))


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
@pytest.mark.parametrize("end", [True, False])
def test_a_changed_policy_ends_what_it_would_not_let_begin(shop: Shop, protocol: Protocol, *, end: bool) -> None:
    """An open connection ends in both directions with the look that finds the change, unless that is switched off."""
    (shop.node.folder / "config.yaml").write_text(f"policy: {{endConnections: {str(end).lower()}}}")
    shop.isolate()
    address = shop.server.ipv6 if protocol == "tcp" else shop.server.ipv4
    with closing(Conversation(shop.client.pod, shop.server.pod, address, protocol)) as connection:
        assert connection.passes(forth=True)
        assert connection.passes(forth=False)
        closed = policy("db", "shop", podSelector={"matchLabels": {"app": "db"}}, policyTypes=["Ingress"])
        shop.node.api.put(POLICIES, closed)
        wait_until(lambda: bool(shop.node.look()) and shop.refused())
        timeout = SHORTLY if end else ANSWERED
        assert [not end] * 2 == [connection.passes(forth=forth, timeout=timeout) for forth in (True, False)]


def test_what_is_in_force_stays_without_the_api(shop: Shop) -> None:
    """Also after the agent has started again: it knows no list, and changes nothing."""
    shop.isolate()
    shop.show("b", shop.client, app="other")
    wait_until(lambda: bool(shop.node.look()) and shop.refused())
    before = shop.node.host.command("nft", "list", "table", "inet", TABLE)

    shop.node.api.stop()
    options = shop.node.controller._around.options
    shop.node.controller = Controller(options, shop.node.state_dir, Api(ClientConfig("http://127.0.0.1:9")))
    for _ in range(3):
        shop.node.look()
    assert before.count("elements") == shop.node.host.command("nft", "list", "table", "inet", TABLE).count("elements")
    assert shop.refused()
