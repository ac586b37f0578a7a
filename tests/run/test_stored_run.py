"""A run that is known from its store: it is waited for and cancelled from afar."""

import json

import attrs
import pytest
import trio
import trio.testing
from run_kit import stored_run
from runtime_kit import collect, endless, quick
from shared_kit import hang, look, quiet, shared
from store_kit import deltas, finish, record

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, ModelError, RunFailed, StoreUnavailable
from trio_agent._events import (
    AnyEvent,
    ErrorDetail,
    RunContinued,
    RunError,
    RunFinish,
    RunSummary,
    RunWaiting,
    ToolResult,
    Usage,
)
from trio_agent._log.feed import Feed
from trio_agent._log.log import Append, Entry
from trio_agent._messages import AssistantMessage, File, Text, UserMessage, unpaired_calls
from trio_agent._run.job import Order
from trio_agent._run.record import make_record
from trio_agent._run.result import Result
from trio_agent._run.run import Receipt
from trio_agent._run.stored_run import StoredRun
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.models._parts import ModelFinish
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, call


async def test_waiting_elsewhere_gives_the_same_result(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = ScriptedModel(["I ", call("1", "look", city="Oslo")], ["snow"])
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(Agent(model=model, tools=[look]), "hi")
        found = await b.find(run.id)
        results = []

        async def wait() -> None:
            results.append(await found.wait())

        nursery.start_soon(wait)
        nursery.start_soon(wait)
        own = await run.wait()
        assert len(own.messages) == 4
        results += [await (await b.find(run.id)).wait(), await found.wait()]
        await quiet()
        assert results == [own] * 4
        assert (await found.cancel()).outcome == "stop"
        assert s.doors[1].calls["request_cancel"] == 0


async def test_waiting_elsewhere_gives_what_is_kept_beside_the_log(
    autojump_clock: trio.testing.MockClock,
) -> None:
    kept = [ModelFinish(reason, provider={"p": reason}) for reason in ("tool-calls", "stop")]
    scripts = [[call("1", "look", city="Oslo"), kept[0]], ["snow", kept[1]]]
    said = UserMessage((Text("where?"), File("image/png", data=b"PNG")))
    async with shared() as s:
        a, b = s.runtimes
        agent = Agent(model=ScriptedModel(*scripts), tools=[look])
        run = await a.start(agent, messages=[said])
        own = await run.wait()
        assert own.messages[0] == said
        assert [m.provider for m in own.messages if isinstance(m, AssistantMessage)] == [
            {"p": "tool-calls"},
            {"p": "stop"},
        ]
        assert await (await b.find(run.id)).wait() == own


async def test_what_a_failed_run_leaves_is_the_same_elsewhere(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = [call("1", "look", city="Oslo"), ModelFinish("tool-calls", Usage(1, 2, 3))]
    model = ScriptedModel(first, ["Sn", ModelError("odd", "it broke")])
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(Agent(model=model, tools=[look]), "hi")
        failures: list[Result | None] = []
        for each in (run, await b.find(run.id)):
            with pytest.raises(RunFailed, match="odd: it broke") as caught:
                await each.wait()
            failures.append(caught.value.result)
        own, found = failures
        assert own is not None
        assert own == found
        assert (own.finish_reason, own.reason, own.steps) == ("error", "it broke", 2)
        assert (own.text, own.usage) == ("Sn", Usage(1, 2, 3))
        assert own.messages[-1] == AssistantMessage("Sn")
        assert unpaired_calls(own.messages) is None


async def test_waiting_elsewhere_for_a_failure(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel([trio.Event(), KeyError("bug")])), "hi")
        failed = await a.start(Agent(model=ScriptedModel([ValueError("bug")])), "hi")
        with pytest.raises(RunFailed, match="internal"):
            await (await b.find(failed.id)).wait()
        assert (await b.find(failed.id)).status == "error"
        await run.cancel()


@pytest.mark.parametrize("data", [b"{", b'{"type":"tomorrow","at":0}', b'{"type":"text-delta"}'])
async def test_an_end_that_cannot_be_read_is_an_error(data: bytes) -> None:
    store = MemoryStore()
    await store.create(record("r"))
    end = Append("r", 1, [Entry(2, data, terminal=True)])
    await store.append([deltas("r", 1), end])
    async with open_runtime(store=store) as runtime:
        found = await runtime.find("r")
        assert found.status == "error"
        with pytest.raises(RunFailed, match="log-damaged"):
            await found.wait()
        assert await found.cancel() == Receipt("error", 2)
        async with found.subscribe() as events:
            assert [type(event).__name__ async for event in events] == ["TextDelta", "RunError"]


async def test_a_failed_run_whose_file_is_lost_has_failed() -> None:
    store = MemoryStore()
    file = {"type": "file", "mediaType": "a/b", "blob": f"r/{'0' * 64}"}
    private = json.dumps({"messages": [{"role": "user", "content": [file]}]}).encode()
    await store.create(record("r", private=private))
    await store.append([error(1)])
    async with open_runtime(store=store) as runtime:
        with pytest.raises(RunFailed) as caught:
            await (await runtime.find("r")).wait()
        assert caught.value.result is None


async def test_a_reason_of_a_later_version_is_taken_as_it_is() -> None:
    store = MemoryStore()
    await store.create(record("r"))
    data = finish("r", 2).entries[0].data.replace(b'"stop"', b'"of-tomorrow"')
    end = Append("r", 1, [Entry(2, data, terminal=True)])
    await store.append([deltas("r", 1), end])
    async with open_runtime(store=store) as runtime:
        found = await runtime.find("r")
        assert found.status == (await found.wait()).finish_reason == "of-tomorrow"
        assert await found.cancel() == Receipt("of-tomorrow", 2)


async def test_cancelled_from_elsewhere(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s, trio.open_nursery() as nursery:
        a, b = s.runtimes
        run = await a.start(Agent(model=ScriptedModel([call("1", "hang")]), tools=[hang]), "hi")
        await quiet()
        found = await b.find(run.id)
        seen: list[AnyEvent] = []
        nursery.start_soon(collect, found.subscribe(), seen)
        found.request_cancel("first")
        receipt = await found.cancel("second")
        await quiet()
        [last] = [event for event in seen if event.terminal]
        assert isinstance(last, RunFinish)
        assert (last.run.finish_reason, last.run.reason) == ("cancelled", "first")
        assert receipt == Receipt("cancelled", len(seen))
        assert receipt == await run.cancel() == await found.cancel()
        assert [event.tool.status for event in seen if isinstance(event, ToolResult)] == [
            "cancelled"
        ]
        result = await found.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "first")


async def test_three_cancel_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with shared(3) as s, trio.open_nursery() as nursery:
        run = await s.runtimes[0].start(endless(), "hi")
        await quiet()
        receipts: list[Receipt] = []

        async def cancel(runtime: Runtime) -> None:
            receipts.append(await (await runtime.find(run.id)).cancel())

        for runtime in s.runtimes:
            nursery.start_soon(cancel, runtime)
        await run.wait()
        await quiet()
        assert receipts == [Receipt("cancelled", 4)] * 3


# With a feed of the test's own


@attrs.define
class Known:
    """A run in a store, and what is known of it here."""

    store: FaultyStore
    feed: Feed
    asked: list[tuple[str, str]] = attrs.field(factory=list)
    """Cancel requests."""

    async def look_up(self) -> StoredRun:
        info = await self.store.info("r")
        return stored_run(info, self.feed, self.store, lambda *asked: self.asked.append(asked))


async def known(*batch: Append, seen: int = 0) -> Known:
    store = MemoryStore()
    await store.create(record("r"))
    if batch:
        await store.append(batch)
    return Known(FaultyStore(store), Feed("r", "e", tail=seen))


def error(offset: int) -> Append:
    event = RunError(at=0, error=ErrorDetail("x", "it broke"))
    return Append("r", 1, [Entry.of(offset, event)])


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        ([], "active"),
        ([deltas("r", 1)], "active"),
        ([finish("r", 1)], "stop"),
        ([deltas("r", 1), error(2)], "error"),
    ],
)
async def test_its_status_is_what_the_store_said(batch: list[Append], status: str) -> None:
    run = await (await known(*batch)).look_up()
    assert run.status == status
    assert (run.id, run.agent, run.owner, run.metadata) == ("r", "a", None, {})


