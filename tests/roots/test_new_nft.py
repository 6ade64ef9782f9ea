"""An nft of the node that is newer than the one that came along: what it keeps with its sets, ours must survive."""

import random
import socket
import struct
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from lab import programs
from lab.plugin import Frozen
from lab.rig import Rig, configuration
from lab.topology import Site
from roots.systems import of_debian

# As nft 1.1.3 writes them: `type` too is kept as an expression, of which 1.0.6 dies (kubernetes#136786).
FIREWALL = b"""
table inet firewall {
    set names { type ifname; elements = { "uplink" } }
    set addresses { type ipv6_addr; flags interval; elements = { 2001:db8::/32 } }
    set services { typeof ip saddr . meta l4proto . th dport; flags interval; elements = { 10.0.0.0/8 . tcp . 80-90 } }
    set bits { typeof ip saddr . jhash ip daddr mod 7; elements = { 10.0.0.1 . 5 } }
    set options { typeof tcp option maxseg size; }
    map zones { type ifname : verdict; elements = { "uplink" : jump zone } }
    map marks { typeof ip saddr : ct mark; }
    map targets { type inet_proto . inet_service : ipv4_addr . inet_service; elements = { tcp . 80 : 10.0.0.1 . 8080 } }
    map ranges { type ipv4_addr : interval ipv4_addr; flags interval; elements = { 10.0.0.0/8 : 10.1.0.0/16 } }
    chain zone { ct state established,related accept; }
    chain input {
        type filter hook input priority filter + 10; policy accept;
        ip saddr . meta l4proto . th dport @services accept
        iifname vmap @zones
        meta mark set ip saddr map @marks
    }
}
"""
SETS = ("names", "addresses", "services", "bits", "options", "zones", "marks", "targets", "ranges")
# Kernel: include/uapi/linux/netlink.h, netfilter/{nfnetlink,nf_tables}.h
NETLINK_NETFILTER = 12
NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES, NFPROTO_INET = 16, 17, 10, 1
NFT_MSG_NEWTABLE, NFT_MSG_NEWSET, TYPE_IPADDR = NFNL_SUBSYS_NFTABLES << 8, NFNL_SUBSYS_NFTABLES << 8 | 9, 7
NLM_F_REQUEST, NLM_F_ACK, NLM_F_CREATE = 1, 4, 0x400
# nft's: include/expression.h
EXPR_CONCAT, EXPRESSIONS = 13, (*range(48), 255, 2**32 - 1)


@pytest.fixture
def rig(plugin: Path, tmp_path: Path) -> Iterator[Rig]:
    """Put the frozen plugin on a site."""
    with Site() as site:
        host = site.node.namespace
        yield Rig(site, site.node, Frozen(host, root=plugin.parents[2]), configuration(site.node, tmp_path / "state"))


def test_pods_are_made_beside_the_sets_of_a_newer_nft(rig: Rig, plugin: Path, tmp_path: Path) -> None:
    """ADD puts the firewall in place, CHECK finds it and DEL works, and what the newer nft lists stays as it was."""
    newer = of_debian("trixie", tmp_path)
    assert newer.run("/usr/sbin/nft", "-f", "-", host=rig.host, stdin=FIREWALL).returncode == 0
    before = newer.run("/usr/sbin/nft", "-s", "list", "chain", "inet", "firewall", "input", host=rig.host)

    attachment = rig.attach()
    rig.plugin.check(attachment.pod, rig.conf, attachment.result)
    listed = rig.host.run(lambda: programs.run([plugin / ".slash80/nft", "list", "ruleset"]))
    assert not [name for name in SETS if f" {name} {{" not in listed]
    assert "typeof ip saddr . meta l4proto . th dport" in listed

    ours = newer.run("/usr/sbin/nft", "list", "table", "inet", "slash80", host=rig.host)
    assert (0, b"") == (ours.returncode, ours.stderr)
    after = newer.run("/usr/sbin/nft", "-s", "list", "chain", "inet", "firewall", "input", host=rig.host)
    assert before.stdout == after.stdout
    rig.detach(attachment)
    rig.host.run(lambda: programs.run([plugin / ".slash80/nft", "delete", "table", "inet", "slash80"]))


@pytest.mark.parametrize("kind", ["alone", "in a concatenation", "damaged"])
def test_no_expression_that_is_kept_with_a_set_ends_our_nft(rig: Rig, plugin: Path, kind: str) -> None:
    """Whatever number a future nft gives to an expression or its parts, ours lists the set."""
    for expression in EXPRESSIONS:
        found = dict(enumerate(_user_data(expression, kind)))
        rig.host.run(partial(_put_sets, found))
        listed = rig.host.run(lambda: programs.run([plugin / ".slash80/nft", "list", "table", "inet", "strange"]))
        assert len(found) == listed.count("set s"), expression
        rig.host.run(lambda: programs.run([plugin / ".slash80/nft", "delete", "table", "inet", "strange"]))


def _user_data(expression: int, kind: str) -> Iterator[bytes]:
    """Yield what nft may keep with a set of IPv4 addresses for the type of its key, nested as it nests."""
    chosen = random.Random(expression)
    for first in (*range(24), 36, 40, 255, 2**32 - 1):
        values = (first, *chosen.choices(range(24), k=3))
        numbers = b"".join(_part(kind, struct.pack("=I", value)) for kind, value in enumerate(values))
        one = _part(0, struct.pack("=I", expression)) + _part(1, numbers)
        if kind == "alone":
            yield _part(3, one)
            continue
        port = _part(0, struct.pack("=I", 7)) + _part(1, bytes.fromhex("000408000000010402000000"))  # tcp dport
        both = bytearray(_part(0, struct.pack("=I", EXPR_CONCAT)) + _part(1, _part(0, one) + _part(1, port)))
        for _ in range(kind == "damaged" and 3):
            both[chosen.randrange(len(both))] = chosen.randrange(32)
        yield _part(3, bytes(both))


def _part(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value))) + value


def _put_sets(user_data: dict[int, bytes]) -> None:
    """Make a table with a set for each of these, as no nft would."""
    table = _attribute(1, b"strange\0")
    messages = [_message(NFNL_MSG_BATCH_BEGIN, NFNL_SUBSYS_NFTABLES), _message(NFT_MSG_NEWTABLE, 0, table)]
    for number, data in user_data.items():
        about = ((3, 0), (4, TYPE_IPADDR), (5, 4), (10, number + 1))  # flags, type and length of the key, id
        key = b"".join(_attribute(kind, struct.pack(">I", value)) for kind, value in about)
        body = table + _attribute(2, b"s%d\0" % number) + key + _attribute(13, data)
        messages.append(_message(NFT_MSG_NEWSET, 0, body))
    messages.append(_message(NFT_MSG_NEWTABLE, 0, table, flags=NLM_F_ACK))
    messages.append(_message(NFNL_MSG_BATCH_END, NFNL_SUBSYS_NFTABLES))
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as nfnetlink:
        nfnetlink.settimeout(10)
        nfnetlink.send(b"".join(messages))
        (error,) = struct.unpack_from("=i", nfnetlink.recv(65536), 16)
    assert error == 0


def _message(kind: int, resource: int, body: bytes = b"", *, flags: int = 0) -> bytes:
    head = struct.pack("=IHHII", 20 + len(body), kind, NLM_F_REQUEST | NLM_F_CREATE | flags, 0, 0)
    return head + struct.pack(">BBH", NFPROTO_INET, 0, resource) + body


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
