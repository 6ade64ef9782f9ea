"""Pods and the agent that puts their policies in force: when ADD returns, or when the agent is well again."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from lab.kube import PODS, POLICIES, pod, policy
from lab.namespaces import Namespace
from lab.node_agent import NodeAgent
from lab.policed import TABLE
from lab.probes import Server
from lab.rig import Attachment, Rig
from lab.topology import INTERNET4, INTERNET6
from lab.waiting import wait_until
from netns.policies.test_begin import answered, bound, reached
from netns.test_firewall_repair import repaired
from slash80.store.locks import AttachmentLocks, FileLock
from unit.agent.metrics.scraped import read

TRIES = 20  # on a busy machine an agent may need longer than the second for which an ADD waits
INTERNET = [INTERNET6, INTERNET4]
Kubernetes = tuple[Rig, NodeAgent]


@pytest.fixture
def shop(kubernetes: Kubernetes) -> Iterator["Shop"]:
    """Provide a cluster in whose namespace `shop` pods with the label app=web may reach all, and others nothing."""
    rig, agent = kubernetes
    shop = Shop(rig, agent)
    agent.api.put(POLICIES, policy("deny", "shop", policyTypes=["Ingress", "Egress"]))
    web = {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"], "egress": [{}]}
    agent.api.put(POLICIES, policy("web", "shop", **web))
    wait_until(lambda: TABLE in rig.host.command("nft", "list", "tables"))
    with Server(rig.site.internet):
        yield shop


class Shop:
    """A namespace with policies, on a node with its agent."""

    def __init__(self, rig: Rig, agent: NodeAgent) -> None:
        self.rig, self.agent = rig, agent

    def stop(self, process: int) -> None:
        """Have a process stand still at a moment at which it has no lock that a call would wait for."""
        state_dir = self.rig.state_dir
        with AttachmentLocks(state_dir, 50).firewall_held(), FileLock(state_dir / "lock").held(50):
            os.kill(process, signal.SIGSTOP)
            wait_until(self.agent.is_stopped)

    def show(self, name: str, uid: str, app: str, **annotations: str) -> None:
        """Have the API show a pod."""
        shown: dict[str, Any] = pod(name, "shop", uid, app=app)
        shown["metadata"]["annotations"] = annotations
        self.agent.api.put(PODS, shown)

    def expect(self) -> None:
        """Have the controller say of web-0 and db-0, with the UIDs one and two, what applies to them."""
        api = {"podSelector": {"matchLabels": {"app": "api"}}, "ingress": [{"ports": [{"port": 80}]}]}
        self.agent.api.put(POLICIES, policy("api", "shop", **api))
        for uid, app in (("one", "web"), ("two", "db"), ("three", "api")):
            known = len(self.chains())
            self.show(f"{app}-0", uid, app)
            wait_until(partial(_more_than, known, self.chains))  # and the controller has said of the one before

    def attach(self, name: str, uid: str, **more: Any) -> Attachment:  # noqa: ANN401 -- as of `attach`
        """Attach a pod of that name."""
        return self.rig.attach(args=f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name};K8S_POD_UID={uid}", **more)

    def open(self, attachment: Attachment) -> bool:
        """Report whether a pod reaches the Internet by both families, now."""
        return answered(attachment.pod, *INTERNET) == INTERNET

    def closed(self, attachment: Attachment) -> bool:
        """Report whether a pod reaches nothing."""
        return not reached(attachment.pod, *INTERNET)

    def chains(self) -> set[str]:
        """Return the names of the table's chains."""
        listed = self.rig.host.command("nft", "list", "table", "inet", TABLE).splitlines()
        return {line.split()[1] for line in listed if line.startswith("\tchain ")}

    def gave_up(self, attachment: Attachment) -> bool:
        """Report whether a pod's ADD has waited for as long as it may."""
        lines = self.agent.log.read_text().splitlines()
        return any("begins closed" in line and attachment.pod.name in line for line in lines)

    @property
    def counts(self) -> dict[str, int]:
        """What the agent says of ADDs that asked."""
        found: dict[str, int] = json.loads((self.rig.state_dir / "agent.json").read_text())["policies"]
        return found


