"""The runtime as its users call it: starting, finding, removing runs, and draining."""

import gc
from functools import partial
from hashlib import sha256
from typing import Any
from weakref import ref

import msgspec
import pytest
import trio
import trio.testing
from runtime_kit import endless, finished, quick, stepwise
from shared_kit import LEASE, quiet, shared

from trio_agent._agent import Agent
from trio_agent._errors import (
    CursorExpired,
    KeyReused,
    LimitExceeded,
    ModelError,
    StoreUnavailable,
    UnknownRun,
)
from trio_agent._events import ToolRequest
from trio_agent._limits import RuntimeLimits
from trio_agent._log.log import Append
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Created
from trio_agent._log.subscription import Subscription
from trio_agent._messages import (
    AnyMessage,
    AssistantMessage,
    File,
    Text,
    ToolMessage,
    UserMessage,
)
from trio_agent._run.job import Job
from trio_agent._run.listed import RunPage
from trio_agent._run.live_run import LiveRun
from trio_agent._run.machine import Machine
from trio_agent._run.performer import Performer
from trio_agent._run.run import Run
from trio_agent._run.stored_run import StoredRun
from trio_agent._runtime import live_runs
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime, RuntimeStatistics
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import ModelFinish, ModelRequest
from trio_agent.stores._memory import MemoryStore
from trio_agent.testing import FaultyStore, ScriptedModel, StoreProxy, call
from trio_agent.tools._context import Principal
from trio_agent.tools._tool import tool


async def test_runs_live_on_when_their_starter_is_gone() -> None:
    async with open_runtime() as runtime:
        runs: list[Run] = []

        async def handle() -> None:
            runs.append(await runtime.start(endless(), "hi"))
            await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(handle)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        [run] = runs
        assert run.status == "active"
        await run.cancel()


async def test_nothing_to_say() -> None:
    async with open_runtime() as runtime:
        with pytest.raises(ValueError, match="give a prompt or messages"):
            await runtime.start(quick())
        open_call = AssistantMessage("", (ToolRequest("1", "t", {}),))
        with pytest.raises(ValueError, match="has no result"):
            await runtime.start(quick(), "hi", messages=[UserMessage("a"), open_call])
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_a_transcript_goes_on() -> None:
    model = ScriptedModel(["b"])
    earlier: list[AnyMessage] = [
        UserMessage("a"),
        AssistantMessage("", (ToolRequest("1", "t", {}),)),
        ToolMessage("1", "x"),
    ]
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model), "go on", messages=earlier)
        result = await run.wait()
    assert model.requests[0].messages == (*earlier, UserMessage("go on"))
    assert result.messages == (*earlier, UserMessage("go on"), AssistantMessage("b"))


PNG = File("image/png", data=b"PNG")


def shown(file: File) -> UserMessage:
    return UserMessage((Text("what is it?"), file))


async def test_a_file_goes_to_the_model_and_beside_the_run() -> None:
    model = ScriptedModel(["A cat."], ["Again."])
    url = File("x/y", url="data:image/png;base64,UE5H")
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model), messages=[shown(url)], owner="me")
        result = await run.wait()
        assert result.messages[0] == model.requests[0].messages[0]
        digest = sha256(b"PNG").hexdigest()
        assert await runtime.store.read_blob(run.id, digest) == b"PNG"
        # A later run of the same owner has a file of its own.
        said = shown(File("image/png", blob=f"{run.id}/{digest}"))
        again = await runtime.start(Agent(model=model), messages=[said], owner="me")
        await again.wait()
        await runtime.delete(run.id)
        assert model.requests[1].messages == (shown(PNG),)
        assert await runtime.store.read_blob(again.id, digest) == b"PNG"


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (File("image/png"), "exactly one of"),
        (File("image/png", data=b"x" * 101), "^the files of a run have at most 100 bytes"),
        (File("image/png", blob=f"nobody/{'0' * 64}"), "there is no file nobody/0.* any more"),
        (File("image/png", blob=f"{{run}}/{'0' * 64}"), "there is no file"),
        (File("image/png", blob="{run}/{digest}"), "there is no file"),  # it is somebody else's
    ],
)
async def test_files_that_are_not_taken(file: File, why: str) -> None:
    async with open_runtime(limits=RuntimeLimits(max_blob_bytes=100)) as runtime:
        run = await runtime.start(quick(), messages=[shown(PNG)], owner="you")
        await run.wait()
        if file.blob is not None:
            names = {"{run}": run.id, "{digest}": sha256(b"PNG").hexdigest()}
            blob = file.blob
            for name, value in names.items():
                blob = blob.replace(name, value)
            file = File(file.media_type, blob=blob)
        with pytest.raises(ValueError, match=why):
            await runtime.start(quick(), messages=[shown(file)], owner="me")
        assert runtime.statistics().active == 0


async def test_a_key_finds_its_run_when_the_files_of_an_earlier_one_are_gone() -> None:
    async with open_runtime() as runtime:
        first = await runtime.start(quick(), messages=[shown(PNG)], owner="me")
        await first.wait()
        blob = File("image/png", blob=f"{first.id}/{sha256(b'PNG').hexdigest()}")
        said = [shown(blob)]
        run = await runtime.start(quick(), messages=said, owner="me", idempotency_key="k")
        await run.wait()
        await runtime.delete(first.id)
        # By whatever form the file is given in.
        own = f"{run.id}/{sha256(b'PNG').hexdigest()}"
        for form in (
            blob,
            PNG,
            File("image/png", blob=own),
            File("Image/png", url="data:;base64,UE5H"),
        ):
            again = await runtime.start(
                quick(), messages=[shown(form)], owner="me", idempotency_key="k"
            )
            assert again is run
        for owner, key in (("you", "k"), ("me", "l")):
            with pytest.raises(ValueError, match="there is no file"):
                await runtime.start(quick(), messages=said, owner=owner, idempotency_key=key)
        other = File("image/png", blob=f"{first.id}/{'0' * 64}")
        with pytest.raises(KeyReused):
            await runtime.start(quick(), messages=[shown(other)], owner="me", idempotency_key="k")
        assert runtime.statistics().active == 0


async def test_who_gets_no_place_has_no_file_read() -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(max_streams=1)) as runtime:
        run = await runtime.start(endless(), messages=[shown(PNG)])
        said = shown(File("image/png", blob=f"{run.id}/{sha256(b'PNG').hexdigest()}"))
        with pytest.raises(LimitExceeded):
            await runtime.start(quick(), messages=[said])
        assert not store.calls["read_blob"]
        await run.cancel()
        # A file that can't be read takes no place either.
        store.away.add("read_blob")
        with pytest.raises(StoreUnavailable):
            await runtime.start(quick(), messages=[said])
        store.away.clear()
        await (await runtime.start(quick(), messages=[said])).wait()


async def test_a_creation_that_fails_takes_no_place() -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store, limits=RuntimeLimits(max_streams=1)) as runtime:
        store.away.add("create")
        with pytest.raises(StoreUnavailable):
            await runtime.start(quick(), "hi")
        store.away.clear()
        with trio.CancelScope() as scope:
            scope.cancel()
            await runtime.start(quick(), "hi")
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)
        await finished(runtime)


async def test_statistics_while_a_run_is_being_created(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = FaultyStore(MemoryStore())
    async with open_runtime(store=store) as runtime, trio.open_nursery() as nursery:
        store.delay = 1
        nursery.start_soon(runtime.start, quick(), "hi")
        await trio.sleep(0.5)
        assert runtime.statistics() == RuntimeStatistics(1, 0, 0)


async def test_idempotency() -> None:
    async with open_runtime() as runtime:
        first = await runtime.start(quick(), "hi", owner="me", idempotency_key="k")
        assert await runtime.start(quick(), "hi", owner="me", idempotency_key="k") is first
        other = await runtime.start(quick(), "hi", owner="you", idempotency_key="k")
        assert other is not first
        await first.wait()
        assert await runtime.start(quick(), "hi", owner="me", idempotency_key="k") is first
        await other.wait()
        assert runtime.statistics().active == 0


async def test_one_key_twice_at_once(autojump_clock: trio.testing.MockClock) -> None:
    """Who comes second finds the run even while the store's answer is still on its way."""

    class SlowAnswer(FaultyStore):
        async def create(self, record: RunRecord) -> Created:
            created = await super().create(record)
            if created.lease is not None:
                await trio.sleep(1)
            return created

    async with open_runtime(store=SlowAnswer(MemoryStore())) as runtime:
        runs: list[Run] = []

        async def start() -> None:
            runs.append(await runtime.start(quick(), "hi", idempotency_key="k"))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(start)
        assert len(set(runs)) == 1
        await runs[0].wait()
        assert runtime.statistics().active == 0


async def test_a_key_of_a_run_that_is_not_here() -> None:
    store = MemoryStore()
    await store.create(
        RunRecord(run_id="r", epoch="e", agent="a", created_at=0, idempotency_key="k")
    )
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(quick(), "hi", idempotency_key="k")
        assert (run.id, run.status) == ("r", "active")
        assert runtime._live.find("r") is None
        assert runtime.statistics() == RuntimeStatistics(0, 0, 0)


async def test_one_key_in_two_processes(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        a, b = s.runtimes
        model = ScriptedModel(["a"])
        first = await a.start(Agent(model=model), "hi", owner="me", idempotency_key="k")
        second = await b.start(Agent(model=model), "hi", owner="me", idempotency_key="k")
        assert second.id == first.id
        assert isinstance(second, StoredRun)
        assert await second.wait() == await first.wait()
        assert len(model.requests) == 1
        assert b.statistics().active == 0


async def test_one_key_in_two_processes_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s, trio.open_nursery() as nursery:
        model = ScriptedModel(["a"])
        runs: list[Run] = []

        async def start(runtime: Runtime) -> None:
            runs.append(await runtime.start(Agent(model=model), "hi", idempotency_key="k"))

        for runtime in s.runtimes:
            nursery.start_soon(start, runtime)
        while len(runs) < 2:
            await quiet()
        assert {type(run) for run in runs} == {LiveRun, StoredRun}
        assert await runs[0].wait() == await runs[1].wait()
        assert len(model.requests) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"prompt": "ho"},
        {"prompt": "hi", "metadata": {"n": 1}},
        {"prompt": None, "messages": [UserMessage("ho")]},
    ],
)
async def test_a_key_is_not_for_another_request(other: dict[str, Any]) -> None:
    async with open_runtime(limits=RuntimeLimits(max_streams=1)) as runtime:
        first = await runtime.start(endless(), "hi", idempotency_key="k")
        # Whether the server is full or not.
        for _ in range(2):
            with pytest.raises(KeyReused, match="another request"):
                await runtime.start(endless(), **other, idempotency_key="k")
            again = await runtime.start(
                endless(), messages=[UserMessage("hi")], idempotency_key="k", on_disconnect="cancel"
            )
            assert again.id == first.id
            await first.cancel()
        assert runtime.statistics().active == 0


@pytest.mark.parametrize("shared_store", [False, True])
@pytest.mark.parametrize("why", ["full", "draining"])
async def test_a_key_finds_its_run_where_no_more_are_started(why: str, shared_store: bool) -> None:
    memory = MemoryStore()
    store = SharedStore(memory) if shared_store else memory
    async with open_runtime(store=store, limits=RuntimeLimits(max_streams=2)) as runtime:
        first = await runtime.start(endless(), "hi", owner="me", idempotency_key="k")
        other = await runtime.start(endless(), "hi")
        if why == "draining":
            with trio.CancelScope() as scope:
                scope.cancel()
                await runtime.drain(100)
        again = await runtime.start(endless(), "hi", owner="me", idempotency_key="k")
        assert again is first
        for owner, key in (("you", "k"), ("me", "l"), (None, None)):
            with pytest.raises(LimitExceeded):
                await runtime.start(endless(), "hi", owner=owner, idempotency_key=key)
        assert runtime.statistics().active == 2
        await first.cancel()
        await other.cancel()


async def test_a_start_waits_for_those_with_its_own_key_only(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Hung(FaultyStore):
        """It does not answer for some seconds."""

        async def create(self, record: RunRecord) -> Created:
            await trio.sleep(5)
            raise StoreUnavailable("no answer")

    async with open_runtime(store=Hung(MemoryStore())) as runtime:
        waited: list[float] = []

        async def start(key: str) -> None:
            with pytest.raises(StoreUnavailable):
                await runtime.start(quick(), "hi", idempotency_key=key)
            waited.append(trio.current_time())

        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(start, str(n))
        assert {at - begin for at in waited} == {5}
        assert not runtime._starting._by_key


async def test_a_finished_run_holds_nothing_of_what_was_said() -> None:
    """Who looks for it later finds it in the store, with the same result."""

    def performing() -> list[object]:
        return [each for each in gc.get_objects() if isinstance(each, Machine | Job)]

    others = set(map(id, kept := performing()))
    store = StoreProxy(MemoryStore())
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(quick(), "hi", idempotency_key="k")
        result, run_id, held = await run.wait(), run.id, ref(run)
        await trio.testing.wait_all_tasks_blocked()
        assert await runtime.find(run_id) is run
        del run
        gc.collect()
        assert held() is None
        assert not set(map(id, performing())) - others
        del kept
        assert runtime.statistics() == RuntimeStatistics(0, 1, 0)
        found = await runtime.start(quick(), "hi", idempotency_key="k")
        assert (found.id, found.status, await found.wait()) == (run_id, "stop", result)
        with found.subscribe():
            assert runtime.statistics() == RuntimeStatistics(0, 1, 1)
        assert await runtime.find(run_id) is not found
        assert (await found.cancel()).outcome == "stop"


async def test_a_finished_run_holds_no_file_and_nothing_that_a_provider_wants_back() -> None:
    class Secretive(Model):
        async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
            return ModelFinish("stop", provider={"p": {"signature": "s" * len(request.messages)}})

    def held() -> list[object]:
        return [
            each
            for each in gc.get_objects()
            if (isinstance(each, RunRecord) and (each.private or each.blobs))
            or (isinstance(each, Append | ModelFinish | AssistantMessage))
        ]

    others = set(map(id, kept := held()))
    store = StoreProxy(MemoryStore())
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(Agent(model=Secretive()), messages=[shown(PNG)])
        result = await run.wait()
        said = result.messages[1]
        assert isinstance(said, AssistantMessage)
        assert said.provider == {"p": {"signature": "s"}}
        del run, result, said
        await trio.testing.wait_all_tasks_blocked()
        gc.collect()
        assert not [each for each in held() if id(each) not in others]
        del kept
        assert runtime.statistics().retained == 1


async def test_finding_runs() -> None:
    async with open_runtime() as runtime:
        run = await finished(runtime)
        assert await runtime.find(run.id) is run
        with pytest.raises(UnknownRun, match="there is no run 'nope'"):
            await runtime.find("nope")


async def test_no_such_run(autojump_clock: trio.testing.MockClock) -> None:
    async with shared() as s:
        with pytest.raises(UnknownRun):
            await s.runtimes[1].find("nope")


async def test_its_own_process_finds_it_alive(autojump_clock: trio.testing.MockClock) -> None:
    agent, (second,) = stepwise("a", "b")
    async with shared() as s:
        run = await s.runtimes[0].start(agent, "hi")
        with trio.testing.assert_checkpoints():
            assert await s.runtimes[0].find(run.id) is run
        second.set()


async def test_listing() -> None:
    async with open_runtime() as runtime:
        owners = ["ann", "bob", "ann"]
        ids = [(await runtime.start(quick(), "hi", owner=owner)).id for owner in owners]
        await trio.testing.wait_all_tasks_blocked()
        ids.reverse()
        with trio.testing.assert_checkpoints():
            first = await runtime.runs(limit=2)
        assert [(run.id, run.owner, run.status) for run in first.runs] == [
            (ids[0], "ann", "stop"),
            (ids[1], "bob", "stop"),
        ]
        second = await runtime.runs(before=first.next, limit=2)
        assert [run.id for run in second.runs] == ids[2:]
        assert await runtime.runs(before=second.next) == RunPage((), None)
        assert [run.id for run in (await runtime.runs("ann")).runs] == [ids[0], ids[2]]
        await runtime.delete(ids[2])
        with pytest.raises(CursorExpired):
            await runtime.runs(before=ids[2])
        with pytest.raises(ValueError, match=r"^limit is at least 1"):
            await runtime.runs(limit=0)


async def test_options_and_limits_of_one_run() -> None:
    model = ScriptedModel(*[["a"]] * 2)
    agent = Agent(model=model, options={"seed": 1, "top_p": 1})
    async with open_runtime() as runtime:
        await (await runtime.start(agent, "hi", options={"seed": 2})).wait()
        await (await runtime.start(agent, "hi")).wait()
        assert [request.options for request in model.requests] == [
            {"seed": 2, "top_p": 1},
            {"seed": 1, "top_p": 1},
        ]
        run = await runtime.start(endless(), "hi", limits={"run_deadline": 1e-9})
        assert (await run.wait()).finish_reason == "timeout"
        for wrong in ({"limits": {"steps": 1}}, {"options": {"tools": []}}):
            with pytest.raises(ValueError, match=r"there is no limit|remove it"):
                await runtime.start(agent, "hi", **wrong)  # type: ignore[arg-type]
        assert runtime.statistics().active == 0


@pytest.mark.parametrize(
    ("given", "principal"),
    [
        ({}, None),
        ({"owner": "ann"}, Principal("ann")),
        ({"owner": "ann", "claims": {"plan": ["free"]}}, Principal("ann", {"plan": ["free"]})),
    ],
)
async def test_the_principal_reaches_the_run(
    given: dict[str, Any], principal: Principal | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    class Watched(Performer):
        def __init__(self, job: Job, *others: Any) -> None:
            jobs.append(job)
            super().__init__(job, *others)

    monkeypatch.setattr(live_runs, "Performer", Watched)
    async with open_runtime() as runtime:
        run = await runtime.start(quick(), "hi", **given)
        given.get("claims", {}).clear()  # it is a copy
        assert jobs[0].order.principal == principal
        [private] = await runtime.store.read_private(run.id, [0])
        claims = {} if principal is None else principal.claims
        assert msgspec.json.decode(private)["claims"] == claims


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"claims": {"a": 1}}, "^claims are those of an owner"),
        ({"owner": "ann", "claims": {"a": object()}}, "^claims has a object"),
    ],
)
async def test_claims_that_are_none(given: dict[str, Any], why: str) -> None:
    async with open_runtime() as runtime:
        with pytest.raises(ValueError, match=why):
            await runtime.start(quick(), "hi", **given)


async def test_deleting() -> None:
    async with open_runtime() as runtime:
        active, run = await runtime.start(endless(), "hi"), await finished(runtime)
        with pytest.raises(LimitExceeded, match="active"):
            await runtime.delete(active.id)
        await runtime.delete(run.id)
        assert runtime._live.find(run.id) is None
        with pytest.raises(UnknownRun):
            await runtime.delete("nope")
        await active.cancel()
        assert runtime.statistics() == RuntimeStatistics(0, 1, 0)


async def test_drain(autojump_clock: trio.testing.MockClock) -> None:
    async with open_runtime() as runtime:
        done = await finished(runtime)
        short = await runtime.start(Agent(model=ScriptedModel([3.0, "a"])), "hi")
        long = await runtime.start(endless(), "hi")
        begin = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runtime.drain, 10)
            nursery.start_soon(runtime.wait_drained)
            await trio.testing.wait_all_tasks_blocked()
            assert not runtime.accepting
            with pytest.raises(LimitExceeded, match="draining"):
                await runtime.start(quick(), "hi")
        assert trio.current_time() - begin == 10
        assert (await short.wait()).finish_reason == "stop"
        result = await long.wait()
        assert (result.finish_reason, result.reason) == ("cancelled", "the runtime was drained")
        assert await runtime.find(done.id) is done
        await runtime.drain(10)
        assert trio.current_time() - begin == 10


