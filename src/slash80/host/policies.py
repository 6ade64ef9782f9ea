"""How pods begin under NetworkPolicies: an ADD gives its interface a verdict before the link exists.

A pod's labels it does not know. Of most pods the controller has said what applies to them, when they were bound to the
node. Any other one of a namespace with policies begins closed, and the controller, which is asked while the pod is
wired, leads its packets to what applies to it. A way that leads somewhere already stays as it is: the record was there
before the ADD came here, and the controller may have been faster.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Self

from slash80.addressing.attachment import Attachment
from slash80.errors import CniError, FirewallUnusable
from slash80.failpoints import Failpoint, hit
from slash80.firewall import elements
from slash80.firewall.records import Element
from slash80.host import unpoliced
from slash80.host.compiled_network import CompiledNetwork
from slash80.host.context import Host
from slash80.host.policy_question import SECONDS, PolicyQuestion
from slash80.settings import node as nodefile
from slash80.settings import policy
from slash80.settings.policy import PolicyFile

if TYPE_CHECKING:
    from slash80.firewall.policies.table import PolicyTable
    from slash80.policy.records import Dispatched

_UNKNOWN = f"the agent on Kubernetes has not said yet, in {policy.NAME}, which namespaces have NetworkPolicies"
_AT_HAND = 0.005  # seconds in which the controller answers of a Pod that it knows; to step aside costs a thread
Aside = Callable[[], AbstractContextManager[bool]]
_NOT_YET = f"the agent on Kubernetes did not put its NetworkPolicies in force within {SECONDS:g} s"


class Admission:
    """What an ADD does about NetworkPolicies; in a cluster without any it looks at a file, and that is all."""

    def __init__(self, host: Host, compiled: CompiledNetwork, attachment: Attachment, *, aside: Aside) -> None:
        """Do nothing yet; `aside` is that of the call's context."""
        self._host, self._compiled, self._attachment, self._aside = host, compiled, attachment, aside
        self._question = PolicyQuestion(host.locks.state_dir)
        self._closed = ""  # why it begins so

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait no longer."""
        self._question.close()

    def dispatch(self, ways: Iterable[Element]) -> None:
        """Do what the function of this name does, and ask the controller if the interface begins closed."""
        self._closed = dispatch(self._host, self._attachment, ways, from_node=self._compiled.from_node)
        if self._closed == _NOT_YET:
            self._question.ask(self._attachment.host_ifname)
        hit(Failpoint.DISPATCHED)

    def wait(self) -> None:
        """Wait until what applies to the pod is in force, if it begins closed and a controller was asked.

        That is for a second at most. A pod of which the controller says nothing is opened later, and the log says so.
        """
        if self._closed and not self._answered():
            import logging  # noqa: PLC0415 -- a call that has nothing to say does not load it

            pod = self._attachment.pod
            named = f"{self._attachment.key} of pod {pod.namespace}/{pod.name}"
            text = f"{named} begins closed: {self._closed}; it opens the pod when it can"
            logging.getLogger("slash80.policy").warning("%s", ascii(text)[1:-1])  # on one line, whatever the names are

    def _answered(self) -> bool:
        """Report whether the answer came in time; one that does not come at once is waited for aside."""
        if self._question.answered(_AT_HAND):
            return True
        if not self._question.asked:
            return False
        with self._aside() as may_wait:
            return may_wait and self._question.answered()


def dispatch(host: Host, attachment: Attachment, ways: Iterable[Element], *, from_node: bool) -> str:
    """Set verdicts for an attachment's ways, which are pairs of link and address, where they have none.

    Only those of networks `from_node` are judged. Return why the attachment begins closed, empty if it does not. It is
    called under the firewall's lock, as the file is written: an ADD that reads the older one is on record when the
    controller looks. Raise FirewallUnusable when the kernel refuses.
    """
    said = policy.read(host.locks.state_dir)
    if said and said.enforced is False:
        return ""
    if not from_node:
        if said or host.table.has_policies():
            _accept(host, ways)
        return ""
    said = said if said and said.enforced else None
    closed = begins_closed(said, attachment)
    own = _verdicts(ways, lambda _: closed)
    table = _table(host)
    if closed and said and _is_led(host, attachment, own, table=table):
        return ""
    there = table.dispatch(own)
    before = unpoliced.noted(host, anew=there is None) if said is None else frozenset()
    if there is None:
        _put_back(host, table, said, before=before, own=own)
    if not closed:
        return ""
    return _NOT_YET if said else _UNKNOWN


def _is_led(host: Host, attachment: Attachment, own: Collection[Dispatched], *, table: PolicyTable) -> bool:
    """Lead the keys of a pod's only interface to what the controller has said of it; report whether all of them are.

    They are not where it has said nothing or something else since, and where another program has changed the table.
    """
    if not (host.expected and all(key.ifname == attachment.host_ifname for key in own)):
        return False
    from slash80.firewall.policies.layout import map_of  # noqa: PLC0415 -- as in `_table`

    verdicts = host.expected.use(attachment.pod)
    if verdicts is None:
        return False
    wanted = {key: getattr(verdicts, map_of(key)) for key in own}
    if not all(wanted.values()):
        return False
    try:
        there = table.dispatch(wanted)
    except FirewallUnusable:
        host.expected.clear()
        return False
    return there is not None and all(wanted[key] == verdict for key, verdict in there.items())


def begins_closed(said: PolicyFile | None, attachment: Attachment) -> bool:
    """Report whether an interface begins closed, by what is known of the namespaces; None is nothing.

    Plain containers no policy selects. Of one that was read back from the kernel it is not known whose it is.
    """
    if attachment.pod.namespace:
        return said is None or said.isolates(attachment.pod.namespace)
    return attachment.recovered and (said is None or said.isolated is None or bool(said.isolated))


def begin(host: Host) -> None:
    """Have a table from the moment at which policies are enforced: what runs is accepted till its own are in force.

    The controller calls it under the firewall's lock, when the file has just begun to say so. Or an ADD would find that
    the table is missing, and close what runs.
    """
    said = policy.read(host.locks.state_dir)
    if said and said.enforced and not host.table.has_policies():
        _put_back(host, _table(host), said, before=unpoliced.noted(host, anew=True), own={})
    unpoliced.forget(host)


def restore(host: Host) -> None:
    """Set a verdict for every pod of the node that has none, if policies are enforced: the table may be gone."""
    said = policy.read(host.locks.state_dir)
    if said is None or not said.enforced:
        return
    with host.locks.firewall_held():
        table = _table(host)
        if table.dispatch(_of_all(host, said, before=frozenset())) is None:
            _put_back(host, table, said, before=frozenset(), own={})


def _accept(host: Host, ways: Iterable[Element]) -> None:
    """Accept what no policy judges, where a table is that drops what it does not know."""
    _table(host).dispatch(_verdicts(ways, lambda _: False))


def _put_back(
    host: Host,
    table: PolicyTable,
    said: PolicyFile | None,
    *,
    before: frozenset[str],
    own: Mapping[Dispatched, str],
) -> None:
    """Put the table there without policies: pods that have some are closed until the controller comes."""
    from slash80.policy.records import PolicyRules  # noqa: PLC0415 -- as in `_table`

    if host.expected:
        host.expected.clear()  # their chains go
    table.replace(PolicyRules(verdicts={**_of_all(host, said, before=before), **own}))


def _of_all(host: Host, said: PolicyFile | None, *, before: frozenset[str]) -> dict[Dispatched, str]:
    """Return a verdict of every pod of the node; those that ran `before` are accepted."""
    pods, judged = host.pods(), _judged(host)
    closed = {
        one.host_ifname
        for one in pods.recorded
        if one.host_ifname not in before and judged(one) and begins_closed(said, one)
    }
    return _verdicts(elements.wanted([*pods.recorded, *pods.others]), closed.__contains__)


def _judged(host: Host) -> Callable[[Attachment], bool]:
    """Return what reports whether policies judge an attachment: one of a network whose prefixes are the node's."""
    try:
        prefixes = nodefile.parse(nodefile.read(host.locks.state_dir)).prefixes
    except CniError:
        return lambda _: True
    return lambda one: any(
        address.version == prefix.version and address in prefix
        for address in one.assignment.addresses
        for prefix, _ in prefixes
    )


def _verdicts(ways: Iterable[Element], is_closed: Callable[[str], bool]) -> dict[Dispatched, str]:
    """Return the verdicts of ways in both directions, by their links."""
    from slash80.policy.direction import Direction  # noqa: PLC0415 -- as in `_table`
    from slash80.policy.records import ACCEPT, CLOSED, Dispatched  # noqa: PLC0415 -- the same

    return {
        Dispatched(direction, one.ifname, elements.address_of(one)): CLOSED if is_closed(one.ifname) else ACCEPT
        for one in ways
        if one.ifname
        for direction in Direction
    }


def _table(host: Host) -> PolicyTable:
    """Return the table of the host, asked by the socket that the host's own table is asked by."""
    from slash80.firewall.policies.changes import Changes  # noqa: PLC0415 -- not for a cluster without policies
    from slash80.firewall.policies.table import PolicyTable  # noqa: PLC0415 -- the same

    return PolicyTable(changes=Changes(host.table.passed_over), nf_tables=host.table.nf_tables)
