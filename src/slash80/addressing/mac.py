"""MAC addresses, as 48 bits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_MULTICAST, _LOCAL = 1 << 40, 1 << 41
_TEXT = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")


@dataclass(frozen=True, slots=True, order=True)
class Mac:
    """A 48-bit MAC address; prints as 02:80:0a:f4:01:05."""

    value: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read six pairs of hexadecimal digits; raise ValueError for anything that no interface can have."""
        if not _TEXT.fullmatch(text):
            msg = f"'{text}' is not a MAC address of six pairs of hexadecimal digits"
            raise ValueError(msg)
        mac = cls(int(re.sub("[:-]", "", text), 16))
        if not mac.is_usable:
            msg = f"MAC address '{text}' is multicast or all zeros; an interface needs a unicast one"
            raise ValueError(msg)
        return mac

    @classmethod
    def local(cls, bits: int) -> Self:
        """Make a unicast, locally administered MAC from 48 bits (IEEE 802, section 8.2)."""
        return cls((bits | _LOCAL) & ~_MULTICAST & (1 << 48) - 1)

    @classmethod
    def unpack(cls, raw: bytes) -> Self:
        """Read six bytes."""
        return cls(int.from_bytes(raw, "big"))

    @property
    def packed(self) -> bytes:
        """The six bytes."""
        return self.value.to_bytes(6, "big")

    @property
    def is_usable(self) -> bool:
        """Report whether an interface may have it: unicast and not all zeros."""
        return 0 < self.value < 1 << 48 and not self.value & _MULTICAST

    def __str__(self) -> str:
        """Print in the kernel's form."""
        return self.packed.hex(":")
