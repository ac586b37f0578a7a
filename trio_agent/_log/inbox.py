"""What is told to a run from outside: answers and messages, in the order in which they came.

Each has a key, and is taken once: of several with one key the first wins. Nothing is removed from
an inbox before its run.
"""

import enum
from collections.abc import Iterable, Sequence
from typing import Final

import attrs

from .._errors import LimitExceeded
from .fitting import first_fitting

INBOX_ITEMS: Final = 10_000
"""Deliveries that a run takes in its life."""

INBOX_BYTES: Final = 16 << 20
"""Bytes of them, all together."""


@attrs.frozen
class Delivery:
    """One of them, as it lies in the inbox."""

    number: int
    """Counted from 1, without a gap."""
    key: str
    data: bytes


class Delivered(enum.Enum):
    """What came of a delivery. Only `DELIVERED` changed anything, or found it done before."""

    DELIVERED = "delivered"
    """It is in the inbox; to deliver the same again is a success, also when the log is closed."""
    TAKEN = "taken"
    """Something else was delivered under this key."""
    CLOSED = "closed"
    """The log has its terminal event."""


def check_inbox(items: int, size: int, data: bytes) -> None:
    """See that there is room for a delivery.

    Args:
        items: deliveries in the inbox.
        size: their bytes.
        data: what is to be delivered.

    Raises:
        LimitExceeded: there is none.
    """
    if items >= INBOX_ITEMS or size + len(data) > INBOX_BYTES:
        raise LimitExceeded(
            f"a run takes at most {INBOX_ITEMS} messages and answers, of {INBOX_BYTES} bytes"
        )


def first_deliveries(deliveries: Iterable[Delivery], limit: int) -> Sequence[Delivery]:
    """Return the first of these, as many as `Store.inbox` returns at once."""
    return first_fitting(deliveries, lambda delivery: len(delivery.data), limit)
