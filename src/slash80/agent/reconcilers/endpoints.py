"""This node's interfaces as policies see them: what is attached, joined with the Pods of the API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from itertools import islice

from slash80.addressing.attachment import FIRST_IFNAME, Attachment, State
from slash80.addressing.family import Address, Prefix
from slash80.agent.reconcilers.cluster_view import OF_NODE, Followed
from slash80.firewall.installed import NodePods
from slash80.policy.model import Endpoint, Pod

_MOST = 512  # Pods of a node: a kubelet runs 110 by itself, and refuses the others


class Join:
    """Finds an attachment's Pod.

    Not by its name alone: a StatefulSet's pod that was made again has the name of the one before, and may have other
    labels. Not by the UID alone: the author of a Pod can write the annotation by which a static pod's is known.
    """

    def __init__(
        self, node: str, prefixes: Sequence[Prefix], *, pods: Followed[Pod], isolated: Collection[str]
    ) -> None:
        """Join with the Pods of a list; `isolated` are the namespaces that have a policy.

        Policies judge interfaces with an address of the node's `prefixes`; other networks have none.
        """
        self._node, self._prefixes, self._pods, self._isolated = node, prefixes, pods, isolated
        self._of_node: list[Pod] | None = None

    def endpoints(self, pods: NodePods) -> list[Endpoint]:
        """Return the interfaces that send and receive; what another state directory has is of another network.

        Each has the addresses of all interfaces of its container, by which the base firewall lets it send as well.
        """
        alive = [one for one in pods.recorded if one.state is not State.TERMINATING]
        containers = defaultdict(list)
        for one in (*alive, *pods.others):
            containers[one.key.container].append(one)
        recorded = [self._endpoint(one, _addresses(one, containers[one.key.container])) for one in alive]
        others = [(one.host_ifname, _addresses(one, containers[one.key.container])) for one in pods.others]
        return recorded + [Endpoint(*other) for other in others]

    def expected(self, attached: Iterable[Endpoint]) -> list[Endpoint]:
        """Return an endpoint for each Pod of this node that has no interface yet, with an address of each family.

        They are attached within moments, as a kubelet learns of them when this agent does.
        """
        there = {(one.pod.namespace, one.pod.name) for one in attached if one.pod}
        some = tuple({one.version: one.network_address for one in self._prefixes}.values())
        bound = islice(self._pods.indexed(OF_NODE, self._node), _MOST)
        return [Endpoint("", some, one) for one in bound if one.selectable and (one.namespace, one.name) not in there]

    def _endpoint(self, attachment: Attachment, addresses: tuple[Address, ...]) -> Endpoint:
        own = attachment.assignment.addresses
        judged = any(address in prefix for address in own for prefix in self._prefixes)
        pod = self._pod(attachment) if judged else None
        return Endpoint(
            attachment.host_ifname,
            addresses,
            pod,
            closed=judged and pod is None and self._may_be_isolated(attachment),
            first=attachment.key.ifname == FIRST_IFNAME,
        )

    def _pod(self, attachment: Attachment) -> Pod | None:
        recorded = attachment.pod
        if not recorded.name:
            return self._at(attachment) if attachment.recovered else None
        found = self._pods.get(f"{recorded.namespace}/{recorded.name}")
        if found is None or (recorded.uid and recorded.uid != found.uid):
            return None
        return found if recorded.uid or self._has(found, attachment) else None

    def _at(self, attachment: Attachment) -> Pod | None:
        """Return the Pod that has an address on this node; the newest, where several say so."""
        if self._of_node is None:
            here = [one for one in self._pods.objects if one.node == self._node and not one.host_network]
            self._of_node = sorted(here, key=lambda one: one.created, reverse=True)
        return next((one for one in self._of_node if self._has(one, attachment)), None)

    def _has(self, pod: Pod, attachment: Attachment) -> bool:
        return pod.node == self._node and not {*pod.addresses}.isdisjoint(attachment.assignment.addresses)

    def _may_be_isolated(self, attachment: Attachment) -> bool:
        return attachment.pod.namespace in self._isolated or attachment.recovered


def _addresses(of: Attachment, container: Iterable[Attachment]) -> tuple[Address, ...]:
    """Return the addresses of all interfaces of a container, those of one first."""
    return tuple(dict.fromkeys(address for one in (of, *container) for address in one.assignment.addresses))
