"""The table for ARP: the pods' gateway is answered for on the pods' links only.

Its address is on each host end, and Linux answers on every link for every address that it has (arp_ignore 0). A host on
the uplink's network that uses 169.254.1.1 as well, be it another node with its own pods or a host that chose it
(RFC 3927), would find it in use. IPv6 needs nothing: fe80::1 is of one link.
"""

from __future__ import annotations

from slash80.addressing.family import IPV4
from slash80.firewall.records import PODS, TABLE

# The chain is not called `gateway`, which is a word of nft's: a listing could not be loaded again.
_RULE = f'iifname != {PODS} arp daddr ip {IPV4.gateway} counter drop comment "gateway ipv4"'
REMOVAL = f"table arp {TABLE}\ndelete table arp {TABLE}\n"
TEXT = f"""table arp {TABLE} {{
\tchain gateway_requests {{
\t\ttype filter hook input priority filter; policy accept;
\t\t{_RULE}
\t}}
}}
"""
