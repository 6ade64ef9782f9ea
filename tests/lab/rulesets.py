"""Settings of the base table, by name: what any of them may differ in."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

from slash80.addressing.family import IPV4, IPV6
from slash80.addressing.ports import PortRange
from slash80.firewall.records import Settings

CLOSED = Settings(closed=True, trusted=(), echo="limit", echo_rate=10, masquerade=(IPV4,), keep_source=())
CLUSTERS = (
    *("2001:db8:b::/56", "2001:db8:a::/48", "2001:db8:a:100::/56", "2001:db8:b:100::/56"),
    *("10.0.0.0/8", "10.80.0.0/16", "198.51.100.7/32", "198.51.100.6/32"),
)
SETTINGS = {
    "closed": CLOSED,
    "open": replace(CLOSED, closed=False),
    "trusted": replace(CLOSED, trusted=tuple(map(ip_network, CLUSTERS))),
    "metadata-open": replace(
        CLOSED, metadata_open=tuple(map(ip_address, ("fd00:c1::a9fe:a9fe", "169.254.42.42", "64:ff9b::a83f:8110")))
    ),
    "node-none": replace(CLOSED, node=()),
    "node-ports": replace(
        CLOSED, node=tuple(map(PortRange.parse, ("tcp/22", "tcp/10250-10255", "tcp/10255-10260", "udp/8472", "tcp/23")))
    ),
    "loose": replace(CLOSED, strict=False),
    "echo-open": replace(CLOSED, echo="open"),
    "echo-drop": replace(CLOSED, echo="drop", echo_rate=50),
    "echo-rate": replace(CLOSED, echo_rate=50),
    "connection-rate-any": replace(CLOSED, connection_rate=0),
    "exposed": replace(CLOSED, expose=tuple(map(PortRange.parse, ("tcp/443", "udp/53", "tcp/8000-8100", "tcp/444")))),
    "pods-expose": replace(CLOSED, pods_expose=True),
    "services": replace(CLOSED, services=tuple(map(ip_network, ("10.96.0.0/16", "fd00:10:96::/112")))),
    "services-trusted": replace(CLOSED, cluster=tuple(map(ip_network, ("10.80.0.0/16", "2001:db8:a:b::/64")))),
    "hostports-trusted": replace(CLOSED, host_ports="trusted"),
    "hostports-none": replace(CLOSED, host_ports="none"),
    "masquerade-none": replace(CLOSED, masquerade=()),
    "masquerade-both": replace(
        CLOSED, masquerade=(IPV4, IPV6), keep_source=tuple(map(ip_network, ("10.80.0.0/16", "2001:db8::/32")))
    ),
}
