"""Netlink messages about addresses and neighbours as steps, each with the `ip` command that says the same."""

from __future__ import annotations

from pyroute2.netlink.rtnl import (
    RTM_DELADDR,
    RTM_GETADDR,
    RTM_GETNEIGH,
    RTM_NEWADDR,
    RTM_NEWNEIGH,
)
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from slash80.addressing.family import IPV4, Address, Family, family_of
from slash80.addressing.mac import Mac
from slash80.netlink.codec import Step
from slash80.netlink.constants import NLM_F_ACK, NLM_F_DUMP
from slash80.netlink.templates import Attributes, MessageType
from slash80.wiring.steps import NLM_F_CREATE_EXCL_ACK, RT_SCOPE_HOST, RT_SCOPE_LINK, RT_SCOPE_UNIVERSE, step

IFA_F_NODAD = 0x02
NUD_PERMANENT = 0x80
_NEW_ADDRESS = MessageType(ifaddrmsg, RTM_NEWADDR, NLM_F_CREATE_EXCL_ACK)
_DELETE_ADDRESS = MessageType(ifaddrmsg, RTM_DELADDR, NLM_F_ACK)
_DUMP_ADDRESSES = MessageType(ifaddrmsg, RTM_GETADDR, NLM_F_DUMP)
_NEW_NEIGHBOUR = MessageType(ndmsg, RTM_NEWNEIGH, NLM_F_CREATE_EXCL_ACK, "ifindex")
_DUMP_NEIGHBOURS = MessageType(ndmsg, RTM_GETNEIGH, NLM_F_DUMP, "ifindex")


def add_gateway(name: str, index: int, family: Family) -> Step:
    """Add the gateway's address to a host end.

    IPv4 with scope host, or the node would reach pods from it instead of from its own address. IPv6 without duplicate
    address detection and before the link goes up: it is then the source of the node's solicitations from the first
    packet on, while the automatic link-local is still tentative.
    """
    text = "ip address add %s/%s dev %s " + ("scope host" if family.version == 4 else "nodad")
    scope, length = gateway_scope(family), family.gateway_length
    return _address(_NEW_ADDRESS, text, (name, family.gateway), index=index, prefixlen=length, scope=scope)


def gateway_scope(family: Family) -> int:
    """Return the scope of a gateway address on the host end."""
    return RT_SCOPE_HOST if family.version == 4 else RT_SCOPE_LINK


def add_address(name: str, index: int, address: Address) -> Step:
    """Add a pod's /32 or /128 to its interface, usable at once."""
    text = "ip address add %s/%s dev %s" + ("" if address.version == 4 else " nodad")
    fields = {"prefixlen": address.max_prefixlen, "scope": RT_SCOPE_UNIVERSE}
    return _address(_NEW_ADDRESS, text, (name, address), index=index, **fields)


def delete_ipv4(name: str, index: int) -> Step:
    """Take a link's first IPv4 address, whatever that is; EADDRNOTAVAIL when it has none."""
    return step(_DELETE_ADDRESS, "ip -4 address flush dev %s", (name,), index=index, family=IPV4.af)


def addresses(index: int) -> Step:
    """Ask for the addresses of a link."""
    return step(_DUMP_ADDRESSES, "ip address show (index %s)", (index,), index=index)


def add_neighbour(name: str, index: int, *, gateway: Address, mac: Mac) -> Step:
    """Add a permanent neighbour for the gateway in the pod: no solicitation is sent, so no reply can be forged."""
    attributes: Attributes = [("NDA_DST", gateway), ("NDA_LLADDR", mac)]
    fields = {"family": family_of(gateway).af, "state": NUD_PERMANENT}
    text = "ip neighbour add %s dev %s lladdr %s nud permanent"
    return step(_NEW_NEIGHBOUR, text, (gateway, name, mac), attributes=attributes, index=index, **fields)


def neighbours(index: int) -> Step:
    """Ask for the neighbours of a link."""
    return step(_DUMP_NEIGHBOURS, "ip neighbour show (index %s)", (index,), attributes=[("NDA_IFINDEX", index)])


def _address(verb: MessageType, text: str, what: tuple[str, Address], /, **fields: int) -> Step:
    name, address = what
    attributes: Attributes = [("IFA_ADDRESS", address)]
    attributes += [("IFA_LOCAL", address)] if address.version == 4 else []
    fields |= {"family": family_of(address).af, "flags": IFA_F_NODAD if address.version == 6 else 0}
    return step(verb, text, (address, fields["prefixlen"], name), attributes=attributes, **fields)