def waiting(offset: int) -> Entry:
    return Entry.of(offset, RunWaiting(at=0, calls=("1",)))


def continued(offset: int) -> Entry:
    return Entry.of(offset, RunContinued(at=0, reason="answered"))


async def test_its_status_follows_the_feed() -> None:
    k = await known()
    run = await k.look_up()
    k.feed.extend(deltas("r", 1).entries)
    assert (run.status, run.finished) == ("active", False)
    k.feed.extend(finish("r", 2).entries)
    assert (run.status, run.finished) == ("stop", True)


async def test_it_may_sleep_and_wake_and_sleep_again() -> None:
    k = await known(*[deltas("r", 1), Append("r", 1, [waiting(2)])])
    info = attrs.evolve(await k.store.info("r"), parked=True)
    k.feed.skip(2, closed=False)
    run = stored_run(info, k.feed, k.store)
    seen = [run.status]
    for entry in (continued(3), waiting(4), continued(5)):
        k.feed.extend([entry])
        seen.append(run.status)
    k.feed.extend(finish("r", 6).entries)
    assert [*seen, run.status] == ["waiting", "active", "waiting", "active", "stop"]


@pytest.mark.parametrize(("batch", "asked"), [([], 2), ([finish("r", 1)], 0)])
async def test_its_worker_is_asked_while_it_is_active(batch: list[Append], asked: int) -> None:
    k = await known(*batch)
    run = await k.look_up()
    run.request_cancel("first")
    run.request_cancel("second")
    assert k.asked == [("r", "first"), ("r", "second")][:asked]


