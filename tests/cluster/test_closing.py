"""Closing the log of a run whose worker is gone."""

import time
from unittest.mock import ANY

import pytest
from runtime_kit import logged
from shared_kit import orphan
from store_kit import finished, record

from trio_agent._cluster.closing import close_log
from trio_agent._errors import LogDamaged, StoreUnavailable
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    RunError,
    StepFinish,
    TextDelta,
    ToolCall,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.run_info import RunInfo
from trio_agent._log.store import Lease, Page
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore


async def test_a_removed_run_has_nothing_to_close() -> None:
    store = MemoryStore()
    assert await close_log(store, Lease("nope", 1), "x", "y") is Appended.UNKNOWN


async def test_closed_by_the_holder_only() -> None:
    store = MemoryStore()
    old = await orphan(store)
    lease = await store.claim("r")
    assert lease is not None
    assert await close_log(store, old, "x", "y") is Appended.FENCED
    assert await close_log(store, lease, "x", "y") is Appended.COMMITTED
    last = (await store.info("r")).last
    assert last is not None
    assert isinstance(last.event, RunError)
    assert await close_log(store, lease, "x", "y") is Appended.CLOSED


FIRST, SECOND = ToolRequest("1", "pay", {"amount": 7}), ToolRequest("2", "look", {})


def outcome(call: ToolRequest) -> ToolResult:
    return ToolResult(at=0, tool=ToolOutcome(call.id, call.name, call.input, "ok", "ok"))


def asked(call: ToolRequest) -> ToolCall:
    return ToolCall(at=0, tool=call)


@pytest.mark.parametrize(
    ("events", "unknown"),
    [
        ([], []),
        ([TextDelta(at=0, delta="a")], []),
        ([asked(FIRST)], [FIRST]),
        ([asked(FIRST), asked(SECOND)], [FIRST, SECOND]),
        ([asked(FIRST), asked(SECOND), outcome(FIRST)], [SECOND]),
        ([asked(FIRST), outcome(FIRST), StepFinish(at=0, step_number=1, usage=Usage())], []),
    ],
)
async def test_each_open_call_gets_a_result_and_the_log_its_end(
    events: list[AnyEvent], unknown: list[ToolRequest]
) -> None:
    store = FaultyStore(MemoryStore())
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    if events:
        await store.append([Append("r", 1, [Entry.of(n, e) for n, e in enumerate(events, 1)])])
    store.calls.clear()
    before = time.time_ns() // 1_000_000
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    # All in one act: nobody sees a log that is half closed.
    assert store.calls["append"] == 1
    *results, last = (await logged(store, "r"))[len(events) :]
    assert isinstance(last, RunError)
    assert last.error == ErrorDetail("odd", "it is gone")
    assert [event.tool for event in results if isinstance(event, ToolResult)] == [
        ToolOutcome(
            call.id,
            call.name,
            call.input,
            "the worker was lost during this call: its outcome is unknown",
            "unknown",
        )
        for call in unknown
    ]
    assert len(results) == len(unknown)
    assert all(before <= event.at <= time.time_ns() // 1_000_000 for event in (*results, last))


def answered(step: int, tokens: int) -> ModelFinished:
    usage = Usage(0, tokens, tokens)
    return ModelFinished(at=0, step_number=step, model="m", reason="stop", usage=usage)


def step(number: int, tokens: int) -> StepFinish:
    return StepFinish(at=0, step_number=number, usage=Usage(0, tokens, tokens))


@pytest.mark.parametrize(
    ("events", "tokens"),
    [
        ([], 0),
        ([answered(1, 5)], 5),
        ([answered(1, 5), step(1, 5), answered(2, 7)], 12),
        ([step(1, 5), step(2, 7)], 12),  # as schema 1 has it
    ],
)
async def test_the_end_tells_what_was_paid(events: list[AnyEvent], tokens: int) -> None:
    store = MemoryStore()
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    if events:
        await store.append([Append("r", 1, [Entry.of(n, e) for n, e in enumerate(events, 1)])])
    await close_log(store, lease, "odd", "it is gone")
    last = (await logged(store, "r"))[-1]
    assert isinstance(last, RunError)
    assert last.usage == Usage(0, tokens, tokens)


@pytest.mark.parametrize("data", [b"", b"{", b'{"type":"tool-call"}', b'{"type":"tomorrow"}'])
@pytest.mark.parametrize("place", [1, 2, 3, 4])
async def test_what_cannot_be_read_is_passed_over(data: bytes, place: int) -> None:
    store = MemoryStore()
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    events = [asked(FIRST), outcome(FIRST), asked(SECOND)]
    written = [Entry(n, Entry.of(n, event).data, False) for n, event in enumerate(events, 1)]
    written.insert(place - 1, Entry(place, data, False))
    entries = [Entry(n, entry.data, False) for n, entry in enumerate(written, 1)]
    await store.append([Append("r", 1, entries)])
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    last = (await store.info("r")).last
    assert last is not None
    assert last.event == RunError(at=ANY, error=ErrorDetail("odd", "it is gone"))
    [*_, result, _] = (await store.read("r", 0, 10)).entries
    assert isinstance(result.event, ToolResult)
    assert (result.event.tool.id, result.event.tool.status) == ("2", "unknown")


async def test_a_log_with_a_hole_gets_an_end_and_nothing_else() -> None:
    class Holed(MemoryStore):
        async def read(self, run_id: str, after: int, limit: int) -> Page:
            page = await super().read(run_id, after, min(limit, 1))
            if after == 1:
                raise LogDamaged("a hole")
            return page

    store = Holed()
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    entries = [Entry.of(n, event) for n, event in enumerate([asked(FIRST), outcome(FIRST)], 1)]
    await store.append([Append("r", 1, entries)])
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    info = await store.info("r")
    assert info.tail == 3
    assert not info.active


async def test_a_log_of_which_nothing_is_known_is_left() -> None:
    class Lost(MemoryStore):
        async def read(self, run_id: str, after: int, limit: int) -> Page:
            raise LogDamaged("a hole")

        async def info(self, run_id: str) -> RunInfo:
            raise LogDamaged("a hole")

    store = Lost()
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    assert await close_log(store, lease, "odd", "it is gone") is Appended.UNKNOWN


@pytest.mark.parametrize("operation", ["read", "append"])
async def test_a_store_that_is_away(operation: str) -> None:
    store = FaultyStore(MemoryStore())
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    store.away.add(operation)
    with pytest.raises(StoreUnavailable):
        await close_log(store, lease, "x", "y")
    assert (await store.info("r")).active


async def test_a_run_that_was_removed_has_nothing_to_close() -> None:
    store = MemoryStore()
    await finished(store, "r")
    await store.delete("r")
    assert await close_log(store, Lease("r", 1), "x", "y") is Appended.UNKNOWN
