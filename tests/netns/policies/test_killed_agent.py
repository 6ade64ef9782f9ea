"""SIGKILL of an agent between any two steps of what it does about policies, and its next start, while probes run."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from lab.kube import PODS, POLICIES, pod, policy
from lab.node_agent import NodeAgent, node_agent
from lab.plugin import Frozen
from lab.policed import TABLE, dropped
from lab.probes import SHORTLY, Server, ask
from lab.rig import Attachment, Rig
from lab.topology import Site
from lab.waiting import wait_until
from netns.conftest import root
from netns.policies.test_revoke import Conversation
from slash80.failpoints import Failpoint

BEGINNING = [
    Failpoint.POLICIES_TOLD,
    Failpoint.POLICIES_BEGUN,
    Failpoint.POLICIES_CHANGING,
    Failpoint.POLICIES_CHANGED,
    Failpoint.CONNECTIONS_JUDGED,
    Failpoint.CONNECTIONS_ENDED,
]
CHANGING = [Failpoint.POLICIES_CHANGING, Failpoint.POLICIES_CHANGED]
ENDING = [Failpoint.POLICIES_TOLD, Failpoint.POLICIES_ENDING, Failpoint.POLICIES_REMOVED]


class Shop:
    """A node with its agent and three pods: `db`, which answers, `web`, and `other`, from which it will be closed."""

    def __init__(self, rig: Rig, agent: NodeAgent) -> None:
        self.rig, self.agent = rig, agent
        self.db, self.web, self.other = (self.attach(name) for name in ("db", "web", "other"))
        for name, one in (("db", self.db), ("web", self.web), ("other", self.other)):
            agent.api.put(PODS, pod(name, "shop", name, one.addresses, app=name))

    def attach(self, name: str) -> Attachment:
        """Attach a pod of the namespace."""
        return self.rig.attach(args=f"K8S_POD_NAMESPACE=shop;K8S_POD_NAME={name};K8S_POD_UID={name}")

    def isolate(self, *more: str) -> None:
        """Have a policy by which web, and pods with these labels, reach db."""
        allowed = [{"podSelector": {"matchLabels": {"app": name}}} for name in ("web", *more)]
        spec: dict[str, Any] = {"podSelector": {"matchLabels": {"app": "db"}}, "ingress": [{"from": allowed}]}
        self.agent.api.put(POLICIES, policy("db", "shop", **spec))

    def killed_at(self, moment: Failpoint) -> None:
        """Have an agent that is going to be killed at this moment, in the place of the one that runs."""
        self.agent.kill()
        self.agent.start(SLASH80_FAILPOINT=f"{moment}:KILL")

    def start_again(self) -> None:
        """Wait until that has happened, and start another one."""
        self.agent.wait()
        self.agent.start()

    def isolated(self) -> bool:
        """Report whether db is closed to the other pod, in both families, and open to web."""
        before = dropped(self.rig.host)
        if any(ask(self.other.pod, address, timeout=SHORTLY) for address in self.db.addresses):
            return False
        if dropped(self.rig.host) - before < len(self.db.addresses):
            return False
        return all(ask(self.web.pod, address, timeout=SHORTLY) for address in self.db.addresses)

    def without_policies(self) -> bool:
        """Report whether there is no table any more."""
        return TABLE not in self.rig.host.command("nft", "list", "tables")

    def table(self) -> str:
        """Return the table as nft lists it."""
        return self.rig.host.command("nft", "list", "table", "inet", TABLE)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Provide the node for all tests, each of which leaves it without policies and with its agent."""
    folder: Path = tmp_path_factory.mktemp("killed")
    with Site(route_ipv4_pods=True) as site, node_agent(site.node, root(), folder / "k8s") as agent:
        shop = Shop(Rig(site, site.node, Frozen(site.node.namespace, root=root()), agent.conf()), agent)
        # or a connection is forgotten while a busy machine starts an agent, and the server's next packet begins one
        site.node.namespace.sysctl("netfilter/nf_conntrack_udp_timeout", 3600)
        with Server(shop.db.pod):
            yield shop


@pytest.fixture
def shop(node: Shop) -> Iterator[Shop]:
    """Provide the node without policies."""
    try:
        yield node
    finally:
        node.agent.end()
        if "shop/db" in node.agent.api.objects[POLICIES]:
            node.agent.api.remove(POLICIES, "shop/db")
        node.agent.start()
        wait_until(node.without_policies)


@contextmanager
def probing(shop: Shop, *, forbidden: bool) -> Iterator[None]:
    """Probe all the time: what web asks is always answered, and if it is forbidden, nothing that the other one asks."""
    ended, wrong, turns = threading.Event(), list[str](), 0
    if forbidden:  # what it began before is established until the agent ends it, and a probe may have the same port
        for address in shop.other.addresses:
            family = "ipv6" if ":" in address else "ipv4"
            shop.rig.host.command("conntrack", "-D", "-f", family, "-s", address, check=False)

    def probe() -> None:
        nonlocal turns
        while not ended.is_set():
            turns += 1
            for address in shop.db.addresses:
                if not ask(shop.web.pod, address):
                    wrong.append(f"lost: web to {address}")
                if forbidden and ask(shop.other.pod, address, timeout=0.02):
                    wrong.append(f"passed: other to {address}")

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield
        before = turns
        wait_until(lambda: turns > before + 1)
    finally:
        ended.set()
        thread.join()
    assert [] == wrong


@pytest.mark.parametrize("moment", BEGINNING)
def test_the_first_policy_comes_over_a_kill(shop: Shop, moment: Failpoint) -> None:
    """What it allows is never lost, the next agent puts it in force, and connections end that it does not allow."""
    with closing(Conversation(shop.other.pod, shop.db.pod, shop.db.ipv6, "udp")) as connection:
        shop.killed_at(moment)
        with probing(shop, forbidden=False):
            shop.isolate()
            shop.start_again()
            wait_until(shop.isolated)
            wait_until(lambda: not any(connection.passes(forth=forth, timeout=SHORTLY) for forth in (True, False)))


@pytest.mark.parametrize("moment", CHANGING)
def test_a_change_is_made_over_a_kill(shop: Shop, moment: Failpoint) -> None:
    """What both the old and the new policy allow is never lost, and what both forbid never passes."""
    shop.isolate()
    wait_until(shop.isolated)
    shop.killed_at(moment)
    with probing(shop, forbidden=True):
        shop.isolate("more")
        shop.start_again()
        wait_until(lambda: shop.table().count("set a4-") == 2)  # of web and of more
    wait_until(shop.isolated)


@pytest.mark.parametrize("moment", ENDING)
def test_the_last_policy_goes_over_a_kill(shop: Shop, moment: Failpoint) -> None:
    """What both allow is never lost, and a pod that is attached while no agent runs begins open."""
    shop.isolate()
    wait_until(shop.isolated)
    shop.killed_at(moment)
    with probing(shop, forbidden=False):
        shop.agent.api.remove(POLICIES, "shop/db")
        shop.agent.wait()
        new = shop.attach(f"new-{moment}")
        with Server(new.pod):
            assert all(ask(shop.web.pod, address) for address in new.addresses)
        shop.rig.detach(new)
        shop.agent.start()
        wait_until(shop.without_policies)
    assert ask(shop.other.pod, shop.db.ipv4)