def test_a_pod_has_its_policies_when_its_add_returns(shop: Shop) -> None:
    """The API has just shown its labels; each ADD that asked is counted, and so is one that did not have to."""
    for number in range(TRIES):
        shop.show(f"web-{number}", f"u{number}", "web")
        web = shop.attach(f"web-{number}", f"u{number}")
        if not shop.gave_up(web):
            break
    assert shop.open(web)
    wait_until(lambda: shop.counts["asked"] + shop.counts["expected"] == number + 1)
    shop.show("db-0", "db", "db")
    assert shop.closed(shop.attach("db-0", "db"))


def test_rules_of_a_pod_are_there_before_its_add(shop: Shop) -> None:
    """The API shows that it is bound to the node, and its ADD brings elements only, which takes no program."""
    none = shop.chains()
    shop.show("web-0", "one", "web")
    wait_until(lambda: len(shop.chains()) > len(none))
    before = shop.chains()
    web = shop.attach("web-0", "one")
    wait_until(lambda: shop.open(web))
    assert before == shop.chains()


def test_an_add_does_not_ask_of_a_pod_that_is_expected(shop: Shop) -> None:
    """What the controller has said of it holds at once, and it need not even be running."""
    shop.expect()
    main = shop.agent.pids[0]
    shop.stop(main)
    try:
        web, db = shop.attach("web-0", "one"), shop.attach("db-0", "two")
        assert shop.open(web)
        assert shop.closed(db)
    finally:
        os.kill(main, signal.SIGCONT)
    assert not shop.gave_up(web)
    wait_until(lambda: shop.counts["expected"] == 2)
    assert shop.counts["asked"] == 0
    # by which it reaches itself through a Service
    wait_until(lambda: f"{db.ipv6} . {db.ipv6}" in shop.rig.host.command("nft", "list", "set", "inet", TABLE, "self6"))


def test_an_add_leads_no_pod_to_rules_that_a_repair_has_left_empty(shop: Shop) -> None:
    """A controller that is slow does not know yet that the table was flushed, nor that it was put back."""
    shop.expect()
    main = shop.agent.pids[0]
    shop.stop(main)
    try:
        shop.rig.host.nft(f"flush table inet {TABLE}")
        assert 0 == repaired(shop.rig)[0]
        db, web = shop.attach("db-0", "two"), shop.attach("web-0", "one")
        assert shop.closed(db)
        assert not shop.gave_up(db)
    finally:
        os.kill(main, signal.SIGCONT)
    wait_until(lambda: shop.open(web))
    assert shop.closed(db)


def _more_than(known: int, chains: Callable[[], set[str]]) -> bool:
    return len(chains()) > known


def test_a_recreated_pod_waits_for_its_own_labels(shop: Shop) -> None:
    """A StatefulSet's pod has the name of the one before, which the API may still show, and perhaps other labels."""
    shop.show("web-0", "one", "web")
    before = shop.attach("web-0", "one")
    wait_until(lambda: not shop.closed(before))
    shop.rig.detach(before)
    again = shop.attach("web-0", "two")
    assert shop.closed(again)
    assert shop.gave_up(again)
    shop.show("web-0", "two", "db")
    assert shop.closed(again)
    shop.show("web-0", "two", "web")
    wait_until(lambda: not shop.closed(again))


def test_a_static_pod_is_known_by_its_files_hash(shop: Shop) -> None:
    """The runtime says that as its UID, while its mirror in the API has another one."""
    mirror = {"kubernetes.io/config.mirror": "hash", "kubernetes.io/config.hash": "hash"}
    shop.show("static-a", "mirror", "web", **mirror)
    static = shop.attach("static-a", "hash")
    wait_until(lambda: not shop.closed(static))
    shop.show("other-a", "mirror2", "web", **{"kubernetes.io/config.hash": "stolen"})
    assert shop.closed(shop.attach("other-a", "stolen"))


def test_what_the_engine_has_attached_the_agent_opens(shop: Shop) -> None:
    """While no agent runs a pod begins closed, and no ADD waits."""
    shop.show("web-0", "one", "web")
    shop.agent.kill()
    web = shop.attach("web-0", "one")
    assert shop.closed(web)
    shop.agent.start()
    wait_until(lambda: not shop.closed(web))


def test_a_controller_that_stands_still_holds_up_no_pod(shop: Shop) -> None:
    """Its other processes answer calls: the pod begins closed, and is opened when the controller goes on."""
    main = shop.agent.pids[0]
    shop.stop(main)
    try:
        shop.show("web-0", "one", "web")
        web = shop.attach("web-0", "one")
        assert shop.closed(web)
    finally:
        os.kill(main, signal.SIGCONT)
    wait_until(lambda: not shop.closed(web))


