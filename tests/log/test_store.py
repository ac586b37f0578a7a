"""What a store is without an implementation: its abstract methods, its defaults, its values."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from trio_agent._log.log import PAGE_BYTES
from trio_agent._log.store import Created, Lease, Page, Store, Watch, first_privates

ACTS = {
    *("create", "append", "read", "read_private", "read_blob", "info", "find"),
    *("claim", "renew", "release", "renew_epoch", "park", "deliver", "inbox", "orphans"),
    *("request_cancel", "set_viewers", "watch", "delete", "expire"),
    *("thread", "threads", "turns", "delete_thread"),
}


def bare(base: type[Any]) -> Any:
    """Make an instance that has nothing but what the base class gives it."""
    return type("Bare", (base,), dict.fromkeys(base.__abstractmethods__))()


@pytest.mark.parametrize(
    ("base", "names"), [(Store, ACTS), (Watch, {"add", "discard", "receive", "aclose"})]
)
def test_what_must_be_implemented(base: type[Any], names: set[str]) -> None:
    assert base.__abstractmethods__ == names
    for name in names:
        almost = type("Almost", (base,), dict.fromkeys(names - {name}))
        with pytest.raises(TypeError, match=rf"abstract method '?{name}\b"):
            almost()


async def test_a_store_is_open_for_one_server_and_does_io_by_default() -> None:
    store: Store = bare(Store)
    assert store.lease == 10.0
    assert store.shared is False
    assert store.durable is False
    for _ in range(2):
        async with store.open() as opened:
            assert opened is None
    with pytest.raises(trio.WouldBlock):
        store.append_nowait([])


def test_ids_are_random_and_of_one_part_by_default() -> None:
    store: Store = bare(Store)
    made = {store.new_run_id("me", thread) for thread in (None, "t", "t") for _ in range(20)}
    assert len(made) == 60
    for run_id in made:
        assert len(bytes.fromhex(run_id)) == 16
    assert store.partition(made.pop()) is None


async def test_nothing_is_looked_at_by_default() -> None:
    store: Store = bare(Store)
    with trio.testing.assert_checkpoints():
        await store.check()


@pytest.mark.parametrize(
    ("sizes", "number"),
    [
        ([], 0),
        ([0] * 5, 5),
        ([PAGE_BYTES, 0, 0], 3),
        ([PAGE_BYTES, 0, 1, 0], 2),
        ([2 * PAGE_BYTES, 0], 1),
        ([0, 2 * PAGE_BYTES], 1),
        ([PAGE_BYTES // 2] * 3, 2),
    ],
)
def test_private_bytes_end_where_they_would_be_too_many(sizes: list[int], number: int) -> None:
    privates = [bytes(size) for size in sizes]
    asked: list[int] = []

    def each() -> Iterator[bytes]:
        for private in privates:
            asked.append(len(private))
            yield private

    assert first_privates(each()) == privates[:number]
    assert len(asked) <= number + 1


def test_a_lease_is_its_run_and_its_fence() -> None:
    """Who compares leases need not know how the run was let go."""
    assert not Lease("a", 1).handed_over
    assert Lease("a", 1) == Lease("a", 1, handed_over=True)
    assert len({Lease("a", 1), Lease("a", 1, handed_over=True)}) == 1
    assert Lease("a", 1) != Lease("a", 2)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (Lease("a", 1), "fence"),
        (Created("a", None), "lease"),
        (Page([], 0, closed=False), "closed"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_a_store_returns_is_immutable(value: Any, field: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, getattr(value, field))
