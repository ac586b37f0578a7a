"""What is returned at once is no more than a page, and at least one thing."""

import pytest

from trio_agent._log.fitting import first_fitting
from trio_agent._log.log import PAGE_BYTES


@pytest.mark.parametrize(
    ("sizes", "limit", "count"),
    [
        ([], None, 0),
        ([1, 2], None, 2),
        ([1, 2], 1, 1),
        ([1, 2], 0, 0),
        ([PAGE_BYTES], None, 1),
        ([PAGE_BYTES + 1], None, 1),
        ([PAGE_BYTES + 1, 0], None, 1),
        ([1, PAGE_BYTES - 1, 0, 1], None, 3),
        ([1, PAGE_BYTES, 0], None, 1),
    ],
)
def test_how_many(sizes: list[int], limit: int | None, count: int) -> None:
    assert first_fitting(sizes, int, limit) == sizes[:count]


def test_no_more_is_read_than_one_that_does_not_fit() -> None:
    items = iter([PAGE_BYTES, 1, 2])
    assert first_fitting(items, int) == [PAGE_BYTES]
    assert list(items) == [2]
