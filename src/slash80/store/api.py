"""The store as others see it; `sqlite` implements it, and tests have one in memory with the same contract."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, TypeVar

from slash80.addressing.attachment import Assignment, Attachment, Key
from slash80.addressing.choose import Ledger
from slash80.addressing.family import Address, Prefix
from slash80.errors import IoFailure

T = TypeVar("T")


class Register(Ledger, Protocol):
    """The ledger, and which prefixes each network has: `now` is the boottime in seconds."""

    def note(self, network: str, prefixes: Sequence[Prefix], now: float) -> bool:
        """Remember which prefixes a network has; return whether it had others before, or had no prefixes yet."""

    def refresh(self, networks: Collection[str], now: float) -> None:
        """Remember these networks, named as attachments name them, for longer."""

    def networks(self, now: float) -> dict[str, tuple[Prefix, ...]]:
        """Return the prefixes of the networks that were noted within the last hour."""

    def holds(self, prefix: Prefix) -> bool:
        """Report whether an address of a prefix is held."""

    def early_reuses(self) -> int:
        """Return how often an address was handed out before its preferred rest was over, since the node's boot."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """An open transaction in which addresses are chosen for an attachment.

    `known` are the container's attachments on record, this one's too; `secret` is the node's. `opened` gives all
    attachments that have openings and are not terminating. `hold` records the attachment with its addresses and returns
    it. A transaction that ends without `hold`, or by an exception, changes nothing.
    """

    register: Register
    secret: bytes
    known: Sequence[Attachment]
    opened: Callable[[], Sequence[Attachment]]
    hold: Callable[[Assignment], Attachment]


class StoreReopened(IoFailure):
    """The file was damaged or replaced under an open connection; it was opened again, so the caller may retry."""


class Store(Protocol):
    """Attachments by key, and addresses that are held by one of them each. Every method is one transaction."""

    def get(self, host_ifname: str) -> Attachment | None:
        """Return the attachment with that host end, or None."""

    def attachments(self, of: Key | None = None) -> list[Attachment]:
        """Return all attachments, oldest first; or the key's own and those of the same container."""

    def reservation(self, draft: Attachment) -> AbstractContextManager[Reservation]:
        """Open the transaction in which addresses are chosen for `draft` and recorded with it.

        Raises TryAgain when a newer slash80 has changed the schema, StoreReopened when a retry will do.
        """

    def keep(self, attachment: Attachment) -> None:
        """Keep an attachment as it is, and its addresses as held by it, whatever was remembered of either before."""

    def release(self, host_ifname: str, *, rest: bool = True) -> None:
        """Forget an attachment; unknown ones are no error.

        Its addresses rest from now on; without `rest`, for one that never came to be, they are as they were before.
        """

    def held(self, by: Sequence[Attachment]) -> list[Address]:
        """Return the addresses that these attachments hold, except of those that were added again meanwhile."""

    def terminating(self) -> list[Attachment]:
        """Return the attachments that are terminating, oldest first."""

    def mark_terminating(self, host_ifname: str) -> Attachment | None:
        """Mark an attachment as terminating, and return it if it has openings.

        It keeps its addresses, and unknown ones are no error.
        """

    def allow_expose(self, changed: Sequence[Attachment]) -> None:
        """Keep of attachments which openings they have, except of those that were added again meanwhile."""

    def forget(self, dead: Sequence[Attachment]) -> None:
        """Release those of these attachments that are still terminating and were not added again meanwhile."""

    def read(self, question: Callable[[Register], T]) -> T:
        """Ask the ledger."""
