"""GC: remove what the runtime no longer lists."""

from __future__ import annotations

from collections.abc import Iterator

from slash80.addressing.attachment import Attachment, hashed, read_alias
from slash80.cni import request as requests
from slash80.cni.request import Request
from slash80.errors import CniError, Failure
from slash80.failpoints import Failpoint, hit
from slash80.host import node_facts, pod_elements, policies, removal
from slash80.host.context import CallContext, Host
from slash80.settings import network as configuration
from slash80.settings.network import RemovalConf
from slash80.wiring import recover


def gc(request: Request, context: CallContext) -> None:
    """Remove every attachment of the network whose container the runtime does not list; without a list remove nothing.

    A container that is listed with any interface keeps all of them: the list that Multus passes on has eth0 only.
    """
    conf, listed = configuration.parse(RemovalConf, request.conf), requests.valid_attachments(request)
    if listed is None:
        return
    containers = {container_id for container_id, _ in listed}
    with context.opened(conf) as host:
        problems = list(_collect(host, request.network, containers | set(map(hashed, containers))))
    if problems:
        raise Failure(f"GC of network '{request.network}' removed what it could, but: {'; '.join(problems)}")


def _collect(host: Host, network: str, containers: set[str]) -> Iterator[str]:
    """Remove attachments of other containers, dead ones, and host ends without a record; yield what went wrong.

    `containers` has each ID in plain and hashed: a link's alias, and what is recovered from it, may hold either.
    """
    try:
        removal.reap(host)
    except CniError as error:
        yield str(error)
    attachments = host.store.attachments()
    links = recover.host_ends(host.netlink, allow_interrupted=True)  # a link that is missed is spared
    complete = {link.name for link in links if link.alias}
    for attachment in attachments:
        gone = attachment.key.container_id not in containers or removal.is_dead(host, attachment)
        if attachment.same_network(network) and gone:
            was_complete = attachment.host_ifname in complete
            yield from _collect_one(host, attachment.host_ifname, attachment, was_complete=was_complete)
    recorded = {attachment.host_ifname for attachment in attachments}
    for link in links:
        if link.name not in recorded and _is_unowned(link.alias, network, containers):
            yield from _collect_one(host, link.name, None, was_complete=False)
    try:
        pod_elements.reconcile(host)
        node_facts.reconcile(host)
        policies.restore(host)
    except CniError as error:
        yield str(error)


def _is_unowned(alias: str, network: str, containers: set[str]) -> bool:
    """Report whether a host end without a record, with this alias, is the network's and none of the containers'."""
    owner = read_alias(alias)
    return owner is None or (owner[1] in {network, hashed(network)} and owner[0].container_id not in containers)


def _collect_one(host: Host, host_ifname: str, known: Attachment | None, *, was_complete: bool) -> Iterator[str]:
    """Remove an attachment if it is still the one that was looked at; yield what went wrong.

    One that was not complete and is by now belongs to a pod that the runtime could not have listed yet.
    """
    try:
        with host.locks.held(host_ifname):
            hit(Failpoint.LOCKED)
            unchanged = host.store.get(host_ifname) == known
            if unchanged and (known is None or was_complete or not removal.is_complete(host, known)):
                removal.remove(host, host_ifname)
    except (CniError, OSError) as error:
        yield f"{known.key if known else host_ifname}: {error}"
