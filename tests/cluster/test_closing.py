"""Closing the log of a run whose worker is gone."""

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from unittest.mock import ANY

import attrs
import msgspec
import pytest
from log_kit import check_log, nested
from record_kit import made
from runtime_kit import logged
from shared_kit import orphan
from store_kit import finished, record
from thread_kit import add_turn, all_turns

from trio_agent._cluster.closing import cancel_log, close_log
from trio_agent._content import File, Text
from trio_agent._errors import LogDamaged, StoreUnavailable
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    ModelFinished,
    Nested,
    OutputRetry,
    RunContinued,
    RunError,
    RunFinish,
    RunStart,
    RunWaiting,
    StepDiscard,
    StepFinish,
    StepStart,
    TextDelta,
    ToolAnswered,
    ToolAsked,
    ToolCall,
    ToolInputDelta,
    ToolName,
    ToolOutcome,
    ToolRequest,
    ToolResult,
    Usage,
)
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.run_info import RunInfo
from trio_agent._log.store import Lease, Page, Store
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    ToolMessage,
    UserMessage,
    unpaired_calls,
)
from trio_agent._run.branch import Branch
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
            "nobody waited for the end of this call: its outcome is unknown",
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


NOT_UTF8 = b'{"type":"text-delta","at":0,"delta":"\xff"}'
NO_CALL = b'{"type":"tool-call"}'


async def written(*data: bytes) -> tuple[MemoryStore, Lease]:
    """A store with a run of these events, and its lease."""
    store = MemoryStore()
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    entries = [Entry(n, each, False) for n, each in enumerate(data, 1)]
    await store.append([Append("r", 1, entries)])
    return store, lease


def with_one_more(place: int, data: bytes) -> list[bytes]:
    """A log with a call that is open, and these bytes in it."""
    events = [asked(FIRST), outcome(FIRST), asked(SECOND)]
    log = [Entry.of(n, event).data for n, event in enumerate(events, 1)]
    log.insert(place, data)
    return log


@pytest.mark.parametrize("data", [b"", b"{", b"[]", NOT_UTF8, NO_CALL, b'{"type":"tool-call"'])
@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_a_log_that_can_not_be_read_gets_an_end(data: bytes, place: int) -> None:
    """But no results: those of its calls may be where nobody can read them."""
    store, lease = await written(*with_one_more(place, data))
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    info = await store.info("r")
    assert info.tail == 5
    assert info.last is not None
    assert info.last.event == RunError(at=ANY, error=ErrorDetail("odd", "it is gone"))


@pytest.mark.parametrize("data", [b"{", NO_CALL])
async def test_a_log_that_can_not_be_read_is_cancelled_with_an_error(data: bytes) -> None:
    store, lease = await written(*with_one_more(1, data))
    assert await cancel_log(store, lease, "enough") is Appended.COMMITTED
    last = (await store.info("r")).last
    assert last is not None
    assert last.event == RunError(at=ANY, error=ErrorDetail("cancelled", "enough"))


@pytest.mark.parametrize("place", [0, 1, 2, 3])
async def test_what_a_newer_version_wrote_is_passed_over(place: int) -> None:
    store, lease = await written(*with_one_more(place, b'{"type":"tomorrow"}'))
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    [result, last] = (await store.read("r", 4, 10)).entries
    assert isinstance(result.event, ToolResult)
    assert (result.event.tool.id, result.event.tool.status) == ("2", "unknown")
    assert last.event == RunError(at=ANY, error=ErrorDetail("odd", "it is gone"))


STRANGE: list[list[AnyEvent]] = [
    [outcome(FIRST)],
    [StepFinish(at=0, step_number=1, usage=Usage())],
    [asked(FIRST), StepFinish(at=0, step_number=1, usage=Usage())],
    [asked(FIRST), asked(FIRST)],
    [StepDiscard(at=0, step_number=7, from_offset=9, reason="x")],
    [OutputRetry(at=0, message="x")],
    [ToolAnswered(at=0, tool=ToolName("1", "pay"), approved=True)],
    [RunWaiting(at=0, calls=("1",))],
    [RunContinued(at=0, reason="worker-lost")],
    nested("nobody", asked(FIRST), StepFinish(at=0, step_number=1, usage=Usage())),
    [Nested(at=0, call="1", raw=msgspec.Raw(b'{"type":"tool-call"}'))],
]


@pytest.mark.parametrize("events", STRANGE)
@pytest.mark.parametrize("close", [close_log, cancel_log])
async def test_a_log_that_makes_no_sense_gets_an_end(
    events: list[AnyEvent], close: Callable[..., Awaitable[Appended]]
) -> None:
    """Whoever wrote it: nobody may wait for ever."""
    store, lease = await written(*(Entry.of(1, event).data for event in events))
    why = ("odd", "it is gone") if close is close_log else ("enough",)
    assert await close(store, lease, *why) is Appended.COMMITTED
    assert not (await store.info("r")).active


async def test_what_is_damaged_beside_an_answer_does_not_keep_a_log_open() -> None:
    store = MemoryStore()
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    await store.append([Append("r", 1, [Entry.of(1, answered(1, 5))], {1: b"no JSON"})])
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    assert not (await store.info("r")).active


async def waiting() -> tuple[MemoryStore, Lease]:
    """A run with a call that waits, and one that may have run."""
    return await written(
        *(
            Entry.of(1, event).data
            for event in (
                RunStart(at=0, run_id="r", agent="a"),
                StepStart(at=0, step_number=1),
                ModelFinished(
                    at=0, step_number=1, model="m", reason="tool-calls", usage=Usage(1, 2, 3)
                ),
                asked(FIRST),
                ToolCall(at=0, tool=SECOND, wants="approval"),
                ToolAsked(at=0, tool=SECOND, kind="approval", deadline=None),
            )
        )
    )


