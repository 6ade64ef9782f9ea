"""All that is known of a node and its cluster at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slash80.addressing.family import Address, Prefix
from slash80.cluster.objects.node import NodeSeen
from slash80.desired.prefixes import PrefixReport
from slash80.settings.cluster import ClusterSettings
from slash80.settings.node import NodeFile

if TYPE_CHECKING:
    from slash80.settings.clusterset import Clusterset


@dataclass(frozen=True, slots=True)
class Observed:
    """What is known: settings, prefix sources, the Nodes as Kubernetes shows them, and what is in force.

    `own` is missing while the API has not shown this node; `services` are the ClusterIP ranges, missing while
    their list is not complete; `in_use` are the addresses of this node's attachments. `clustersets` are the one of the
    file of now, if it is well-formed, and the last good one; `links` are the subnets of this node's links.
    """

    settings: ClusterSettings
    reports: tuple[PrefixReport, ...] = ()
    own: NodeSeen | None = None
    others: tuple[NodeSeen, ...] = ()
    services: tuple[Prefix, ...] | None = None
    before: NodeFile | None = None
    in_use: tuple[Address, ...] = ()
    clustersets: tuple[Clusterset, ...] = ()
    links: tuple[Prefix, ...] = ()