def test_both_interfaces_of_a_pod_are_judged_as_the_pod_is(shop: Shop) -> None:
    """By each link it sends from both links' addresses, as its policies allow."""
    shop.show("web-0", "one", "web")
    eth0 = shop.attach("web-0", "one")
    net1 = shop.attach("web-0", "one", pod=eth0.pod, ifname="net1")  # whose ADD may have been faster than the agent
    for ifname in ("eth0", "net1"):
        for to, sources in zip(INTERNET, zip(eth0.addresses, net1.addresses, strict=True), strict=True):
            wait_until(partial(_all_reach, eth0.pod, ifname, to, sources))


def _all_reach(pod: Namespace, ifname: str, to: str, sources: tuple[str, ...]) -> bool:
    return [*sources] == bound(pod, ifname, to, sources)


def test_the_first_policy_closes_no_pod_before_its_own_rules_are_known(kubernetes: Kubernetes) -> None:
    """While the agent cannot list Pods what runs goes on, also after further ADDs, which begin closed."""
    rig, agent = kubernetes
    shop = Shop(rig, agent)
    agent.api.forbidden = {PODS}
    running = shop.attach("web-0", "one")
    with Server(rig.site.internet):
        agent.api.put(POLICIES, policy("deny", "shop", policyTypes=["Ingress", "Egress"]))
        wait_until(lambda: TABLE in rig.host.command("nft", "list", "tables"))
        assert shop.closed(shop.attach("web-1", "two"))
        assert shop.open(running)
        shop.show("web-0", "one", "web")
        agent.api.forbidden = set()
        wait_until(lambda: shop.closed(running))


def test_prometheus_learns_what_becomes_of_policies(shop: Shop) -> None:
    """A policy that cannot be used, an ADD without an answer and packets that were dropped are counted, each apart."""
    wait_until(lambda: read(shop.agent.scrape()).value("policies", state="usable") == 2)
    before = read(shop.agent.scrape())
    assert {1.0} == {*before.series("collector_success").values()}
    assert 1 == before.value("policies_in_force")
    waits = before.value("policy_waits_total", outcome="unanswered")

    shop.agent.api.put(POLICIES, policy("odd", "shop", policyTypes=["Ingress"], ingress=[{"from": 5}]))
    shop.show("db-0", "one", "db")
    db = shop.attach("db-0", "one")
    assert shop.gave_up(shop.attach("unknown-0", "two"))
    assert shop.closed(db)
    wait_until(lambda: bool(read(shop.agent.scrape()).series("policies_refused")))
    wait_until(lambda: _unanswered(shop) == waits + 1)
    found = read(shop.agent.scrape())
    assert (2, 1) == tuple(found.value("policies", state=state) for state in ("usable", "invalid"))
    assert 1 == found.value("policies_refused", namespace="shop", policy="odd", reason="PolicyInvalid")
    for family in ("ipv4", "ipv6"):
        assert found.value("firewall_drops_total", reason="egress", family=family) > 0
        wait_until(partial(_has_allocated, shop, family))
    assert 0 < found.value("conntrack_entries") < found.value("conntrack_limit")


def test_prometheus_learns_how_calls_went(shop: Shop) -> None:
    """Those that the agent's processes have answered, by code, and how long they took."""

    def counted(name: str, **labels: str) -> float:
        return read(shop.agent.scrape()).value(name, command="ADD", via="agent", **labels)

    good = counted("cni_requests_total", code="0")
    shop.show("web-0", "one", "web")
    attached = shop.attach("web-0", "one")
    conf = shop.agent.conf() | {"mtu": "large"}
    assert 7 == shop.rig.plugin.call("ADD", conf, netns=attached.pod, ifname="eth1").json["code"]
    # a call is counted when it has its answer, so its caller may be faster
    wait_until(lambda: counted("cni_requests_total", code="0") == good + 1)
    wait_until(lambda: counted("cni_request_seconds_count") == good + 2)
    assert 1 == counted("cni_requests_total", code="7")
    assert counted("cni_request_seconds_sum") > 0


def _has_allocated(shop: Shop, family: str) -> bool:
    return read(shop.agent.scrape()).value("addresses", family=family, state="allocated") == 2


def _unanswered(shop: Shop) -> float:
    return read(shop.agent.scrape()).value("policy_waits_total", outcome="unanswered")
