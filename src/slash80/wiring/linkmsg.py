"""pyroute2's link message, with the IPv4 settings of a link as they are set; its own class can only read them.

Source: include/uapi/linux/ip.h and inet_set_link_af in net/ipv4/devinet.c.
"""

from __future__ import annotations

from pyroute2.netlink import nla
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg


class _settings(nla):  # type: ignore[misc]  # noqa: N801 -- pyroute2's way of naming
    nla_map = (
        (1, "IPV4_DEVCONF_FORWARDING", "uint32"),
        (13, "IPV4_DEVCONF_ARPFILTER", "uint32"),
        (19, "IPV4_DEVCONF_ARP_IGNORE", "uint32"),
    )


class _inet(nla):  # type: ignore[misc]  # noqa: N801 -- the same
    nla_map = (("IFLA_INET_UNSPEC", "none"), ("IFLA_INET_CONF", "settings"))
    settings = _settings


class _af_spec(ifinfmsg.af_spec_inet):  # type: ignore[misc]  # noqa: N801 -- the same
    inet = _inet


class linkmsg(ifinfmsg):  # type: ignore[misc]  # noqa: N801 -- the same
    """A link, or what is asked or wanted of one."""

    af_spec_inet = _af_spec
