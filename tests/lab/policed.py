"""A node of a cluster with policies: what an agent's controller leaves in the state directory, and stand-ins for it."""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from ipaddress import ip_address
from typing import TypeVar

from lab.namespaces import Namespace
from lab.plugin import Json
from lab.rig import Attachment, Rig
from slash80.agent.policy_gate import PolicyGate
from slash80.firewall.policies.table import PolicyTable
from slash80.policy.direction import Direction
from slash80.policy.records import Dispatched, Plan, PolicyRules
from slash80.settings import policy
from slash80.store.locks import AttachmentLocks

T = TypeVar("T")
ISOLATED, OPEN = "K8S_POD_NAMESPACE=isolated;K8S_POD_NAME=web-0", "K8S_POD_NAMESPACE=open;K8S_POD_NAME=web-0"
TABLE = "slash80-policy"


def of_cluster(rig: Rig) -> Rig:
    """Return the rig with the configuration of an agent's conflist; of policies nothing is known."""
    rig.state_dir.mkdir(mode=0o700, exist_ok=True)
    node: Json = {"version": 1, "ipv6": [{"prefix": rig.node.prefix6}], "ipv4": [{"prefix": rig.node.prefix4}]}
    node["firewall"] = {"exposeFrom": "none"}  # as in networks of their own, since a node has one firewall
    (rig.state_dir / "node.json").write_text(json.dumps(node))
    return rig.having(source="node", ipv6=None, ipv4=None)


def policed(rig: Rig, *isolated: str, enforced: bool = True) -> Rig:
    """Return the same where these namespaces have policies."""
    rig = of_cluster(rig)
    tell(rig, policy.document(enforced=enforced, isolated=isolated, may_expose=None))
    return rig


def tell(rig: Rig, document: object) -> None:
    """Write `policy.json` as the controller does."""
    path = rig.state_dir / policy.NAME
    new = path.with_suffix(".new")
    new.write_text(json.dumps(document))
    new.chmod(0o600)
    new.rename(path)


def keys(attachment: Attachment) -> list[Dispatched]:
    """Return the ways of an interface by itself."""
    name = attachment.host_ifname
    return [Dispatched(way, name, ip_address(to)) for way in Direction for to in attachment.addresses]


def on_table(rig: Rig, use: Callable[[PolicyTable], T]) -> T:
    """Use the policies' table of the node."""
    with closing(PolicyTable()) as table:
        return rig.host.run(lambda: use(table))


def rules(rig: Rig) -> PolicyRules | None:
    """Return what is in force."""
    return on_table(rig, PolicyTable.read)


def dropped(host: Namespace) -> int:
    """Return how many packets policies have dropped: a probe that only was not answered yet has dropped none."""
    return sum(map(int, re.findall(r"packets (\d+)", host.command("nft", "list", "table", "inet", TABLE, check=False))))


def lead(rig: Rig, verdict: str, host_ifnames: Iterable[str]) -> None:
    """Have interfaces led elsewhere, as the controller does when it knows their labels."""
    names = set(host_ifnames)

    def change(table: PolicyTable) -> None:
        if found := table.read():
            table.apply(Plan(verdicts={key: verdict for key in found.verdicts if key.ifname in names}))

    with AttachmentLocks(rig.state_dir, 20).firewall_held():
        on_table(rig, change)


@contextmanager
def gate(rig: Rig, asked: Callable[[PolicyGate], None]) -> Iterator[PolicyGate]:
    """Have ADDs ask, and call this in the gate's own thread each time that one does."""
    found = PolicyGate(rig.state_dir, lambda: asked(found))
    found.start()
    try:
        yield found
    finally:
        found.stop()
