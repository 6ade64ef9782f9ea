"""Deferred deletion: an attachment is taken from its pod now, and its link is deleted later, together with others.

Deleting a veth waits for an RCU grace period, 16 ms and more, and deleting a hundred at once waits no longer. For the
pod and all others the attachment is gone before: both ends are down, so routes and addresses are gone, and are renamed.

Each end goes down before it is renamed: Linux before 6.2 renames no link that is up. The host end goes down first: the
pod's end then costs the kernel a tenth of the whole less.
"""

from __future__ import annotations

import errno
import sys

from slash80.addressing.attachment import DYING_PREFIX, Key, dying_name
from slash80.errors import Failure
from slash80.netlink.codec import NetlinkError
from slash80.netlink.socket import Socket
from slash80.wiring import address_messages, link_messages, netns, query, veth


def defer(host: Socket, key: Key, sandbox: int) -> bool:
    """Take an attachment from its pod; return whether there was one, up or already deferred.

    Raises Failure or OSError when that fails; it may then be half done, and the link must be deleted.
    """
    with veth.translated():
        link, inside = query.veth_with_peer_in(host, key.host_ifname, sandbox)
        if link is None:
            return is_deferred(host, key)
        if not veth.is_ours(link):
            return False
        if not inside:
            raise Failure(f"the other end of {link.name} is not in the namespace of this call; it is deleted with that")
        dying = dying_name(link.name)
        host.run([link_messages.set_down(link.name, link.index)])
        with netns.socket_inside(sandbox, host.namespace) as pod:
            _take(pod, key.ifname, link.peer, new=dying)
        # last: with that name it may be deleted at any moment, and a repeated removal does nothing more
        host.run([link_messages.move_to_dying_group(link.name, link.index, new=dying)])
    return True


def is_deferred(host: Socket, key: Key) -> bool:
    """Report whether an attachment's deletion is deferred, and it was not added again since."""
    with veth.translated():
        found = query.named(host, (key.host_ifname, dying_name(key.host_ifname)))
    return bool(found) and all(map(veth.is_dying, found))


def _take(pod: Socket, ifname: str, index: int, *, new: str) -> None:
    """Take down and rename the pod's end, which cannot be deleted alone."""
    steps = [link_messages.set_down(ifname, index), address_messages.delete_ipv4(ifname, index)]
    steps += [link_messages.rename_without_ipv6(ifname, index, new=new)]
    for step, answer in zip(steps, pod.exchange(steps), strict=True):
        if answer.errno not in {0, errno.EADDRNOTAVAIL}:
            raise NetlinkError(step, answer)


def delete_all(host: Socket) -> list[str]:
    """Delete all dying links, as a group if all of its links are ours; return their names.

    A group is deleted with whatever is in it, and not at all if one member cannot be deleted. So its links
    are listed first; a link that another program puts into our group between the two is deleted with it.
    """
    marks = (DYING_PREFIX.encode(), link_messages.GROUP_DYING.to_bytes(4, sys.byteorder))
    links = query.links(host, having=marks, allow_interrupted=True)  # who dies meanwhile has to wait
    ours = [link for link in links if veth.is_dying(link)]
    group = [link for link in links if link.group == link_messages.GROUP_DYING]
    together = len(group) > 1 and all(map(veth.is_dying, group))
    if together and not host.exchange([link_messages.delete_group(link_messages.GROUP_DYING)])[0].errno:
        alone = [link for link in ours if link.group != link_messages.GROUP_DYING]
    else:
        alone = ours
    for link in alone:
        answer = host.exchange([step := link_messages.delete_link(link.name, link.index)])[0]
        if answer.errno not in {0, errno.ENODEV}:
            raise NetlinkError(step, answer)
    return [link.name for link in ours]
