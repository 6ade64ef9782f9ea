"""DEL: remove whatever exists of an attachment."""

from __future__ import annotations

from slash80.cni.request import Request
from slash80.host import removal
from slash80.host.context import CallContext
from slash80.settings import network as configuration
from slash80.settings.network import RemovalConf
from slash80.verbs.call import key_of, sandbox_if_pods


def delete(request: Request, context: CallContext) -> None:
    """Remove whatever exists of an attachment; that nothing exists is a success.

    The host end is enough for that. Where CNI_NETNS has become the host's own namespace, because its process ID now
    belongs to another process (kubernetes #100648), it is not entered: an interface of that name there is not ours.
    """
    conf, key = configuration.parse(RemovalConf, request.conf), key_of(request)
    with context.opened(conf) as host:
        removal.delete_attachment(host, key, sandbox_if_pods(request, context.sandbox))
