"""Reserving as ADD does: once more when the store had to be opened again."""

from collections.abc import Callable, Sequence

from slash80.addressing.attachment import Assignment, Attachment
from slash80.store.api import Register, Store, StoreReopened

Choose = Callable[[Register, bytes, Sequence[Attachment]], Assignment]


def reserve(store: Store, draft: Attachment, choose: Choose) -> Attachment:
    """Record `draft` with the addresses that `choose` returns, given the register, the secret and what is known."""
    try:
        return _reserve(store, draft, choose)
    except StoreReopened:
        return _reserve(store, draft, choose)


def _reserve(store: Store, draft: Attachment, choose: Choose) -> Attachment:
    with store.reservation(draft) as reservation:
        return reservation.hold(choose(reservation.register, reservation.secret, reservation.known))