async def test_waiting_uses_the_feed_and_makes_nobody_a_viewer() -> None:
    k = await known()
    run = await k.look_up()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.wait)
        nursery.start_soon(run.cancel)
        await trio.testing.wait_all_tasks_blocked()
        assert (k.feed.in_use, k.feed.viewers) == (True, 0)
        nursery.cancel_scope.cancel()
    assert not k.feed.in_use


@pytest.mark.parametrize("at_hand", [True, False])
async def test_the_end_is_taken_from_the_feed_or_else_from_the_store(at_hand: bool) -> None:
    batch = [deltas("r", 1, 2), finish("r", 3)]
    k = await known()
    run = await k.look_up()
    receipts: list[Receipt] = []
    async with trio.open_nursery() as nursery:

        async def cancel() -> None:
            receipts.append(await run.cancel())

        nursery.start_soon(cancel)
        await trio.testing.wait_all_tasks_blocked()
        await k.store.append(batch)
        if at_hand:
            for append in batch:
                k.feed.extend(append.entries)
        else:
            k.feed.skip(3, closed=True)
    assert receipts == [Receipt("stop", 3)]
    assert run.status == "stop"
    # Besides the two that look for calls whose outcome is unknown.
    assert k.store.calls["read"] - 2 == (0 if at_hand else 1)


async def test_a_feed_that_breaks_off() -> None:
    k = await known(deltas("r", 1))
    run, failure = await k.look_up(), CursorExpired("it was removed")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(CursorExpired) as caught:
                await run.wait()
            assert caught.value is failure

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        k.feed.break_off(failure)
    assert (run.status, k.feed.in_use) == ("active", False)


async def test_what_was_said_before_is_in_its_result() -> None:
    said = (UserMessage("hi"),)
    store = MemoryStore()
    made = make_record(Order(quick()), said)
    await store.create(made)
    await store.append([deltas(made.run_id, 1, 3), finish(made.run_id, 4)])
    feed = Feed(made.run_id, made.epoch, tail=4, closed=True)
    run = stored_run(await store.info(made.run_id), feed, store)
    with trio.testing.assert_checkpoints():
        result = await run.wait()
    assert result.messages == (*said, AssistantMessage("xxx"))
    assert (result.run_id, result.finish_reason) == (made.run_id, "stop")


async def test_its_answer_has_a_shape() -> None:
    store = MemoryStore()
    await store.create(record("r"))
    summary = RunSummary("r", "", 1, "stop", Usage(), output={"a": None})
    end = Entry.of(1, RunFinish(at=0, run=summary))
    await store.append([Append("r", 1, [end])])
    run = stored_run(await store.info("r"), Feed("r", "e", tail=1, closed=True), store)
    assert (await run.wait()).output == {"a": None}


async def test_waiting_is_a_checkpoint_when_all_is_known() -> None:
    k = await known()
    run = await k.look_up()
    k.feed.extend(finish("r", 1).entries)
    with trio.testing.assert_checkpoints():
        assert await run.cancel() == Receipt("stop", 1)


async def test_a_store_that_is_away_can_not_tell() -> None:
    k = await known()
    run = await k.look_up()
    await k.store.append([finish("r", 1)])
    k.feed.skip(1, closed=True)
    k.store.away.add("read")
    with pytest.raises(StoreUnavailable):
        await run.cancel()
    k.store.away.clear()
    assert await run.cancel() == Receipt("stop", 1)
