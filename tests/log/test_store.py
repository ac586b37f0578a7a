"""What a store is without an implementation: its abstract methods, its defaults, its values."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from store_kit import finish, record

from trio_agent._errors import KeyReused
from trio_agent._log.log import PAGE_BYTES, Entry
from trio_agent._log.run_info import RunInfo, RunRecord, first_runs
from trio_agent._log.store import Created, Lease, Page, Store, Watch, first_privates

ACTS = {
    *("create", "append", "read", "read_private", "read_blob", "info", "find"),
    *("claim", "renew", "release", "renew_epoch", "park", "deliver", "inbox", "orphans"),
    *("request_cancel", "set_viewers", "watch", "delete", "expire"),
}


def bare(base: type[Any]) -> Any:
    """Make an instance that has nothing but what the base class gives it."""
    return type("Bare", (base,), dict.fromkeys(base.__abstractmethods__))()


def info(**changes: Any) -> RunInfo:
    plain = RunInfo(
        record=record("a"),
        tail=0,
        size=0,
        last=None,
        fence=1,
        leased=True,
        cancel_reason=None,
        viewers=0,
    )
    return attrs.evolve(plain, **changes)


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


async def test_nothing_is_looked_at_by_default() -> None:
    store: Store = bare(Store)
    with trio.testing.assert_checkpoints():
        await store.check()


def test_the_size_of_a_record_is_what_is_kept_of_it() -> None:
    assert record("a").size == len("{}")
    assert record("a", private=b"x" * 7, metadata={"ü": [1]}).size == 7 + len('{"ü":[1]}'.encode())
    assert record("a", blobs={"f0": b"x" * 7, "f1": b"yz"}).size == 7 + 2 + len("{}")


def test_what_is_told_of_a_record_is_not_private() -> None:
    full = record("a", owner="me", private=b"secret", blobs={"f0": b"secret"}, digest="d")
    assert full.told() == record("a", owner="me", digest="d")
    for shown in (repr(full), repr(full.told())):
        assert "secret" not in shown


def big(run_id: str, size: int) -> RunInfo:
    """With so many bytes in a list, half of them of its terminal event."""
    last = Entry(1, b"x" * (size // 2), terminal=True)
    metadata = {"n": "x" * (size - size // 2 - len('{"n":""}'))}
    return info(record=record(run_id, metadata=metadata), last=last)


@pytest.mark.parametrize(
    ("sizes", "limit", "number"),
    [
        ([], 5, 0),
        ([100] * 5, 3, 3),
        ([100] * 5, 9, 5),
        ([PAGE_BYTES, 100], 9, 1),
        ([2 * PAGE_BYTES, 100], 9, 1),
        ([100, PAGE_BYTES], 9, 1),
        ([PAGE_BYTES // 2] * 3, 9, 2),
    ],
)
def test_a_list_ends_where_it_would_be_too_big(sizes: list[int], limit: int, number: int) -> None:
    infos = [big(str(n), size) for n, size in enumerate(sizes)]
    asked: list[str] = []

    def each() -> Iterator[RunInfo]:
        for one in infos:
            asked.append(one.record.run_id)
            yield one

    found = first_runs(each(), limit)
    assert [one.record.run_id for one in found] == [str(n) for n in range(number)]
    assert len(asked) <= number + 1


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


def test_what_is_told_of_a_run_by_default() -> None:
    assert (info().parked, info().delivered, info().torn) == (False, 0, False)


def test_a_lease_is_its_run_and_its_fence() -> None:
    """Who compares leases need not know how the run was let go."""
    assert not Lease("a", 1).handed_over
    assert Lease("a", 1) == Lease("a", 1, handed_over=True)
    assert len({Lease("a", 1), Lease("a", 1, handed_over=True)}) == 1
    assert Lease("a", 1) != Lease("a", 2)


def test_a_run_is_active_until_its_terminal_event() -> None:
    assert info().active
    assert info(leased=False, cancel_reason="why").active
    [last] = finish("a", 1).entries
    assert not info(tail=1, last=last, leased=False).active


def test_a_record_has_no_owner_and_nothing_private_by_default() -> None:
    plain = RunRecord(run_id="r", epoch="e", agent="a", created_at=0)
    assert (plain.owner, plain.metadata, plain.idempotency_key) == (None, {}, None)
    assert (plain.private, plain.blobs, plain.digest) == (b"", {}, "")
    other = RunRecord(run_id="r", epoch="e", agent="a", created_at=0)
    assert plain == other
    assert plain.metadata is not other.metadata


@pytest.mark.parametrize("known", ["", "1", "2"])
@pytest.mark.parametrize("asked", ["", "1", "2"])
def test_a_key_is_not_for_another_request(known: str, asked: str) -> None:
    if {known, asked} == {"1", "2"}:
        with pytest.raises(KeyReused, match="take a new one"):
            record("a", digest=asked).check_repeats(known)
    else:
        record("a", digest=asked).check_repeats(known)


@pytest.mark.parametrize(
    ("value", "field"),
    [
        (record("a"), "epoch"),
        (info(), "tail"),
        (Lease("a", 1), "fence"),
        (Created("a", None), "lease"),
        (Page([], 0, closed=False), "closed"),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)
def test_what_a_store_returns_is_immutable(value: Any, field: str) -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        setattr(value, field, getattr(value, field))