async def test_a_call_that_waits_has_not_run() -> None:
    store, lease = await waiting()
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED
    *_, first, second, last = await logged(store, "r")
    check_log(await logged(store, "r"))
    assert isinstance(first, ToolResult)
    assert isinstance(second, ToolResult)
    assert (first.tool.id, first.tool.status) == ("1", "unknown")
    assert (second.tool.id, second.tool.status) == ("2", "cancelled")
    assert isinstance(last, RunError)


async def test_a_cancelled_run_ends_as_one_that_lives() -> None:
    store, lease = await waiting()
    assert await cancel_log(store, lease, "enough") is Appended.COMMITTED
    *_, first, second, last = await logged(store, "r")
    assert isinstance(first, ToolResult)
    assert isinstance(second, ToolResult)
    assert (first.tool.status, second.tool.status) == ("unknown", "cancelled")
    assert isinstance(last, RunFinish)
    assert (last.run.finish_reason, last.run.reason) == ("cancelled", "enough")
    assert last.run.usage == Usage(1, 2, 3)


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


HI = UserMessage("hi")
BEGAN: list[AnyEvent] = [
    RunStart(at=0, run_id="r", agent="a", thread="t"),
    StepStart(at=0, step_number=1),
]
SPOKE: list[AnyEvent] = [*BEGAN, TextDelta(at=0, delta="a")]
CALLED: list[AnyEvent] = [*SPOKE, answered(1, 5), asked(FIRST)]
TOLD = "nobody waited for the end of this call: its outcome is unknown"


async def in_thread(
    *events: AnyEvent, said: Sequence[AnyMessage] = (HI,), **more: Any
) -> tuple[MemoryStore, Lease]:
    """A run behind another one, with these events."""
    store = MemoryStore()
    await add_turn(store, "0", UserMessage("before"))
    given = {"run_id": "r", "branch": Branch("t"), **more}
    made_record = attrs.evolve(made(None, *said, **given), follows="0", head="0")
    lease = (await store.create(made_record)).lease
    assert lease is not None
    if events:
        entries = [Entry.of(n, event) for n, event in enumerate(events, 1)]
        await store.append([Append("r", 1, entries)])
    return store, lease


async def close_as_lost(store: Store, lease: Lease) -> None:
    assert await close_log(store, lease, "odd", "it is gone") is Appended.COMMITTED


async def cancel(store: Store, lease: Lease) -> None:
    assert await cancel_log(store, lease, "enough") is Appended.COMMITTED


@pytest.mark.parametrize("close", [close_as_lost, cancel])
@pytest.mark.parametrize(
    ("events", "adds"),
    [
        ([], ()),
        (BEGAN, ()),
        (SPOKE, (AssistantMessage("a"),)),
        ([*BEGAN, ToolInputDelta(at=0, tool=ToolName("1", "pay"), delta="{")], ()),
        ([*SPOKE, StepDiscard(at=0, step_number=1, from_offset=2, reason="x")], ()),
        (CALLED, (AssistantMessage("a", (FIRST,)), ToolMessage("1", TOLD, "unknown"))),
        (
            [*CALLED, outcome(FIRST), step(1, 5), StepStart(at=0, step_number=2)],
            (AssistantMessage("a", (FIRST,)), ToolMessage("1", "ok")),
        ),
    ],
)
async def test_what_a_run_adds_that_nobody_goes_on_with(
    events: list[AnyEvent],
    adds: tuple[AnyMessage, ...],
    close: Callable[[Store, Lease], Awaitable[None]],
) -> None:
    """In the same act as its end: what it was given, and what came of it; all, or nothing."""
    store, lease = await in_thread(*events)
    counted = FaultyStore(store)
    await close(counted, lease)
    assert counted.calls["append"] == 1
    thread = await store.thread(None, "t")
    assert (thread.head, thread.active) == ("r" if adds else "0", None)
    turns = await all_turns(store)
    assert turns.get("r", ()) == ((HI, *adds) if adds else ())
    assert unpaired_calls(tuple(m for each in turns.values() for m in each)) is None
    # What was said before it was not read for that.
    assert counted.calls["turns"] == 0


@pytest.mark.parametrize("data", [b"", b"{", NO_CALL])
async def test_of_a_log_that_can_not_be_read_nothing_is_added(data: bytes) -> None:
    store, lease = await in_thread(*SPOKE)
    store._runs["r"].log.entries[1] = Entry(2, data, False)
    await close_as_lost(store, lease)
    thread = await store.thread(None, "t")
    assert (thread.head, thread.active, thread.turns) == ("0", None, 1)


async def test_a_record_that_is_damaged_has_a_note_in_its_place() -> None:
    store, lease = await in_thread(*SPOKE)
    store._runs["r"].log.private[0] = b"?"
    await close_as_lost(store, lease)
    lost = UserMessage("(what was said here can't be read any more)")
    assert (await all_turns(store))["r"] == (lost, AssistantMessage("a"))


async def test_files_are_in_what_it_adds() -> None:
    given = UserMessage((Text("what?"), File("a/b", data=b"x")))
    for lost in (False, True):
        store, lease = await in_thread(*SPOKE, said=[given])
        if lost:
            store._runs["r"].blobs.clear()
        await close_as_lost(store, lease)
        kept, _ = (await all_turns(store))["r"]
        note = UserMessage((Text("what?"), Text("(a file that is there no more)")))
        assert kept == (note if lost else given)


async def test_in_no_thread_what_it_was_given_is_not_read() -> None:
    store = FaultyStore(MemoryStore())
    lease = (await store.create(record("r"))).lease
    assert lease is not None
    await close_as_lost(store, lease)
    assert store.calls["read_private"] == 0
