"""The store as others see it; `sqlite` is the real one, `memory` the one for tests, with one contract for both."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

from slash80.addressing.attachment import Assignment, Attachment, Key
from slash80.addressing.choose import Ledger
from slash80.addressing.family import Address, Network

T = TypeVar("T")


class Register(Ledger, Protocol):
    """The ledger, and which prefixes each network has: `now` is the boottime in seconds."""

    def note(self, network: str, prefixes: Sequence[Network], now: float) -> bool:
        """Remember which prefixes a network has; tell whether it had others before, or none."""

    def refresh(self, networks: Collection[str], now: float) -> None:
        """Remember these networks, named as attachments name them, for longer."""

    def networks(self, now: float) -> dict[str, tuple[Network, ...]]:
        """Give the prefixes of the networks that were noted lately: within an hour."""

    def holds(self, prefix: Network) -> bool:
        """Whether an address of a prefix is held."""


Choose = Callable[[Register, bytes, Sequence[Attachment]], Assignment]


class Store(Protocol):
    """Attachments by key, and addresses that are held by one of them each. Every method is one transaction."""

    def get(self, host_ifname: str) -> Attachment | None:
        """Give the attachment with that host end, or None."""

    def attachments(self, of: Key | None = None) -> list[Attachment]:
        """Give all attachments, oldest first; or the key's own and those of the same container."""

    def reserve(self, draft: Attachment, choose: Choose) -> Attachment:
        """Choose addresses and keep the draft with them, in place of what is remembered of it.

        `choose` gets the ledger, the node's secret, and the container's attachments that are known, this one's too.
        Raise TryAgain when a newer slash80 has changed the schema, and whatever `choose` raises; then nothing is kept.
        """

    def keep(self, attachment: Attachment) -> None:
        """Keep an attachment as it is, and its addresses as held by it, whatever was remembered of either before."""

    def release(self, host_ifname: str, *, rest: bool = True) -> None:
        """Forget an attachment; unknown ones are no error.

        Its addresses rest from now on; without `rest`, for one that never came to be, they are as they were before.
        """

    def held(self, by: Sequence[Attachment]) -> list[Address]:
        """Give the addresses that these attachments hold, less those of what was made anew meanwhile."""

    def dying(self) -> list[Attachment]:
        """Give the attachments that are dying, oldest first."""

    def doom(self, host_ifname: str) -> None:
        """Mark an attachment as dying: it keeps its addresses; unknown ones are no error."""

    def forget(self, dead: Sequence[Attachment]) -> None:
        """Release those of these attachments that are dying still and were not made anew meanwhile."""

    def read(self, question: Callable[[Register], T]) -> T:
        """Ask the ledger."""
