"""Taking an attachment from its pod now, and deleting its link later, together with others.

Deleting a veth waits for RCU, 16 ms and more, and deleting a hundred in one go takes no longer. What the pod and others
see of it is over before: both ends are down, so the routes and the IPv6 addresses are gone, and neither has its name.

The messages of a batch are done in order, and each end goes down first: Linux before 6.2 renames no link that is up.
"""

from __future__ import annotations

import errno
import sys

from slash80.addressing.attachment import DYING_PREFIX, Key, dying_name
from slash80.errors import Failure
from slash80.netlink import NetlinkError, Socket
from slash80.wiring import attach, live, messages, netns


def bury(host: Socket, key: Key, sandbox: int) -> bool:
    """Put an attachment aside; tell whether there was one, living or put aside before.

    Raise Failure or OSError when it cannot be put aside; it may then be half so, and must be deleted.
    """
    with attach.translated():
        link, dying = live.link(host, key.host_ifname), dying_name(key.host_ifname)
        if link is None:
            return live.link(host, dying) is not None
        if not attach.is_ours(link):
            return False
        with netns.socket_inside(sandbox) as pod:
            _take(pod, link, key.ifname)
        # last: with that name it may be deleted at any moment, and a removal that is repeated does no more
        aside = messages.put_aside(link.name, link.index, new=dying)
        host.run([messages.set_down(link.name, link.index), aside])
    return True


def _take(pod: Socket, link: live.Link, ifname: str) -> None:
    """Take the pod's end from it; it cannot be deleted alone."""
    end, addresses = live.link_with_addresses(pod, ifname, link.peer)
    if end is None or (end.kind, end.index, end.peer) != ("veth", link.peer, link.index):
        raise Failure(f"interface {ifname} of the pod is not the other end of {link.name}; it is deleted with that")
    ipv4 = [found.address for found in addresses if found.address.version == 4]  # those of IPv6 go as it goes down
    pod.run(
        [
            messages.set_down(end.name, end.index),
            *(messages.delete_address(end.name, end.index, address) for address in ipv4),
            messages.rename(end.name, end.index, new=dying_name(link.name)),
        ]
    )


def delete_all(host: Socket) -> int:
    """Delete all dying links, together if nobody else's is among them; tell how many.

    A group is deleted with whatever is in it, and not at all if one member cannot be deleted. So it is looked at first;
    whoever puts a link of his into our group between the look and the deletion loses it.
    """
    links = live.links(host, having=(DYING_PREFIX.encode(), messages.GROUP_DYING.to_bytes(4, sys.byteorder)))
    ours = [link for link in links if attach.is_dying(link)]
    group = [link for link in links if link.group == messages.GROUP_DYING]
    together = len(group) > 1 and all(map(attach.is_dying, group))
    if together and not host.exchange([messages.delete_group(messages.GROUP_DYING)])[0].errno:
        alone = [link for link in ours if link not in group]
    else:
        alone = ours
    for link in alone:
        answer = host.exchange([step := messages.delete_link(link.name, link.index)])[0]
        if answer.errno not in {0, errno.ENODEV}:
            raise NetlinkError(step, answer)
    return len(ours)
