"""What is told to a run from outside: its bounds, and its pages."""

from collections.abc import Iterator

import attrs
import pytest

from trio_agent._errors import LimitExceeded
from trio_agent._log.inbox import (
    INBOX_BYTES,
    INBOX_ITEMS,
    Delivery,
    check_inbox,
    first_deliveries,
)
from trio_agent._log.log import PAGE_BYTES


@pytest.mark.parametrize(
    ("items", "size", "more"),
    [
        (0, 0, 0),
        (0, 0, INBOX_BYTES),
        (INBOX_ITEMS - 1, INBOX_BYTES - 5, 5),
        (16, INBOX_BYTES, 0),
    ],
)
def test_there_is_room_up_to_the_bounds(items: int, size: int, more: int) -> None:
    check_inbox(items, size, bytes(more))


@pytest.mark.parametrize(
    ("items", "size", "more"),
    [
        (INBOX_ITEMS, 0, 0),
        (0, INBOX_BYTES, 1),
        (0, 0, INBOX_BYTES + 1),
        (INBOX_ITEMS - 1, INBOX_BYTES - 5, 6),
    ],
)
def test_there_is_no_room_behind_the_bounds(items: int, size: int, more: int) -> None:
    bounds = f"{INBOX_ITEMS} messages and answers, of {INBOX_BYTES} bytes"
    with pytest.raises(LimitExceeded, match=bounds):
        check_inbox(items, size, bytes(more))


@pytest.mark.parametrize(
    ("sizes", "limit", "number"),
    [
        ([], 5, 0),
        ([0] * 5, 0, 0),
        ([100] * 5, 3, 3),
        ([100] * 5, 9, 5),
        ([PAGE_BYTES, 0, 1, 0], 9, 2),
        ([2 * PAGE_BYTES, 0], 9, 1),
        ([0, 2 * PAGE_BYTES], 9, 1),
        ([PAGE_BYTES // 2] * 3, 9, 2),
    ],
)
def test_a_page_ends_where_it_would_be_too_big(sizes: list[int], limit: int, number: int) -> None:
    deliveries = [Delivery(n, str(n), bytes(size)) for n, size in enumerate(sizes, 1)]
    asked: list[int] = []

    def each() -> Iterator[Delivery]:
        for delivery in deliveries:
            asked.append(delivery.number)
            yield delivery

    assert first_deliveries(each(), limit) == deliveries[:number]
    assert len(asked) <= number + 1


def test_what_was_delivered_is_immutable() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Delivery(1, "k", b"").key = "other"  # type: ignore[misc]
