"""Which pods may open the ports that their annotation names, as settings, namespaces and records have it.

What a pod asks for is recorded at ADD, and beside it whether it may have that. Elements of the firewall follow from
both, so a repair of the table asks nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from slash80.addressing.attachment import Attachment, Key, Pod, State
from slash80.addressing.openings import ALLOW_EXPOSE
from slash80.addressing.ports import PortRange
from slash80.errors import shown
from slash80.firewall import elements
from slash80.host.context import Host
from slash80.settings import policy
from slash80.settings.network import NetConf


def refusal(conf: NetConf, pod: Pod) -> str:
    """Return why a pod may not open ports by its annotation; empty when it may."""
    return _refusals(conf)(pod)


def _refusals(conf: NetConf) -> Callable[[Pod], str]:
    """Return what `refusal` is of each pod; what that follows from is read once."""
    if conf.firewall.expose_from == "all":
        return lambda _: ""
    if conf.firewall.expose_from == "none":
        return lambda _: "firewall.exposeFrom has the value 'none'"
    if (namespaces := policy.may_expose(conf.state_dir)) is None:
        unknown = f"{policy.NAME} does not say which namespaces may, as the agent on Kubernetes has not written it yet"
        return lambda _: unknown
    return lambda pod: (
        "" if pod.namespace in namespaces else f"namespace {shown(pod.namespace)} has no label {ALLOW_EXPOSE}=true"
    )


def log_refusal(key: Key, pod: Pod, ports: Iterable[PortRange], *, reason: str) -> None:
    """Log why a pod starts closed: in the agent's log, or without an agent on standard error, the runtime's log."""
    import logging  # noqa: PLC0415 -- a call that has nothing to say does not load it

    named = f"{pod.namespace}/{pod.name}" if pod.name else "-"
    listed = ", ".join(map(str, ports))
    text = f"{key} of pod {named} starts with its ports {listed} closed: {reason}"
    logging.getLogger("slash80.expose").warning("%s", ascii(text)[1:-1])  # on one line, whatever the names are


def judge(host: Host, conf: NetConf) -> list[Attachment]:
    """Have records and firewall follow from what pods may do now; return the attachments for which that has changed.

    The records come first: what the table is put back from never says more than is allowed, and what a kill leaves
    undone is found when the elements are next compared.
    """
    if not _changed(host.store.attachments(), conf):
        return []
    with host.locks.firewall_held():
        before = host.store.attachments()  # again: others came and went until the lock was held
        changed = _changed(before, conf)
        host.store.allow_expose(changed)
        now = {one.host_ifname: one for one in changed}
        had, wanted = elements.wanted(before), elements.wanted(now.get(one.host_ifname, one) for one in before)
        host.table.change(add=wanted - had, delete=had - wanted)
    return changed


def _changed(attachments: Iterable[Attachment], conf: NetConf) -> list[Attachment]:
    """Return the attachments whose record says something else than what is allowed now, as it should say it.

    Whichever network they are in: the firewall is the node's.
    """
    asking = [one for one in attachments if one.openings.expose and one.state is not State.TERMINATING]
    if not asking:
        return []
    refused = _refusals(conf)
    allowed = [(one, not refused(one.pod)) for one in asking]
    return [
        replace(one, openings=replace(one.openings, expose_allowed=may))
        for one, may in allowed
        if may != one.openings.expose_allowed
    ]
