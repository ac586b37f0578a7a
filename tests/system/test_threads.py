"""However a run in a thread ends: what it adds, where the head is, and what the next one reads."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from thread_kit import add_turn, all_turns, asked, read_elsewhere, result_of, said, saying, turn
from wait_kit import LastingStore, asking, asleep, look, picking, told, unix_time

from trio_agent._errors import ModelError
from trio_agent._events import ToolCall, ToolRequest
from trio_agent._limits import Limits, RuntimeLimits
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Store
from trio_agent._log.thread import Turn
from trio_agent._messages import AnyMessage, AssistantMessage, ToolMessage, UserMessage
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.models._parts import ModelFinish, ReasoningPart
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, Line, StoreProxy, call, output
from trio_agent.tools._tool import tool

CUT = ModelError("cut-stream", "it broke off", retryable=True)
BAD = ModelError("bad-request", "no")


@tool
async def hang() -> str:
    """Never return."""
    await trio.sleep_forever()
    raise AssertionError


LOOK, HANG = call("1", "look"), call("1", "hang")
LOOKED = (
    AssistantMessage("", (ToolRequest("1", "look", {}),)),
    ToolMessage("1", "snow in Oslo"),
)


def hung(status: Any, content: str) -> tuple[AnyMessage, ...]:
    request = ToolRequest("1", "hang", {})
    return AssistantMessage("", (request,)), ToolMessage("1", content, status)


CANCELLED = hung("cancelled", "cancelled before it finished")


async def to_its_end(runtime: Runtime, run: Run) -> None:
    """Nobody does anything."""


async def cancel(runtime: Runtime, run: Run) -> None:
    await trio.testing.wait_all_tasks_blocked()
    await run.cancel()


async def cancel_at_once(runtime: Runtime, run: Run) -> None:
    await run.cancel()


async def drain(runtime: Runtime, run: Run) -> None:
    """Stop all that runs, in a store that forgets: nobody could go on with it."""
    await trio.testing.wait_all_tasks_blocked()
    await runtime.drain(0)


async def speak(runtime: Runtime, run: Run) -> None:
    """Tell it something in the middle of its tool, and cancel it."""
    await told(run, ToolCall)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run.say, "hurry")
        await trio.testing.wait_all_tasks_blocked()
    await run.cancel()


@attrs.frozen
class End:
    """One way to end."""

    answers: Sequence[Sequence[Line]]
    outcome: str
    adds: tuple[AnyMessage, ...]
    """What comes behind the prompt; nothing: the prompt is forgotten, too."""
    act: Callable[[Runtime, Run], Awaitable[None]] = to_its_end
    limits: Limits = Limits()
    settings: dict[str, Any] = attrs.Factory(dict)


A = AssistantMessage("a")
WAIT: list[Line] = [trio.Event()]

ENDS = {
    "stop": End([["a"]], "stop", (A,)),
    "stop behind a tool": End([[LOOK], ["a"]], "stop", (*LOOKED, A)),
    "max-steps": End([[LOOK]], "max-steps", LOOKED, limits=Limits(max_steps=1)),
    "budget": End(
        [["a", "b", "c"]], "budget", (AssistantMessage("ab"),), limits=Limits(max_tokens=2)
    ),
    "length": End([["a", ModelFinish("length")]], "length", (A,)),
    "length in a call": End([["a", LOOK, ModelFinish("length")]], "length", (A,)),
    "filtered": End([["a", ModelFinish("content-filter")]], "error", (A,)),
    "filtered, silent": End([[ModelFinish("content-filter")]], "error", ()),
    "error, silent": End([[BAD]], "error", ()),
    "error behind a thought": End([[ReasoningPart("hm"), BAD]], "error", ()),
    "error behind a word": End([["a", BAD]], "error", (A,)),
    "error in a call": End([["a", LOOK, BAD]], "error", (A,)),
    "error behind a tool": End([[LOOK], [BAD]], "error", LOOKED),
    "bug": End([["a", KeyError("x")]], "error", (A,)),
    "taken back, then error": End([["a", CUT], [BAD]], "error", ()),
    "taken back behind a tool": End([[LOOK], ["a", CUT], [BAD]], "error", LOOKED),
    "taken back, then stop": End([["x", CUT], ["a"]], "stop", (A,)),
    "timeout": End([["a", 99.0]], "timeout", (A,), limits=Limits(run_deadline=5)),
    "timeout, silent": End([[99.0]], "timeout", (), limits=Limits(run_deadline=5)),
    "timeout in a tool": End([[HANG]], "timeout", CANCELLED, limits=Limits(run_deadline=5)),
    "shape": End(
        [output([1, 2])], "stop", (AssistantMessage("[1,2]"),), settings={"output": list[int]}
    ),
    "no shape": End(
        [output("x")],
        "error",
        (AssistantMessage('"x"'),),
        settings={"output": list[int]},
        limits=Limits(output_retries=0),
    ),
    "cancelled at once": End([WAIT], "cancelled", (), cancel_at_once),
    "cancelled, silent": End([WAIT], "cancelled", (), cancel),
    "cancelled in a thought": End([[ReasoningPart("hm"), *WAIT]], "cancelled", (), cancel),
    "cancelled behind a word": End([["a", *WAIT]], "cancelled", (A,), cancel),
    "cancelled in a call": End([["a", LOOK, *WAIT]], "cancelled", (A,), cancel),
    "cancelled in a tool": End([[HANG]], "cancelled", CANCELLED, cancel),
    "cancelled behind a tool": End([[LOOK], WAIT], "cancelled", LOOKED, cancel),
    "told, and cancelled in a tool": End(
        [[HANG]], "cancelled", (*CANCELLED, UserMessage("hurry")), speak
    ),
}


@pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_every_end(end: End, far: bool, autojump_clock: trio.testing.MockClock) -> None:
    memory = MemoryStore()
    store: Store = StoreProxy(memory) if far else memory
    agent = saying(*end.answers, tools=[look, hang], limits=end.limits, **end.settings)
    adds = (UserMessage("2nd"), *end.adds) if end.adds else ()
    async with open_runtime(store=store) as runtime:
        first = await said(runtime, "1st", "one")
        run = await runtime.start(agent, "2nd", thread="t")
        assert (await runtime.thread("t")).active == run.id
        await end.act(runtime, run)
        result = await result_of(run)
        assert result.finish_reason == end.outcome
        thread = await runtime.thread("t")
        assert (thread.active, thread.turns) == (None, 1 + bool(adds))
        assert thread.head == (run.id if adds else first.id)
        assert (await all_turns(store)).get(run.id, ()) == adds
        assert await asked(runtime) == turn("1st", "one") + adds
    # What came of it does not depend on what its thread keeps.
    assert result.messages[:3] == (*turn("1st", "one"), UserMessage("2nd"))
    assert result.messages[3:] == end.adds or not adds
    assert await read_elsewhere(store, run.id) == result.messages


@pytest.mark.parametrize(
    ("answers", "adds"), [([WAIT], ()), ([["a", *WAIT]], (A,)), ([[HANG]], CANCELLED)]
)
async def test_stopped_in_a_store_that_forgets(
    answers: list[list[Line]], adds: tuple[AnyMessage, ...], autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody could go on with it."""
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(saying(*answers, tools=[hang]), "1st", thread="t")
        await drain(runtime, run)
        assert (await run.wait()).finish_reason == "cancelled"
    async with open_runtime(store=store) as runtime:
        assert await asked(runtime) == ((UserMessage("1st"), *adds) if adds else ())


