"""The reference plugins that people chain after ours, and what they leave in the kernel."""

from runtime.internet import PORT
from runtime.sandbox import Sandbox

# Without a word it takes iptables if that is installed.
PORTMAP = {"type": "portmap", "capabilities": {"portMappings": True}, "backend": "nftables"}
BANDWIDTH = {"type": "bandwidth", "capabilities": {"bandwidth": True}}
MAC = "02:80:00:00:00:01"
SYSCTL = "net.ipv4.conf.IFNAME.arp_filter"
SBR = {"type": "sbr"}
TUNING = {"type": "tuning", "mac": MAC, "sysctl": {SYSCTL: "1"}}

# What a runtime sends to those that can use it, and how containerd is asked to send it.
CAPABILITIES = {
    "portMappings": [{"hostPort": PORT, "containerPort": PORT, "protocol": "tcp"}],
    "bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 8_000_000, "egressBurst": 800_000},
}
HOST_PORT = {"port_mappings": [{"protocol": 0, "container_port": PORT, "host_port": PORT}]}
RATES = {"annotations": {"kubernetes.io/ingress-bandwidth": "8M", "kubernetes.io/egress-bandwidth": "8M"}}


def mappings(box: Sandbox) -> list[str]:
    """List the rules that lead a host port to a pod."""
    return [line.strip() for line in box.run(["nft", "list", "ruleset"]).splitlines() if "dnat to" in line]


def limits(box: Sandbox) -> list[str]:
    """List the links with a queue that limits their rate, as `LINK RATE`."""
    words = [line.split() for line in box.run(["tc", "qdisc", "show"]).splitlines()]
    return [f"{line[line.index('dev') + 1]} {line[line.index('rate') + 1]}" for line in words if line[1] == "tbf"]


def leftovers(box: Sandbox) -> list[str]:
    """Name all that chained plugins have made and not removed."""
    return mappings(box) + limits(box) + box.run(["ip", "-o", "link", "show", "type", "ifb"]).splitlines()
