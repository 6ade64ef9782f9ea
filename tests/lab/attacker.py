"""The attacker: SYN and UDP from outside, and a count of every TCP or UDP packet that comes back."""

import contextlib
import ipaddress
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lab.forgery import internet_checksum
from lab.namespaces import Namespace
from lab.probes import PORT, family_of

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
SO_RCVBUFFORCE = 33


@dataclass(frozen=True)
class Packet:
    """What is read of a packet: its transport protocol and where it came from and goes to."""

    protocol: int
    source: str
    target: str


class Sniffer:
    """Collects the IP packets that arrive on one link of a namespace."""

    def __init__(self, namespace: Namespace, link: str) -> None:
        self._sockets = []
        for kind in (ETH_P_IP, ETH_P_IPV6):
            # A socket for one protocol sees arriving packets only, never its own host's.
            sniffing = namespace.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(kind))
            sniffing.bind((link, kind))
            sniffing.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)
            sniffing.settimeout(0)
            self._sockets.append(sniffing)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening."""
        for sniffing in self._sockets:
            sniffing.close()

    def packets(self, *, most: float = 60) -> list[Packet]:
        """Return what is read of the packets that have arrived, in `most` seconds where they do not end."""
        return list(map(_parse, self.received(most=most)))

    def received(self, *, quiet: float = 0.2, most: float = 60) -> list[bytes]:
        """Return what has arrived, until nothing comes for `quiet` seconds, `most` seconds at most."""
        found = []
        deadline = time.monotonic() + most
        while time.monotonic() < deadline and (ready := select.select(self._sockets, [], [], quiet)[0]):
            for sniffing in ready:
                with contextlib.suppress(BlockingIOError):
                    found.append(sniffing.recv(65536))
        return found


def _parse(data: bytes) -> Packet:
    if data[0] >> 4 == 4:
        return Packet(data[9], str(ipaddress.IPv4Address(data[12:16])), str(ipaddress.IPv4Address(data[16:20])))
    return Packet(data[6], str(ipaddress.IPv6Address(data[8:24])), str(ipaddress.IPv6Address(data[24:40])))


class Attacker:
    """Strikes at addresses from one host and counts what answers. A context manager."""

    def __init__(self, namespace: Namespace, sources: tuple[str, str], *, link: str = "eth0") -> None:
        self._sources = {family_of(source): source for source in sources}
        self._sniffer = Sniffer(namespace, link)
        self._raw = {family: namespace.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) for family in self._sources}
        self._udp = {family: namespace.socket(family, socket.SOCK_DGRAM) for family in self._sources}
        self._port = 20000

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Return up."""
        self._sniffer.close()
        for opened in (*self._raw.values(), *self._udp.values()):
            opened.close()

    def strike(self, *targets: str, ports: Sequence[int] = (PORT, 22)) -> None:
        """Send one SYN and one datagram to each port of each target; a port without a server answers too."""
        for target in targets:
            for port in ports:
                self._port = 20000 + (self._port - 19999) % 40000
                with contextlib.suppress(OSError):
                    self._send_syn(target, port)
                with contextlib.suppress(OSError):
                    self._udp[family_of(target)].sendto(b"?", (target, port))

    def answers(self, *targets: str) -> list[Packet]:
        """Return every TCP or UDP packet that came from these addresses, or any, since the last time."""
        wanted = {str(ipaddress.ip_address(target)) for target in targets}
        came = [p for p in self._sniffer.packets(most=3) if p.protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP)]
        return [packet for packet in came if not wanted or packet.source in wanted]

    @contextlib.contextmanager
    def flood(self, *targets: str, interval: float = 0.001, seconds: float = 20) -> Iterator[None]:
        """Keep striking during the block, moderately, and not longer than `seconds`."""
        stop = threading.Event()
        deadline = time.monotonic() + seconds

        def strike_on() -> None:
            while not stop.wait(interval) and time.monotonic() < deadline:
                self.strike(*targets)

        thread = threading.Thread(target=strike_on)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _send_syn(self, target: str, port: int) -> None:
        family = family_of(target)
        head = struct.pack("!HHIIBBHHH", self._port, port, 1, 0, 5 << 4, 2, 65535, 0, 0)
        pseudo = _packed(self._sources[family]) + _packed(target) + struct.pack("!II", len(head), socket.IPPROTO_TCP)
        checksum = internet_checksum(pseudo + head)
        self._raw[family].sendto(head[:16] + struct.pack("!H", checksum) + head[18:], (target, 0))


def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed
