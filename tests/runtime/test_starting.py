"""Starting runs: places, keys and files, in an order in which nothing is taken for nothing."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any

import pytest
import trio
import trio.testing
from runtime_kit import endless, quick
from shared_kit import LEASE, quiet, shared
from store_kit import record
from thread_kit import add_turn
from wait_kit import LastingStore, asking, asleep

from trio_agent._agent import Agent
from trio_agent._cluster.closing import cancel_log
from trio_agent._errors import (
    KeyReused,
    LimitExceeded,
    StoreUnavailable,
    ThreadBusy,
    TooLarge,
    UnknownThread,
)
from trio_agent._events import ToolRequest
from trio_agent._limits import RuntimeLimits
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Created
from trio_agent._messages import AnyMessage, AssistantMessage, File, Text, ToolMessage, UserMessage
from trio_agent._run.run import Run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent._runtime.starting import what_was_said
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools._tool import tool

PNG = File("image/png", data=b"PNG")
DIGEST = sha256(b"PNG").hexdigest()
OPEN_CALL = AssistantMessage("", (ToolRequest("1", "t", {}),))


def shown(file: File = PNG) -> UserMessage:
    return UserMessage((Text("what is it?"), file))


class TestWhatWasSaid:
    @pytest.mark.parametrize(
        ("prompt", "messages", "said"),
        [
            ("hi", [], (UserMessage("hi"),)),
            ("", [], (UserMessage(""),)),
            (None, [UserMessage("a")], (UserMessage("a"),)),
            ("b", [UserMessage("a")], (UserMessage("a"), UserMessage("b"))),
            (
                None,
                [OPEN_CALL, ToolMessage("1", "x")],
                (OPEN_CALL, ToolMessage("1", "x")),
            ),
        ],
    )
    def test_the_prompt_is_behind_the_messages(
        self, prompt: str | None, messages: Sequence[AnyMessage], said: tuple[AnyMessage, ...]
    ) -> None:
        assert what_was_said(prompt, messages) == said

    @pytest.mark.parametrize(
        ("prompt", "messages", "why"),
        [
            (None, [], "^give a prompt or messages$"),
            ("hi", [OPEN_CALL], "has no result"),
            (None, [shown(File("image/png"))], "exactly one of"),
        ],
    )
    def test_what_can_not_be_said(
        self, prompt: str | None, messages: Sequence[AnyMessage], why: str
    ) -> None:
        with pytest.raises(ValueError, match=why):
            what_was_said(prompt, messages)


@pytest.mark.parametrize("operation", ["create", "lookup", "read_blob", "info"])
@pytest.mark.parametrize("cancelled", [False, True])
async def test_a_start_that_fails_takes_no_place(operation: str, cancelled: bool) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(max_streams=2)) as runtime:
        first = await runtime.start(endless(), messages=[shown()], owner="me")
        named = shown(File("image/png", blob=f"{first.id}/{DIGEST}"))
        if cancelled:
            with trio.CancelScope() as scope:
                scope.cancel()
                await runtime.start(quick(), messages=[named], owner="me", idempotency_key="k")
        else:
            store.away.add(operation)
            with pytest.raises(StoreUnavailable):
                await runtime.start(quick(), messages=[named], owner="me", idempotency_key="k")
            store.away.clear()
        assert runtime.statistics().active == 1
        again = await runtime.start(quick(), messages=[named], owner="me", idempotency_key="k")
        assert (await again.wait()).text == "a"
        await first.cancel()


@pytest.mark.parametrize("most", [3, 5])
async def test_files_by_name_count_as_those_that_are_given(most: int) -> None:
    """Each is counted before the next one is read: a short message may name many."""
    store = FaultyStore(MemoryStore())
    limits = RuntimeLimits(max_blob_bytes=most)
    async with open_runtime(store=store, limits=limits) as runtime:
        named = []
        for _ in range(3):
            earlier = await runtime.start(quick(), messages=[shown()])
            await earlier.wait()
            named.append(shown(File("image/png", blob=f"{earlier.id}/{DIGEST}")))
        await (await runtime.start(quick(), messages=named[:1])).wait()
        store.calls.clear()
        with pytest.raises(TooLarge, match=f"at most {most} bytes together"):
            await runtime.start(quick(), messages=named)
        assert store.calls["read_blob"] == 2
        assert runtime.statistics().active == 0


async def start_twice(runtime: Runtime, agents: Sequence[Agent], **how: Any) -> list[Run]:
    runs: list[Run] = []

    async def start(agent: Agent) -> None:
        runs.append(await runtime.start(agent, "hi", **how))

    async with trio.open_nursery() as nursery:
        for agent in agents:
            nursery.start_soon(start, agent)
    return runs


async def test_one_key_at_once_is_one_run_and_one_place() -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=2)) as runtime:
        model = ScriptedModel(["a", trio.Event()])
        runs = await start_twice(runtime, [Agent(model=model)] * 2, idempotency_key="k")
        assert runs[0] is runs[1]
        await trio.testing.wait_all_tasks_blocked()
        assert (len(model.requests), runtime.statistics().active) == (1, 1)
        await runs[0].cancel()


async def test_a_key_finds_a_run_that_sleeps(autojump_clock: trio.testing.MockClock) -> None:
    @tool(approval=True)
    async def pay() -> str:
        """Pay."""
        return "paid"

    agent = Agent(model=ScriptedModel([call("1", "pay")], ["done"]), tools=[pay])
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        run = await runtime.start(agent, "hi", idempotency_key="k")
        await quiet()
        # It takes no place meanwhile.
        assert runtime.statistics().active == 0
        other = await runtime.start(endless(), "hi")
        again = await runtime.start(agent, "hi", idempotency_key="k")
        assert (again.id, again.status) == (run.id, "waiting")
        await other.cancel()
        await again.answer("1", approved=True)
        assert (await again.wait()).text == "done"


async def test_a_key_with_other_client_tools_is_another_request() -> None:
    tools = [{"name": "ask", "description": "", "parameters": {"type": "object"}}]
    async with open_runtime() as runtime:
        run = await runtime.start(endless(), "hi", idempotency_key="k", client_tools=tools)
        again = await runtime.start(endless(), "hi", idempotency_key="k", client_tools=tools)
        assert again is run
        with pytest.raises(KeyReused):
            await runtime.start(endless(), "hi", idempotency_key="k")
        await run.cancel()


class TestInTurn:
    async def test_who_waits_for_a_place_begins_when_there_is_one(self) -> None:
        async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
            first = await runtime.start(endless(), "hi")
            async with (
                trio.open_nursery() as nursery,
                runtime.map(quick("b"), ["hi"]) as results,
            ):
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(first.cancel)
                assert [mapped.result.text async for mapped in results if mapped.result] == ["b"]

    async def test_none_is_started_where_the_runtime_drains(self) -> None:
        async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
            first = await runtime.start(endless(), "hi")
            async with runtime.map(quick("b"), ["hi"]) as results, trio.open_nursery() as nursery:
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(runtime.drain, 0)
                [mapped] = [each async for each in results]
            assert isinstance(mapped.error, LimitExceeded)
            assert (await first.wait()).finish_reason == "cancelled"


def talking(*lines: Any) -> Agent:
    return Agent(model=ScriptedModel(["b", *lines]), name="a")


async def refused(runtime: Runtime, agent: Agent, count: int, **how: Any) -> list[ThreadBusy]:
    """Start so many runs at once; returns why those that did not were refused."""
    why: list[ThreadBusy] = []

    async def start() -> None:
        try:
            await runtime.start(agent, "hi", thread="t", **how)
        except ThreadBusy as exc:
            why.append(exc)

    async with trio.open_nursery() as nursery:
        for _ in range(count):
            nursery.start_soon(start)
    return why


class TestBusy:
    @pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
    async def test_one_of_twenty_starts(self, far: bool) -> None:
        memory = MemoryStore()
        async with open_runtime(store=StoreProxy(memory) if far else memory) as runtime:
            why = await refused(runtime, endless(), 20)
            assert len(why) == 19
            active = (await runtime.thread("t")).active
            assert {(each.thread, each.run_id) for each in why} == {("t", active)}
            assert runtime.statistics().active == 1
            assert active is not None
            await (await runtime.find(active)).cancel()
            assert len(await refused(runtime, endless(), 2)) == 1
            assert len((await runtime.runs(thread="t")).runs) == 2
            await runtime.drain(0)

    async def test_other_threads_are_not(self) -> None:
        async with open_runtime() as runtime:
            runs = [
                await runtime.start(endless(), "hi", thread=thread, owner=owner)
                for thread in ("t", "u", None, None)
                for owner in (None, "", "me")
            ]
            assert runtime.statistics().active == len(runs) == 12
            await runtime.drain(0)

    @pytest.mark.parametrize("most", [1, 9])
    @pytest.mark.parametrize("far", [False, True], ids=["memory", "writer"])
    async def test_the_other_is_cancelled(self, most: int, far: bool) -> None:
        """Also where it has the only place; what it has said is in the thread."""
        memory = MemoryStore()
        store = StoreProxy(memory) if far else memory
        async with open_runtime(store=store, limits=RuntimeLimits(max_streams=most)) as runtime:
            first = await runtime.start(talking(trio.Event()), "1st", thread="t")
            await trio.testing.wait_all_tasks_blocked()
            model = ScriptedModel(["c"])
            second = await runtime.start(Agent(model=model), "2nd", thread="t", on_busy="cancel")
            assert first.status == "cancelled"
            result = await first.wait()
            assert result.reason == "another run was to begin in its thread"
            await second.wait()
            said = UserMessage("1st"), AssistantMessage("b"), UserMessage("2nd")
            assert model.requests[0].messages == said

    async def test_twenty_cancel_each_other_until_one_is_left(self) -> None:
        async with open_runtime() as runtime:
            assert await refused(runtime, endless(), 20, on_busy="cancel") == []
            assert runtime.statistics().active == 1
            runs = (await runtime.runs(thread="t")).runs
            assert len(runs) == 20
            assert (await runtime.thread("t")).active == runs[0].id
            await runtime.drain(0)

    async def test_nobody_is_cancelled_where_nobody_is_active(self) -> None:
        store = FaultyStore(MemoryStore())
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
            await run.wait()
            assert store.calls["request_cancel"] == 0

    @pytest.mark.parametrize("lasting", [False, True])
    async def test_a_run_that_waits_is_cancelled(
        self, lasting: bool, autojump_clock: trio.testing.MockClock
    ) -> None:
        store = LastingStore() if lasting else MemoryStore()
        limits = RuntimeLimits(max_streams=1)
        async with open_runtime(store=store, limits=limits) as runtime:
            first = await runtime.start(asking(), "hi", thread="t")
            await asleep(first)
            with pytest.raises(ThreadBusy):
                await runtime.start(quick(), "hi", thread="t")
            second = await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
            assert first.status == "cancelled"
            messages = (await second.wait()).messages
            assert isinstance(told := messages[2], ToolMessage)
            assert told.status == "cancelled"

    async def test_a_run_that_takes_its_time_is_waited_for(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        @tool
        async def clean() -> None:
            """Clean up, whatever comes."""
            with trio.CancelScope(shield=True):
                await trio.sleep(3)

        async with open_runtime() as runtime:
            agent = Agent(model=ScriptedModel([call("1", "clean")]), tools=[clean])
            first = await runtime.start(agent, "hi", thread="t")
            await trio.testing.wait_all_tasks_blocked()
            begin = trio.current_time()
            with trio.move_on_after(1) as scope:
                await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
            # The wish stays; nothing was started, and no place is taken.
            assert scope.cancelled_caught
            assert runtime.statistics().active == 1
            second = await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
            assert trio.current_time() - begin == 3
            assert first.status == "cancelled"
            await second.wait()

    async def test_a_run_of_another_runtime_is_cancelled(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        async with shared() as both:
            one, other = both.runtimes
            first = await one.start(talking(trio.Event()), "hi", thread="t")
            await quiet()
            with pytest.raises(ThreadBusy):
                await other.start(quick(), "hi", thread="t")
            second = await other.start(quick(), "hi", thread="t", on_busy="cancel")
            assert first.status == "cancelled"
            assert len((await second.wait()).messages) == 4

    async def test_a_run_cannot_cancel_itself(self) -> None:
        seen: list[Exception] = []

        @tool
        async def again() -> None:
            """Begin anew."""
            try:
                await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
            except RuntimeError as exc:
                seen.append(exc)

        async with open_runtime() as runtime:
            agent = Agent(model=ScriptedModel([call("1", "again")], ["done"]), tools=[again])
            run = await runtime.start(agent, "hi", thread="t")
            assert (await run.wait()).text == "done"
        assert len(seen) == 1

    async def test_nothing_is_cancelled_for_a_run_that_is_not_started(self) -> None:
        async with open_runtime() as runtime:
            first = await runtime.start(talking(event := trio.Event()), "hi", thread="t")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(runtime.drain, 99)
                await trio.testing.wait_all_tasks_blocked()
                with pytest.raises(LimitExceeded, match="draining"):
                    await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
                assert first.status == "active"
                event.set()
            assert (await first.wait()).finish_reason == "stop"

    async def test_a_run_that_another_worker_takes_meanwhile(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        """It is looked for again, where it is now."""
        memory = MemoryStore(lease=LEASE)
        async with open_runtime(store=StoreProxy(memory)) as runtime:
            first = await runtime.start(talking(trio.Event()), "hi", thread="t")
            await quiet()
            run = memory._runs[first.id]
            run.leased_until = 0
            lease = await memory.claim(first.id)
            assert lease is not None
            async with trio.open_nursery() as nursery:
                started: list[Run] = []

                async def start() -> None:
                    started.append(await runtime.start(quick(), "hi", thread="t", on_busy="cancel"))

                nursery.start_soon(start)
                await trio.sleep(1)
                assert started == []
                await cancel_log(memory, lease, "enough")
            await started[0].wait()


class Late(FaultyStore):
    """What was created is known later to whoever has created it than to others."""

    async def perform(self, operation: str, act: Callable[[], Awaitable[Any]]) -> Any:
        outcome = await super().perform(operation, act)
        if operation == "create":
            await trio.sleep(3 * self.delay)
        return outcome


class TestKeysInThreads:
    async def test_a_key_finds_its_run_in_a_busy_thread(self) -> None:
        async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
            how: dict[str, Any] = {"thread": "t", "idempotency_key": "k"}
            run = await runtime.start(endless(), "hi", **how)
            assert await runtime.start(endless(), "hi", **how) is run
            assert await runtime.start(endless(), "hi", on_busy="cancel", **how) is run
            assert run.status == "active"
            await run.cancel()

    async def test_and_in_one_that_has_gone_on(self) -> None:
        """Its answer does not change with what came behind it."""
        async with open_runtime() as runtime:
            how: dict[str, Any] = {"thread": "t", "idempotency_key": "k"}
            first = await runtime.start(quick(), "hi", **how)
            await first.wait()
            await (await runtime.start(quick(), "ho", thread="t")).wait()
            busy = await runtime.start(endless(), "hm", thread="t")
            again = await runtime.start(quick(), "hi", **how)
            assert again.id == first.id
            assert len((await again.wait()).messages) == 2
            await busy.cancel()

    @pytest.mark.parametrize(
        "change", [{"thread": "u"}, {"thread": None}, {"after": ""}, {"after": "x"}]
    )
    async def test_a_key_for_another_place_is_another_request(self, change: dict[str, Any]) -> None:
        async with open_runtime() as runtime:
            how: dict[str, Any] = {"thread": "t", "idempotency_key": "k"}
            run = await runtime.start(endless(), "hi", **how)
            with pytest.raises(KeyReused):
                await runtime.start(endless(), "hi", **{**how, **change})
            if change.get("thread", "t") is not None:
                with pytest.raises(KeyReused):
                    await runtime.start(endless(), "hi", on_busy="cancel", **{**how, **change})
            assert run.status == "active"
            await run.cancel()

    @pytest.mark.parametrize("busy", [False, True])
    @pytest.mark.parametrize("delay", [0.0, 0.5])
    async def test_twins_do_not_cancel_each_other(
        self, busy: bool, delay: float, autojump_clock: trio.testing.MockClock
    ) -> None:
        """One request, sent twice: there is one run, and both have it."""
        store = Late(MemoryStore())
        async with open_runtime(store=store) as runtime:
            other = await runtime.start(endless(), "1st", thread="t") if busy else None
            store.delay = delay
            how: dict[str, Any] = {"thread": "t", "on_busy": "cancel", "idempotency_key": "k"}
            runs: list[Run] = []

            async def start(after: float) -> None:
                await trio.sleep(after)
                runs.append(await runtime.start(endless(), "hi", **how))

            async with trio.open_nursery() as nursery:
                for number in range(5):
                    nursery.start_soon(start, number * 0.3)
            store.delay = 0
            assert len(runs) == 5
            assert {id(run) for run in runs} == {id(runs[0])}
            assert runs[0].status == "active"
            assert other is None or other.status == "cancelled"
            await runs[0].cancel()

    async def test_a_twin_that_was_begun_elsewhere_is_found(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        how: dict[str, Any] = {"thread": "t", "on_busy": "cancel", "idempotency_key": "k"}
        async with shared(delay=0.2) as both:
            runs: list[Run] = []

            async def start(runtime: Runtime) -> None:
                runs.append(await runtime.start(endless(), "hi", **how))

            async with trio.open_nursery() as nursery:
                for runtime in both.runtimes:
                    nursery.start_soon(start, runtime)
            assert len({run.id for run in runs}) == 1
            assert (await both.store.info(runs[0].id)).active
            await runs[0].cancel()


class Moving(FaultyStore):
    """Somebody else does something between a look at a thread and what comes of it."""

    def __init__(self, memory: MemoryStore, *acts: Callable[[], Awaitable[object]]) -> None:
        super().__init__(memory)
        self.acts = list(acts)

    async def create(self, record: RunRecord) -> Created:
        if self.acts:
            await self.acts.pop(0)()
        return await super().create(record)


class TestAThreadThatMoves:
    @pytest.mark.parametrize(("moves", "said"), [(0, ""), (1, "x"), (2, "xy"), (3, ""), (4, "z")])
    async def test_what_was_said_in_between_is_read(self, moves: int, said: str) -> None:
        memory = MemoryStore()
        acts: list[Callable[[], Awaitable[object]]] = [
            partial(add_turn, memory, "x", UserMessage("x")),
            partial(add_turn, memory, "y", UserMessage("y"), follows="x"),
            partial(memory.delete_thread, None, "t"),
            partial(add_turn, memory, "z", UserMessage("z")),
        ]
        model = ScriptedModel(["ok"])
        store = Moving(memory, *acts[:moves])
        async with open_runtime(store=store) as runtime:
            run = await runtime.start(Agent(model=model), "hi", thread="t")
            await run.wait()
            assert model.requests[0].messages == (*map(UserMessage, said), UserMessage("hi"))
            assert runtime.statistics().active == 0
            assert (await memory.thread(None, "t")).head == run.id
        assert store.calls["create"] == moves + 1

    async def test_somebody_begins_in_between(self) -> None:
        memory = MemoryStore()
        begin = partial(memory.create, record("x", thread="t"))
        async with open_runtime(store=Moving(memory, begin)) as runtime:
            with pytest.raises(ThreadBusy) as raised:
                await runtime.start(quick(), "hi", thread="t")
            assert raised.value.run_id == "x"
            assert runtime.statistics().active == 0

    async def test_a_run_to_follow_that_is_removed_in_between(self) -> None:
        memory = MemoryStore()
        await add_turn(memory, "x", UserMessage("x"))
        store = Moving(memory, partial(memory.delete_thread, None, "t"))
        async with open_runtime(store=store) as runtime:
            with pytest.raises(ValueError, match=r"^run 'x' has no turn"):
                await runtime.start(quick(), "hi", thread="t", after="x")
            assert runtime.statistics().active == 0

    @pytest.mark.parametrize("operation", ["thread", "turns", "lookup", "create"])
    async def test_a_store_that_is_away(self, operation: str) -> None:
        memory = MemoryStore()
        await add_turn(memory, "x", UserMessage("x"))
        store = FaultyStore(memory)
        async with open_runtime(store=store) as runtime:
            store.away.add(operation)
            with pytest.raises(StoreUnavailable):
                await runtime.start(quick(), "hi", thread="t", idempotency_key="k")
            store.away.clear()
            assert runtime.statistics().active == 0
            assert (await runtime.thread("t")).active is None
            await (await runtime.start(quick(), "hi", thread="t", idempotency_key="k")).wait()

    async def test_a_place_that_is_none(self) -> None:
        store = FaultyStore(MemoryStore())
        async with open_runtime(store=store) as runtime:
            for how in ({"thread": ""}, {"after": "x"}, {"on_busy": "cancel"}):
                with pytest.raises(ValueError, match="thread"):
                    await runtime.start(quick(), "hi", **how)  # type: ignore[call-overload, arg-type]
        assert store.calls["create"] == 0


class TestNothingIsDoneForNothing:
    @pytest.mark.parametrize(
        ("limits", "how", "error"),
        [
            ({}, {"after": "nobody"}, ValueError),
            ({"max_thread_bytes": 10}, {"after": "x"}, TooLarge),
        ],
        ids=["no such turn", "too large"],
    )
    async def test_who_is_active_goes_on_where_nothing_can_start(
        self, limits: dict[str, Any], how: dict[str, Any], error: type[Exception]
    ) -> None:
        memory = MemoryStore()
        await add_turn(memory, "x", UserMessage("x" * 20))
        async with open_runtime(store=memory, limits=RuntimeLimits(**limits)) as runtime:
            first = await runtime.start(endless(), "hi", thread="t", after="")
            with pytest.raises(error):
                await runtime.start(quick(), "hi", thread="t", on_busy="cancel", **how)
            assert first.status == "active"
            assert runtime.statistics().active == 1
            await first.cancel()

    async def test_a_full_runtime_reads_nothing_of_a_thread(self) -> None:
        store = FaultyStore(MemoryStore())
        async with open_runtime(store=store, limits=RuntimeLimits(max_streams=1)) as runtime:
            await (await runtime.start(quick(), "hi", thread="t")).wait()
            first = await runtime.start(endless(), "hi")
            with pytest.raises(LimitExceeded):
                await runtime.start(quick(), "hi", thread="t")
            assert store.calls["turns"] == 0
            await first.cancel()

    async def test_who_is_active_elsewhere_frees_no_place(self) -> None:
        """So it is not cancelled where all places are taken."""
        store = LastingStore()
        async with open_runtime(store=store, limits=RuntimeLimits(max_streams=1)) as runtime:
            waiting = await runtime.start(asking(), "hi", thread="t")
            await asleep(waiting)
            first = await runtime.start(endless(), "hi")
            with pytest.raises(LimitExceeded):
                await runtime.start(quick(), "hi", thread="t", on_busy="cancel")
            assert (await runtime.find(waiting.id)).status == "waiting"
            await first.cancel()
            await (await runtime.find(waiting.id)).cancel()


class Hanging(FaultyStore):
    """Has done it when it is cancelled."""

    async def create(self, record: RunRecord) -> Created:
        await super().create(record)
        await trio.sleep_forever()
        raise AssertionError


class TestACreationThatIsCancelled:
    async def test_its_thread_is_free_at_once(self) -> None:
        memory = MemoryStore()
        async with open_runtime(store=Hanging(memory)) as runtime:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(runtime.start, quick(), "hi", thread="t"))
                await trio.testing.wait_all_tasks_blocked()
                assert (await runtime.thread("t")).active is not None
                nursery.cancel_scope.cancel()
            [run] = (await runtime.runs()).runs
            assert run.status == "cancelled"
            with pytest.raises(UnknownThread):
                await runtime.thread("t")
            assert runtime.statistics().active == 0

    async def test_who_has_its_key_finds_it_at_work(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        memory = MemoryStore()
        agent = quick()
        async with open_runtime(store=Hanging(memory), agents=[agent]) as runtime:
            async with trio.open_nursery() as nursery:
                key = {"thread": "t", "idempotency_key": "k"}
                nursery.start_soon(partial(runtime.start, agent, "hi", **key))  # type: ignore[arg-type]
                await trio.testing.wait_all_tasks_blocked()
                nursery.cancel_scope.cancel()
            found = await runtime.start(agent, "hi", thread="t", idempotency_key="k")
            assert (await found.wait()).text == "a"
            assert (await runtime.thread("t")).head == found.id
