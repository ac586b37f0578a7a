"""What a store returns at once: as much as fits into a page, and one thing at least."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

from .log import PAGE_BYTES

_T = TypeVar("_T")


def first_fitting(
    items: Iterable[_T], size_of: Callable[[_T], int], limit: int | None = None
) -> list[_T]:
    """Return the first of these: at most `limit`, and as many as `PAGE_BYTES` has room for."""
    found: list[_T] = []
    size = 0
    for item in islice(items, limit):
        size += size_of(item)
        if size > PAGE_BYTES and found:
            break
        found.append(item)
    return found
