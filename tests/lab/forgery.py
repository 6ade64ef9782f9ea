"""Packets with any source address, as a process with CAP_NET_RAW sends them, and the ICMP errors that quote them."""

import ipaddress
import socket
import struct

from lab.namespaces import Namespace
from lab.probes import family_of

_ICMP = {socket.AF_INET: socket.IPPROTO_ICMP, socket.AF_INET6: socket.IPPROTO_ICMPV6}
TH_SYN, TH_ACK = 0x02, 0x10
_PORT_UNREACHABLE = {socket.AF_INET: (3, 3), socket.AF_INET6: (1, 4)}
Endpoint = tuple[str, int]


def datagram(source: Endpoint, target: Endpoint, payload: bytes = b"") -> bytes:
    """Return a UDP packet with its IP header."""
    head = struct.pack("!HHHH", source[1], target[1], 8 + len(payload), 0)
    return _packet(socket.IPPROTO_UDP, source[0], target[0], head + payload, checksum_at=6)


def syn(source: Endpoint, target: Endpoint) -> bytes:
    """Return a packet that opens a TCP connection, with its IP header."""
    return segment(source, target, flags=TH_SYN, sequence=1)


def segment(source: Endpoint, target: Endpoint, *, flags: int, sequence: int, acknowledged: int = 0) -> bytes:
    """Return a TCP packet without data, with its IP header."""
    head = struct.pack("!HHIIBBHHH", source[1], target[1], sequence, acknowledged, 5 << 4, flags, 65535, 0, 0)
    return _packet(socket.IPPROTO_TCP, source[0], target[0], head, checksum_at=16)


def sctp_init(source: Endpoint, target: Endpoint) -> bytes:
    """Return a packet that opens an SCTP association (RFC 9260, 3.3.2), with its IP header."""
    return chunk(source, target, kind=1, tag=0, payload=struct.pack("!IIHHI", 1, 65535, 1, 1, 1))


def chunk(source: Endpoint, target: Endpoint, *, kind: int, tag: int, payload: bytes) -> bytes:
    """Return an SCTP packet with one chunk and a CRC-32c (RFC 9260, 6.8), with its IP header."""
    head = struct.pack("!HHI", source[1], target[1], tag)
    body = struct.pack("!BBH", kind, 3, 4 + len(payload)) + payload
    sum_ = struct.pack("<I", _crc32c(head + bytes(4) + body))
    return packet(socket.IPPROTO_SCTP, source[0], target[0], head + sum_ + body)


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def echo(source: str, target: str, *, number: int, reply: bool = False, payload: bytes = b"") -> bytes:
    """Return an echo request of either family, or a reply, with its IP header; connection tracking knows the number."""
    kinds = (0, 8) if family_of(source) == socket.AF_INET else (129, 128)
    return icmp(source, target, struct.pack("!BBHHH", kinds[not reply], 0, 0, number, 1) + payload)


def packet(protocol: int, source: str, target: str, body: bytes) -> bytes:
    """Return a packet of any protocol, with its IP header and no checksum in its body."""
    return _packet(protocol, source, target, body)


def icmp(source: str, target: str, body: bytes, *, hops: int = 255) -> bytes:
    """Return an ICMP message of either family with its IP header, and its checksum filled in."""
    return _packet(_ICMP[family_of(source)], source, target, body, checksum_at=2, hops=hops)


def port_unreachable(source: str, refused: bytes) -> bytes:
    """Return the ICMP error with which a host says that nothing listens where this packet was to go, to its sender."""
    family = socket.AF_INET if refused[0] >> 4 == 4 else socket.AF_INET6
    sender = refused[12:16] if family == socket.AF_INET else refused[8:24]
    body = struct.pack("!BBHI", *_PORT_UNREACHABLE[family], 0, 0) + refused
    return _packet(_ICMP[family], source, str(ipaddress.ip_address(sender)), body, checksum_at=2)


def send(namespace: Namespace, packet: bytes) -> None:
    """Send a packet by the namespace's routes, whatever it says about where it is from."""
    if packet[0] >> 4 == 4:
        family, target = socket.AF_INET, str(ipaddress.IPv4Address(packet[16:20]))
    else:
        family, target = socket.AF_INET6, str(ipaddress.IPv6Address(packet[24:40]))
    with namespace.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        raw.sendto(packet, (target, 0))


def send_on(namespace: Namespace, link: str, packet: bytes, *, mac: str) -> None:
    """Send a packet on a link to a MAC, whatever the namespace's routes are."""
    kind = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
    with namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM) as raw:
        raw.sendto(packet, (link, kind, 0, 0, bytes.fromhex(mac.replace(":", ""))))


def _packet(
    protocol: int, source: str, target: str, body: bytes, *, checksum_at: int | None = None, hops: int = 64
) -> bytes:
    from_, to = ipaddress.ip_address(source).packed, ipaddress.ip_address(target).packed
    ipv4 = family_of(source) == socket.AF_INET
    # ICMP has no pseudo-header in IPv4
    pseudo = b"" if protocol == socket.IPPROTO_ICMP else from_ + to + struct.pack("!II", len(body), protocol)
    if checksum_at is not None:
        sum_ = struct.pack("!H", internet_checksum(pseudo + body))
        body = body[:checksum_at] + sum_ + body[checksum_at + 2 :]
    if ipv4:
        head = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(body), 0, 0, hops, protocol)
        sum_ = struct.pack("!H", internet_checksum(head + b"\0\0" + from_ + to))
        return head + sum_ + from_ + to + body
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, hops) + from_ + to + body


def internet_checksum(data: bytes) -> int:
    """Compute the Internet checksum (RFC 1071)."""
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