async def test_a_drain_that_is_cancelled_still_refuses() -> None:
    async with open_runtime() as runtime:
        run = await runtime.start(endless(), "hi")
        with trio.CancelScope() as scope:
            scope.cancel()
            await runtime.drain(10)
        assert not runtime.accepting
        await run.cancel()


class SharedStore(StoreProxy):
    """Memory, as if several servers could have it."""

    @property
    def shared(self) -> bool:
        return True


async def drain(runtime: Runtime, *, leaving: Subscription) -> None:
    """Begin to drain a runtime, and send its viewer away, as servers do."""
    await runtime.wait_draining()
    leaving.close()


async def test_who_is_sent_away_by_a_drain_has_not_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    store = MemoryStore(lease=LEASE)
    async with (
        open_runtime(store=SharedStore(store)) as a,
        open_runtime(store=SharedStore(store)) as b,
        trio.open_nursery() as nursery,
    ):
        here = await a.start(endless(), "hi", on_disconnect="cancel")
        there = await a.start(endless(), "hi", on_disconnect="cancel")
        nursery.start_soon(partial(drain, b, leaving=(await b.find(there.id)).subscribe()))
        await quiet()
        assert there.statistics().viewers == 0
        await b.drain(0)
        await quiet()
        assert there.status == "active"
        # It comes back to the other one in time.
        again = there.subscribe()
        await trio.sleep(3 * LEASE)
        assert there.status == "active"
        nursery.start_soon(partial(drain, a, leaving=here.subscribe()))
        nursery.start_soon(partial(drain, a, leaving=again))
        await quiet()
        with trio.move_on_after(LEASE):
            await a.drain(100)
        assert (here.status, there.status) == ("active", "active")
        await a.drain(0)
        assert (here.status, there.status) == ("cancelled", "cancelled")
        assert here.cancel_reason == "the runtime was drained"  # type: ignore[attr-defined]


async def test_who_leaves_while_the_memory_is_drained_has_left(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(endless(), "hi", on_disconnect="cancel")
        nursery.start_soon(partial(drain, runtime, leaving=run.subscribe()))
        await runtime.drain(100)
        assert run.cancel_reason == "nobody watches"  # type: ignore[attr-defined]


async def test_a_tool_can_start_a_run() -> None:
    @tool
    async def ask() -> str:
        """Ask somebody else."""
        child = await runtime.start(quick("from the child"), "hi")
        return (await child.wait()).text

    model = ScriptedModel([call("1", "ask")], ["ok"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[ask]), "hi")
        await run.wait()
        assert model.requests[1].messages[-1] == ToolMessage("1", "from the child")


async def test_checking_a_model() -> None:
    class Checked(ScriptedModel):
        async def check(self) -> None:
            raise ModelError("unreachable", "no route")

    async with open_runtime() as runtime:
        await runtime.check_model(quick())
        with pytest.raises(ModelError, match="unreachable"):
            await runtime.check_model(Agent(model=Checked()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_streams": 0},
        {"max_log_bytes": 10},
        {"closing_bound": 0},
        {"store_patience": -1},
        {"tool_threads": 0},
    ],
)
def test_limits_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        RuntimeLimits(**wrong)