async def test_a_log_that_is_full_is_no_full_thread() -> None:
    """The turn is no part of the log: what was said until then is kept."""
    async with open_runtime(limits=RuntimeLimits(max_log_bytes=4000)) as runtime:
        await said(runtime, "1st", "one")
        run = await runtime.start(saying(["a", "b" * 9000]), "2nd" * 9000, thread="t")
        result = await result_of(run)
        assert (result.finish_reason, result.text[:2]) == ("error", "ab")
        assert (await runtime.thread("t")).head == run.id
        assert await asked(runtime) == result.messages


async def yes(run: Run) -> None:
    await run.answer("1", approved=True)
    await run.wait()


async def no(run: Run) -> None:
    await run.answer("1", approved=False, reason="never")
    await run.wait()


async def stop(run: Run) -> None:
    await run.cancel("enough")


async def hear(run: Run) -> None:
    """It is told something while it sleeps, and answered."""
    await run.say("please")
    await run.answer("1", approved=True)
    await run.wait()


async def expire(run: Run) -> None:
    """Nobody answers in time."""
    await run.wait()


ASKED = AssistantMessage("", (ToolRequest("1", "refund", {"amount": 5}),))
DONE = AssistantMessage("done")


@pytest.mark.parametrize("lasting", [False, True])
@pytest.mark.parametrize(
    ("act", "adds"),
    [
        (yes, (ToolMessage("1", "gave 5"), DONE)),
        (hear, (ToolMessage("1", "gave 5"), UserMessage("please"), DONE)),
        (no, (ToolMessage("1", "the user did not allow this call: never", "error"), DONE)),
        (stop, (ToolMessage("1", "cancelled before it finished", "cancelled"),)),
        (
            expire,
            (ToolMessage("1", "nobody answered in time: the call was not made", "error"), DONE),
        ),
    ],
    ids=["yes", "hear", "no", "stop", "expire"],
)
async def test_a_run_that_waits_is_active_until_it_ends(
    act: Callable[[Run], Awaitable[None]],
    adds: tuple[AnyMessage, ...],
    lasting: bool,
    autojump_clock: trio.testing.MockClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unix_time(monkeypatch, autojump_clock)
    store = LastingStore() if lasting else MemoryStore()
    agent = asking(limits=Limits(answer_deadline=60))
    async with open_runtime(store=store, agents=[agent]) as runtime:
        await said(runtime, "1st", "one")
        run = await runtime.start(agent, "2nd", thread="t")
        await asleep(run)
        assert (await runtime.thread("t")).active == run.id
        if not lasting:
            await act(run)
    if lasting:  # What sleeps goes on in the next program.
        async with open_runtime(store=store, agents=[agent]) as runtime:
            assert (await runtime.thread("t")).active == run.id
            await act(await runtime.find(run.id))
    async with open_runtime(store=store) as runtime:
        thread = await runtime.thread("t")
        assert (thread.head, thread.active, thread.turns) == (run.id, None, 2)
        whole = (*turn("1st", "one"), UserMessage("2nd"), ASKED, *adds)
        assert await asked(runtime) == whole
        assert (await (await runtime.find(run.id)).wait()).messages == whole
    # The model that went on was asked with all of it.
    requests = agent.model.requests  # type: ignore[union-attr]
    if act is not stop:
        assert requests[1].messages == whole[:-1]


async def test_what_sleeps_in_a_store_that_forgets_ends_with_it() -> None:
    store = MemoryStore()
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(picking(), "1st", thread="t")
        await asleep(run)
    thread = await store.thread(None, "t")
    assert (thread.head, thread.active) == (run.id, None)


async def test_a_sub_agent_ends_in_its_call() -> None:
    inner = saying(["x", BAD], name="inner")
    outer = saying(
        [call("1", "inner", prompt="x")],
        ["a"],
        tools=[inner.as_tool(name="inner", description="-")],
    )
    async with open_runtime() as runtime:
        await (await runtime.start(outer, "1st", thread="t")).wait()
        before = await asked(runtime)
    assert [type(message) for message in before] == [
        *(UserMessage, AssistantMessage, ToolMessage, AssistantMessage)
    ]


MEASURED = (0, 1, 10, 100, 999)


class Counting(FaultyStore):
    """It counts what is read of threads, and what is written beside runs."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.read_bytes = 0
        self.private = 0

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        turns = await super().turns(owner, thread, last, limit)
        self.read_bytes += sum(len(each.data) for each in turns)
        return turns

    async def create(self, record: RunRecord) -> Any:
        self.private = len(record.private)
        return await super().create(record)

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        self.private += sum(len(data) for each in batch for data in each.private.values())
        return await super().append(batch)


async def test_a_thread_of_a_thousand_turns(autojump_clock: trio.testing.MockClock) -> None:
    """A start reads what was said once, in few pages, and nobody writes it again."""
    store = Counting()
    cost: dict[int, tuple[int, dict[str, int], int]] = {}
    read = ("thread", "turns", "read", "read_private")
    async with open_runtime(store=store) as runtime:
        for number in range(1000):
            if number not in MEASURED:
                head = (await runtime.thread("t")).head
                await add_turn(store, f"{number}", *turn(f"{number:04}", "x" * 100), follows=head)
                continue
            store.calls.clear()
            store.read_bytes = 0
            await said(runtime, f"{number:04}", "x" * 100)
            calls = {each: store.calls[each] for each in read}
            cost[number] = (store.read_bytes, calls, store.private)
        size = (await runtime.thread("t")).size
        assert len(await asked(runtime)) == 2000
    assert size % 1000 == 0
    assert {number: each for number, (each, _, _) in cost.items()} == {
        number: size // 1000 * number for number in MEASURED
    }
    assert {calls["turns"] for _, calls, _ in cost.values()} == {0, 1}
    assert cost[999][1] == cost[1][1]
    # No copy of what was said before is kept beside a run.
    assert cost[999][2] == cost[0][2]


async def test_a_far_store_writes_a_turn_once() -> None:
    seen: list[bytes] = []

    class Writing(StoreProxy):
        async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
            seen.extend(each.turn for each in batch)
            return await super().append(batch)

    async with open_runtime(store=Writing(MemoryStore())) as runtime:
        await said(runtime, "a", "1")
        await said(runtime, "b", "2")
    assert len([turn for turn in seen if turn]) == 2
    assert b'"b"' in seen[-1]
    assert b'"a"' not in seen[-1]
