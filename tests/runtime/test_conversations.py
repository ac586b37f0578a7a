"""What a run in a thread comes behind, and what is told of threads."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import pytest
import trio
import trio.testing
from log_kit import at_all_levels
from msgspec import UNSET
from runtime_kit import endless, logged
from store_kit import record
from thread_kit import (
    add_turn,
    all_turns,
    asked,
    read_elsewhere,
    result_of,
    said,
    saying,
    turn,
)

from trio_agent._agent import Agent
from trio_agent._content import File, Text
from trio_agent._errors import (
    LogDamaged,
    StoreUnavailable,
    ThreadBusy,
    ThreadMoved,
    TooLarge,
    UnknownRun,
    UnknownThread,
)
from trio_agent._events import RunStart
from trio_agent._limits import Retention, RuntimeLimits
from trio_agent._log.thread import Turn
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.branch import Branch
from trio_agent._runtime.conversations import NOTHING_BEFORE, Before, Conversations
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._parts import ModelFinish, ReasoningPart
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools._context import RunContext, RunFacts, ToolContext
from trio_agent.tools._tool import tool

PNG = File("image/png", data=b"\x89PNG")
DIGEST = sha256(b"\x89PNG").hexdigest()


@tool
async def look(city: str = "Oslo") -> str:
    """Look."""
    return f"snow in {city}"


class TestLook:
    async def store(self) -> MemoryStore:
        """Runs 1 and 2, x beside 2, and the turn of another thread."""
        store = MemoryStore()
        for run_id, follows in (("1", None), ("2", "1"), ("x", "1")):
            await add_turn(store, run_id, UserMessage(run_id), follows=follows)
        await add_turn(store, "u1", UserMessage("u1"), thread="u")
        return store

    @pytest.mark.parametrize(
        ("thread", "after", "follows", "head", "messages"),
        [
            ("t", None, "x", "x", "1x"),
            ("t", "", None, "x", ""),
            ("t", "1", "1", "x", "1"),
            ("t", "2", "2", "x", "12"),
            ("t", "x", "x", "x", "1x"),
            ("new", None, None, None, ""),
            ("new", "", None, None, ""),
        ],
    )
    async def test_what_a_run_comes_behind(
        self,
        thread: str,
        after: str | None,
        follows: str | None,
        head: str | None,
        messages: str,
    ) -> None:
        conversations = Conversations(await self.store(), 1 << 20)
        made = record("r", thread=thread)
        before = await conversations.look(made, Branch(thread, after))
        assert before == Before(tuple(map(UserMessage, messages)), follows, head)
        over = before.over(made)
        assert (over.follows, over.head, over.run_id) == (follows, head, "r")
        assert NOTHING_BEFORE.over(made) == made

    @pytest.mark.parametrize(
        ("thread", "after"), [("t", "u1"), ("t", "9"), ("new", "1"), ("u", "1"), ("u", "2")]
    )
    async def test_a_run_that_none_can_follow(self, thread: str, after: str) -> None:
        conversations = Conversations(await self.store(), 1 << 20)
        with pytest.raises(
            ValueError, match=f"^run '{after}' has no turn in the thread '{thread}'"
        ):
            await conversations.look(record("r", thread=thread), Branch(thread, after))

    @pytest.mark.parametrize("after", [None, "", "1", "9"])
    async def test_a_thread_that_is_busy(self, after: str | None) -> None:
        store = await self.store()
        await store.create(record("3", thread="t", head="x"))
        with pytest.raises(ThreadBusy) as raised:
            await Conversations(store, 1 << 20).look(record("r", thread="t"), Branch("t", after))
        assert (raised.value.thread, raised.value.run_id) == ("t", "3")

    @pytest.mark.parametrize("owner", ["", "me"])
    async def test_a_thread_is_its_owners(self, owner: str) -> None:
        """None is nobody, and "" is somebody."""
        conversations = Conversations(await self.store(), 1 << 20)
        made = record("r", thread="t", owner=owner)
        assert await conversations.look(made, Branch("t")) == Before()

    @pytest.mark.parametrize("again", [False, True])
    async def test_a_thread_that_is_removed_in_between(self, again: bool) -> None:
        class Moving(FaultyStore):
            async def turns(self, *args: Any) -> list[Turn]:
                await memory.delete_thread(None, "t")
                if again:
                    await add_turn(memory, "new", UserMessage("new"))
                return list(await super().turns(*args))

        memory = await self.store()
        with pytest.raises(ThreadMoved):
            await Conversations(Moving(memory), 9999).look(record("r", thread="t"), Branch("t"))
        memory = await self.store()
        with pytest.raises(ValueError, match="has no turn"):
            await Conversations(Moving(memory), 9999).look(
                record("r", thread="t"), Branch("t", "1")
            )

    async def test_a_turn_that_is_not_there_though_the_thread_stands_still(self) -> None:
        """No store lets that happen. If it does, nobody looks for it for ever."""

        class Holed(StoreProxy):
            async def turns(self, owner: Any, thread: str, last: str, limit: int) -> list[Turn]:
                raise UnknownRun(last)

        async with open_runtime(store=Holed(await self.store())) as runtime:
            with pytest.raises(LogDamaged, match=r"^what was said in 't' is not there$"):
                await runtime.start(endless(), "hi", thread="t")
            assert runtime.statistics().active == 0

    async def test_too_much_was_said(self) -> None:
        store = await self.store()
        with pytest.raises(TooLarge):
            await Conversations(store, 10).look(record("r", thread="t"), Branch("t"))
        assert await Conversations(store, 10).look(record("r", thread="t"), Branch("t", ""))

    async def test_what_can_not_be_read(self) -> None:
        store = FaultyStore(await self.store())
        for operation in ("thread", "turns"):
            store.away = {operation}
            with pytest.raises(StoreUnavailable):
                await Conversations(store, 9999).look(record("r", thread="t"), Branch("t"))


class TestWhatTheModelGets:
    async def test_all_that_was_said(self) -> None:
        async with open_runtime() as runtime:
            first = await said(runtime, "a", "1")
            second = await said(runtime, "b", "2")
            assert await asked(runtime, "c") == turn("a", "1") + turn("b", "2")
            turns = await all_turns(runtime.store)
            assert list(turns)[:2] == [first.id, second.id]
            assert turns[second.id] == turn("b", "2")

    async def test_tools_thoughts_and_what_the_provider_wants_back(self) -> None:
        kept: dict[str, Any] = {"p": ["s", 1, None]}
        answers = [
            [
                ReasoningPart("hm"),
                "I ",
                call("1", "look", city="Bergen"),
                ModelFinish("tool-calls", provider=kept),
            ],
            ["see", ModelFinish("stop", provider=kept)],
        ]
        async with open_runtime() as runtime:
            run = await runtime.start(saying(*answers, tools=[look]), "a", thread="t")
            result = await run.wait()
            before = await asked(runtime)
        assert before == result.messages
        _, thought, told, last = before
        assert isinstance(thought, AssistantMessage)
        assert isinstance(last, AssistantMessage)
        assert (thought.content, thought.reasoning, thought.provider) == ("I ", "hm", kept)
        assert told == ToolMessage("1", "snow in Bergen")
        assert (last.content, last.provider) == ("see", kept)

    async def test_files_of_a_run_that_is_there_no_more(self) -> None:
        async with open_runtime() as runtime:
            given = UserMessage((Text("what?"), PNG))
            run = await runtime.start(saying(["a cat"]), messages=[given], thread="t", owner="me")
            await run.wait()
            named = UserMessage((File("image/png", blob=f"{run.id}/{DIGEST}"),))
            other = await runtime.start(saying(["again"]), messages=[named], thread="t", owner="me")
            await other.wait()
            await runtime.delete(run.id)
            await runtime.delete(other.id)
            assert await asked(runtime, owner="me") == (
                given,
                AssistantMessage("a cat"),
                UserMessage((PNG,)),
                AssistantMessage("again"),
            )

    async def test_runs_that_retention_removes(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        limits = RuntimeLimits(retention=Retention(seconds=10))
        async with open_runtime(limits=limits) as runtime:
            run = await said(runtime, "a", "1")
            await trio.sleep(30)
            assert not (await runtime.runs(thread="t")).runs
            assert await asked(runtime) == turn("a", "1")
            assert next(iter(await all_turns(runtime.store))) == run.id

    async def test_messages_that_are_given_are_a_part_of_it(self) -> None:
        given = [SystemMessage("brief"), UserMessage("a"), AssistantMessage("b")]
        async with open_runtime() as runtime:
            await said(runtime, "c", "d", messages=given)
            assert await asked(runtime) == (*given, *turn("c", "d"))

    async def test_ids_of_calls_are_used_once_in_a_thread(self) -> None:
        async with open_runtime() as runtime:
            for prompt in "ab":
                agent = saying([call("1", "look")], ["done"], tools=[look])
                await (await runtime.start(agent, prompt, thread="t")).wait()
            calls = [
                request.id
                for message in await asked(runtime)
                if isinstance(message, AssistantMessage)
                for request in message.tool_calls
            ]
        assert calls[0] == "1"
        assert len(set(calls)) == 2

    async def test_what_an_agent_reads_of_it(self) -> None:
        """Instructions are of each run; `prepare` has all that was said before, too."""
        seen: list[tuple[AnyMessage, ...]] = []

        def last_two(messages: tuple[AnyMessage, ...]) -> tuple[AnyMessage, ...]:
            seen.append(messages)
            return messages[-2:]

        async with open_runtime() as runtime:
            await (await runtime.start(saying(["1"], instructions="x"), "a", thread="t")).wait()
            model = ScriptedModel(["2"])
            agent = Agent(model=model, instructions="y", prepare=last_two)
            run = await runtime.start(agent, "b", thread="t")
            whole = (await run.wait()).messages
            assert await asked(runtime) == whole
        [request] = model.requests
        assert request.instructions == "y"
        assert seen == [(*turn("a", "1"), UserMessage("b"))]
        assert request.messages == seen[0][-2:]
        assert whole == turn("a", "1") + turn("b", "2")

    async def test_a_result_is_the_same_live_and_stored(self) -> None:
        store = StoreProxy(MemoryStore())
        kept: dict[str, Any] = {"p": 1}
        async with open_runtime(store=store) as runtime:
            runs = []
            for prompt in "abc":
                given = UserMessage((Text(prompt), PNG))
                answers = [[call("1", "look")], ["done", ModelFinish("stop", provider=kept)]]
                agent = saying(*answers, tools=[look])
                runs.append(await runtime.start(agent, messages=[given], thread="t"))
                await runs[-1].wait()
            live = {run.id: (await run.wait()).messages for run in runs}
            page = await runtime.messages(runs[-1].id)
        assert [len(messages) for messages in live.values()] == [4, 8, 12]
        for run_id, messages in live.items():
            assert await read_elsewhere(store, run_id) == messages
        assert len(page.messages) == 4, "what was said before it is its thread's"

    async def test_a_result_whose_thread_was_removed_is_gone_with_it(self) -> None:
        """And so is the run. One that is removed alone leaves its turn."""
        async with open_runtime() as runtime:
            run = await said(runtime, "a", "1")
            other = await said(runtime, "b", "2")
            await runtime.delete_thread("t")
            for each in (run, other):
                with pytest.raises(LookupError):
                    await runtime.store.info(each.id)
            assert await asked(runtime) == ()


class TestAfter:
    async def test_a_run_may_follow_any_that_has_spoken(self) -> None:
        async with open_runtime() as runtime:
            first = await said(runtime, "a", "1")
            second = await said(runtime, "b", "2")
            one, two = turn("a", "1"), turn("b", "2")
            assert await asked(runtime, "x", after=first.id) == one
            # The newest is the head, whatever it follows.
            assert await asked(runtime, "y") == one + turn("x", "ok")
            assert await asked(runtime, "z", after=second.id) == one + two
            assert await asked(runtime, "w", after="") == ()
            assert await asked(runtime, "v") == turn("w", "ok")
            assert (await runtime.thread("t")).turns == 7

    async def test_what_none_can_follow(self) -> None:
        async with open_runtime() as runtime:
            first = await said(runtime, "a", "1")
            other = await said(runtime, "a", "1", "u")
            alone = await said(runtime, "a", "1", None)
            silent = await runtime.start(saying([KeyError()]), "b", thread="t")
            await result_of(silent)
            for run_id in (other.id, alone.id, silent.id, "nope"):
                with pytest.raises(ValueError, match=f"^run '{run_id}' has no turn"):
                    await runtime.start(endless(), "b", thread="t", after=run_id)
            assert runtime.statistics().active == 0
            thread = await runtime.thread("t")
            assert (thread.head, thread.active, thread.turns) == (first.id, None, 1)

    async def test_what_was_said_is_bounded(self) -> None:
        async with open_runtime(limits=RuntimeLimits(max_thread_bytes=500)) as runtime:
            first = await said(runtime, "a", "1")
            await said(runtime, "b", "2" * 500)
            with pytest.raises(TooLarge, match="more than 500 bytes: begin another thread"):
                await runtime.start(endless(), "c", thread="t")
            assert runtime.statistics().active == 0
            assert (await runtime.thread("t")).active is None
            assert await asked(runtime, after=first.id) == turn("a", "1")
            assert await asked(runtime, after="") == ()

    async def test_what_can_not_be_read_starts_nothing(self) -> None:
        store = MemoryStore()
        async with open_runtime(store=store) as runtime:
            await said(runtime, "a", "1")
            await add_turn(store, "odd", follows=None)
            store._threads._threads[None, "t"].turns["odd"] = Turn("odd", None, b"?")
            with pytest.raises(LogDamaged, match=r"^what run 'odd' said in 't'"):
                await runtime.start(endless(), "b", thread="t")
            assert (runtime.statistics().active, (await runtime.thread("t")).active) == (0, None)


class TestOwners:
    @pytest.mark.parametrize(
        ("mine", "yours"), [("me", "you"), (None, "me"), (None, ""), ("", "x")]
    )
    async def test_a_name_is_each_owners(self, mine: str | None, yours: str | None) -> None:
        async with open_runtime() as runtime:
            run = await said(runtime, "a", "mine", owner=mine)
            assert (await runtime.threads(yours)).threads == ()
            for refused in (
                runtime.thread("t", owner=yours),
                runtime.thread_messages("t", owner=yours),
                runtime.delete_thread("t", owner=yours),
            ):
                with pytest.raises(UnknownThread):
                    await refused
            with pytest.raises(ValueError, match="has no turn"):
                await runtime.start(endless(), "b", thread="t", owner=yours, after=run.id)
            other = await runtime.start(endless(), "b", thread="t", owner=yours)
            # It is busy for its owner only.
            assert await asked(runtime, owner=mine) == turn("a", "mine")
            assert len((await runtime.runs(mine, thread="t")).runs) == 2
            assert [each.id for each in (await runtime.runs(yours, thread="t")).runs] == [other.id]
            await other.cancel()
            await runtime.delete_thread("t", owner=mine)
            assert (await runtime.threads(mine)).threads == ()
            assert (await runtime.thread("t", owner=yours)).head == other.id


class TestWhatIsTold:
    async def test_a_thread(self, autojump_clock: trio.testing.MockClock) -> None:
        async with open_runtime() as runtime:
            with pytest.raises(UnknownThread):
                await runtime.thread("t")
            run = await runtime.start(endless(), "a", thread="t")
            thread = await runtime.thread("t")
            assert (thread.head, thread.active, thread.turns, thread.size) == (None, run.id, 0, 0)
            assert (await runtime.thread_messages("t")).messages == ()
            with pytest.raises(ThreadBusy):
                await runtime.delete_thread("t")
            await trio.testing.wait_all_tasks_blocked()
            await run.cancel()
            thread = await runtime.thread("t")
            assert (thread.head, thread.active, thread.turns) == (run.id, None, 1)
            assert thread.size > 0
            page = await runtime.thread_messages("t")
            assert (page.messages, page.next) == (turn("a", "a"), None)
            await runtime.delete_thread("t")
            for gone in (runtime.thread, runtime.thread_messages, runtime.delete_thread):
                missing: Callable[[str], Awaitable[object]] = gone
                with pytest.raises(UnknownThread):
                    await missing("t")

    async def test_a_thread_in_which_nothing_was_said_is_gone_with_its_run(self) -> None:
        async with open_runtime() as runtime:
            await result_of(await runtime.start(saying([KeyError()]), "a", thread="t"))
            with pytest.raises(UnknownThread):
                await runtime.thread("t")
            assert (await runtime.threads()).threads == ()

    async def test_lists_in_pages(self, monkeypatch: pytest.MonkeyPatch) -> None:
        now = iter(range(10**9, 10**10))
        monkeypatch.setattr("time.time_ns", lambda: next(now) * 1_000_000)
        async with open_runtime() as runtime:
            for name in ("a", "b.1", "c", "a"):
                await said(runtime, "hi", "1", name, owner="me")
            seen, before = list[str](), None
            while True:
                page = await runtime.threads("me", before=before, limit=2)
                seen += [thread.thread for thread in page.threads]
                if (before := page.next) is None:
                    break
        assert seen == ["a", "c", "b.1"]
        assert page.threads == ()

    @pytest.mark.parametrize(
        ("how", "why"), [({"limit": 0}, "at least 1"), ({"before": "x"}, "^before is what")]
    )
    async def test_a_list_that_is_none(self, how: dict[str, Any], why: str) -> None:
        async with open_runtime() as runtime:
            with pytest.raises(ValueError, match=why):
                await runtime.threads(**how)

    async def test_runs_say_where_they_are(self) -> None:
        async with open_runtime() as runtime:
            run = await said(runtime, "a", "1")
            alone = await said(runtime, "b", "2", None)
            assert (run.thread, alone.thread) == ("t", None)
            listed = {each.id: each.thread for each in (await runtime.runs()).runs}
            assert listed == {run.id: "t", alone.id: None}
            assert [each.id for each in (await runtime.runs(thread="t")).runs] == [run.id]


async def test_what_an_agent_knows_of_its_thread() -> None:
    """Its sub-agents too, whose own beginning names none: they add nothing to it."""
    seen: list[tuple[str, str | None]] = []

    def instructions(context: RunContext[Any]) -> str:
        seen.append(("instructions", context.thread))
        return "x"

    @asynccontextmanager
    async def open_deps(context: RunFacts) -> AsyncIterator[None]:
        seen.append(("deps", context.thread))
        yield

    @tool
    async def where(context: ToolContext[Any]) -> str:
        """Where."""
        seen.append(("tool", context.thread))
        return "there"

    inner = saying([call("1", "where")], ["inner"], name="inner", tools=[where])
    outer = saying(
        [call("1", "inner", prompt="x")],
        ["outer"],
        tools=[inner.as_tool(name="inner", description="Ask.")],
        instructions=instructions,
        open_deps=open_deps,
    )
    async with open_runtime() as runtime:
        run = await runtime.start(outer, "a", thread="t")
        await run.wait()
        events = await logged(runtime.store, run.id)
        turns = await all_turns(runtime.store)
    starts = [event for event in at_all_levels(events) if isinstance(event, RunStart)]
    assert [start.thread for start in starts] == ["t", UNSET]
    assert seen == [("deps", "t"), ("instructions", "t"), ("tool", "t")]
    assert list(turns) == [run.id]
    assert AssistantMessage("inner") not in turns[run.id]
