"""What a network plugin could leave on a node, as lines that can be compared."""

from __future__ import annotations

from kind.cluster import Cluster

# Rules of kube-proxy and the kubelet change by themselves, so ours are looked for by name.
_LOOK = r"""
ip -o link show | awk -F': ' '{print "link " $2}' | sed 's/@.*//'
ip -4 route show table all proto 180; ip -6 route show table all proto 180
ip rule show; ip -6 rule show
nft list tables | grep slash80
sysctl net.ipv4.ip_forward net.ipv6.conf.all.forwarding net.ipv6.conf.eth0.accept_ra net.ipv4.conf.all.rp_filter
find /opt/cni /etc/cni /run/slash80 /var/lib/slash80 -mindepth 1 2> /dev/null | sort
true
"""


def traces(cluster: Cluster) -> dict[str, set[str]]:
    """Look at every node."""
    return {node: set(cluster.on(node, "sh", "-c", _LOOK).splitlines()) for node in cluster.nodes()}
