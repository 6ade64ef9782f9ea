"""The node's own addresses, from which it sends to its pods: probes of a kubelet, programs with the host's network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slash80.addressing.family import FAMILIES, IPV4, Address, Family, Prefix, family_of
from slash80.netlink.socket import Socket
from slash80.wiring import policy_rules, query, reachability, steps

_EVERY_LINK = 0
# Of the rules and tables that nm-cloud-setup of NetworkManager makes, for each address `from ADDRESS lookup 30400`.
_CLOUD = range(30400, 30500)
_CLOUD_ADVICE = (
    "nm-cloud-setup has made that rule, which is for nodes without pods: "
    "`systemctl disable --now nm-cloud-setup.timer nm-cloud-setup.service`, and reboot the node"
)


def problems(host: Socket, prefixes: Sequence[Prefix]) -> list[str]:
    """Return what keeps the node's own packets from its pods, whose addresses are of these prefixes."""
    addresses = [found.address for found in query.addresses(host, _EVERY_LINK) if found.scope < steps.RT_SCOPE_LINK]
    found: list[str] = []
    for family in FAMILIES:
        own = [address for address in addresses if family_of(address) is family]
        # a node with IPv6 has always a source, the link-local address of the pod's host end
        if not own and family is IPV4 and any(family_of(prefix) is family for prefix in prefixes):
            found.append(
                "the node has no IPv4 address, so nothing on it reaches its pods by IPv4, a kubelet's probes included; "
                "give it one, a private one on the loopback link will do"
            )
        targets = [prefix[1] for prefix in prefixes if family_of(prefix) is family]
        found += dict.fromkeys(_led_elsewhere(host, family, own, targets=targets))
    return found


def _led_elsewhere(
    host: Socket, family: Family, own: Sequence[Address], *, targets: Sequence[Address]
) -> Iterator[str]:
    """Name the rules about sources that are the node's, as far as they lead packets to pods elsewhere."""
    for rule in policy_rules.rules(host, family):
        source = next((address for address in own if rule.source.prefixlen and address in rule.source), None)
        for target in targets if source else ():
            if told := reachability.astray(host, target, source):
                advice = _CLOUD_ADVICE if rule.priority in _CLOUD and rule.table in _CLOUD else reachability.NEXT
                yield f"packets from the node's {source} to its pods get lost: {told}; {advice}"
