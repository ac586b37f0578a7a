"""What a store knows of a thread: its place in lists, and pages of its turns."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from trio_agent._log.log import PAGE_BYTES
from trio_agent._log.thread import ThreadInfo, Turn, first_turns


def thread(name: str = "t", **changes: Any) -> ThreadInfo:
    plain = ThreadInfo(
        thread=name, owner="me", head=None, active=None, turns=0, size=0, updated_at=7
    )
    return attrs.evolve(plain, **changes)


def test_the_place_of_a_thread_is_its_last_use_and_then_its_name() -> None:
    threads = [thread("b"), thread("a", updated_at=8), thread("a"), thread("ü"), thread("Z")]
    threads.sort(key=lambda info: info.cursor, reverse=True)
    assert [info.cursor for info in threads] == [(8, "a"), (7, "ü"), (7, "b"), (7, "a"), (7, "Z")]


@pytest.mark.parametrize(
    ("sizes", "limit", "number"),
    [
        ([], 5, 0),
        ([100] * 5, 3, 3),
        ([100] * 5, 9, 5),
        ([0] * 5, 9, 5),
        ([PAGE_BYTES, 0, 0], 9, 3),
        ([PAGE_BYTES, 0, 1, 0], 9, 2),
        ([2 * PAGE_BYTES, 0], 9, 1),
        ([100, PAGE_BYTES], 9, 1),
        ([PAGE_BYTES // 2] * 3, 9, 2),
        ([PAGE_BYTES // 2] * 3, 1, 1),
    ],
)
def test_a_page_ends_where_it_would_be_too_big(sizes: list[int], limit: int, number: int) -> None:
    turns = [Turn(str(n), None, bytes(size)) for n, size in enumerate(sizes)]
    asked: list[Turn] = []

    def each() -> Iterator[Turn]:
        for turn in turns:
            asked.append(turn)
            yield turn

    assert first_turns(each(), limit) == turns[:number]
    assert len(asked) <= number + 1


@pytest.mark.parametrize(("value", "field"), [(thread(), "head"), (Turn("a", None, b""), "data")])
def test_what_is_known_is_immutable(value: Any, field: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, getattr(value, field))
