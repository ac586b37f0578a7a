"""What a run has open for its agents: dependencies, sources of tools, instructions."""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Literal

import pytest
import trio
import trio.testing
from runtime_kit import logged

from trio_agent._agent import Agent
from trio_agent._errors import ModelError, RunFailed, RunIncomplete, ToolError, ToolSourceError
from trio_agent._events import ErrorDetail, RunError, RunFinish, RunSummary, ToolResult, Usage
from trio_agent._limits import Limits
from trio_agent._messages import ToolMessage
from trio_agent._nursery import leaves
from trio_agent._run.episode import without_answer
from trio_agent._run.run import current_run
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import ModelFinish, ModelRequest
from trio_agent.testing import ScriptedModel, call
from trio_agent.tools._context import Principal, RunContext, RunFacts, ToolContext
from trio_agent.tools._contract import Tool
from trio_agent.tools._source import OpenTools, ToolSource
from trio_agent.tools._tool import tool

Said = list[Any]


def transaction(said: Said) -> Callable[[RunFacts], Any]:
    """Dependencies that are committed or rolled back, as databases have them."""

    @asynccontextmanager
    async def open_deps(facts: RunFacts) -> AsyncIterator[str]:
        said.append(f"begin {facts.agent}")
        try:
            yield f"of {facts.agent}"
        except BaseException as exc:
            said.extend({type(each).__name__ for each in leaves(exc)})
            raise
        else:
            said.append("commit")
        finally:
            with trio.CancelScope(shield=True):
                for _ in range(10):
                    await trio.lowlevel.checkpoint()
            said.append(f"end {facts.agent}")

    return open_deps


@tool
async def look(context: ToolContext) -> Any:
    """Look."""
    return context.deps


@tool
async def wrong() -> None:
    """Wrong."""
    raise ToolError("no")


async def test_dependencies_are_open_as_long_as_their_run() -> None:
    said: Said = []

    @tool
    async def note(context: ToolContext[str]) -> str:
        """Note."""
        said.append(context.deps)
        return context.deps

    model = ScriptedModel([call("1", "note")], [call("2", "note")], ["Done."])
    agent = Agent(model=model, name="a", tools=[note], open_deps=transaction(said))
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await run.wait()
        # Before the receipt: nobody has let anything else go on.
        assert said == ["begin a", "of a", "of a", "commit", "end a"]


class Sore(Model):
    """Fails with what it is given."""

    def __init__(self, failure: BaseException) -> None:
        self._failure = failure

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        await trio.lowlevel.checkpoint()
        raise self._failure


@pytest.mark.parametrize(
    ("model", "limits", "told", "outcome"),
    [
        (ScriptedModel(["a"]), Limits(), "commit", "stop"),
        (Sore(ModelError("odd", "x")), Limits(), "ModelError", "error"),
        (Sore(KeyError("bug")), Limits(), "KeyError", "error"),
        # What ends within the machine is no exception by itself.
        (ScriptedModel([ModelFinish("content-filter")]), Limits(), "RunFailed", "error"),
        (ScriptedModel([call("1", "wrong")]), Limits(tool_retries=0), "RunFailed", "error"),
        (ScriptedModel([ModelFinish("length")]), Limits(), "RunIncomplete", "length"),
        (ScriptedModel([call("1", "look")]), Limits(max_steps=1), "RunIncomplete", "max-steps"),
        (ScriptedModel(["a", "b", "c"]), Limits(max_tokens=2), "RunIncomplete", "budget"),
        (ScriptedModel([9.0]), Limits(step_deadline=1), "RunIncomplete", "timeout"),
        (ScriptedModel([9.0]), Limits(run_deadline=1), "Cancelled", "timeout"),
        (ScriptedModel([trio.Event()]), Limits(), "Cancelled", "cancelled"),
    ],
)
async def test_without_an_answer_they_are_left_by_an_exception(
    model: Model,
    limits: Limits,
    told: str,
    outcome: str,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """So that what was done is rolled back; nobody else is told of that exception."""
    said: Said = []
    agent = Agent(
        model=model, name="a", tools=[look, wrong], limits=limits, open_deps=transaction(said)
    )
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        if outcome == "cancelled":
            await trio.testing.wait_all_tasks_blocked()
            run.request_cancel()
        await run._wait_gone()
        assert said == ["begin a", told, "end a"]
        assert run.status == outcome
    errors = [r for r in caplog.records if r.levelno >= logging.ERROR]
    assert len(errors) == (told == "KeyError")


def finish(reason: Any) -> RunFinish:
    return RunFinish(at=0, run=RunSummary("r", "", 1, reason, Usage()))


def test_what_an_end_without_an_answer_is() -> None:
    assert without_answer(None) is None
    assert without_answer(finish("stop")) is None
    assert isinstance(without_answer(finish("length")), RunIncomplete)
    failed = without_answer(RunError(at=0, error=ErrorDetail("odd", "why")))
    assert isinstance(failed, RunFailed)
    assert (failed.code, failed.message) == ("odd", "why")


@pytest.mark.parametrize("grouped", [False, True])
async def test_dependencies_that_can_not_be_opened(
    grouped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    @asynccontextmanager
    async def open_deps(_: RunFacts) -> AsyncIterator[None]:
        if grouped:
            async with trio.open_nursery():
                raise KeyError("s3cret")
        raise KeyError("s3cret")
        yield

    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"]), open_deps=open_deps), "hi")
        with pytest.raises(RunFailed, match=r"internal: internal error \(KeyError\)"):
            await run.wait()
        assert "s3cret" not in repr(await logged(runtime.store, run.id))
    assert "KeyError: 's3cret'" in caplog.text


@pytest.mark.parametrize(
    ("line", "outcome"),
    [
        ("a", "stop"),
        (ModelError("odd", "x"), "error"),
        (9.0, "timeout"),
        (trio.Event(), "cancelled"),
    ],
)
@pytest.mark.parametrize("grouped", [False, True])
async def test_what_fails_to_close_changes_no_outcome(
    line: Any,
    outcome: str,
    grouped: bool,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def open_deps(_: RunFacts) -> AsyncIterator[None]:
        try:
            if grouped:
                async with trio.open_nursery():
                    try:
                        yield
                    finally:
                        raise OSError("it can't be closed")
            else:
                yield
        finally:
            raise OSError("it can't be closed")

    limits = Limits(run_deadline=1 if outcome == "timeout" else 100)
    agent = Agent(model=ScriptedModel([line]), open_deps=open_deps, limits=limits)
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        if outcome == "cancelled":
            await trio.testing.wait_all_tasks_blocked()
            run.request_cancel()
        await run._wait_gone()
        last = (await logged(runtime.store, run.id))[-1]
        assert run.status == outcome
        if isinstance(last, RunError):
            assert last.error.code == "odd"
    assert "OSError: it can't be closed" in caplog.text


async def test_who_swallows_why_a_run_ended_is_told_so(caplog: pytest.LogCaptureFixture) -> None:
    """Not of the failures that the run has told already, and not of what is no end."""

    @asynccontextmanager
    async def open_deps(_: RunFacts) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.cancel_scope.cancel()
            yield

    agent = Agent(model=ScriptedModel([trio.Event()]), open_deps=open_deps)
    with pytest.raises(RunFailed, match=r"internal: internal error \(RuntimeError\)"):
        await agent.run("hi")
    assert "has swallowed why it ended" in caplog.text

    @asynccontextmanager
    async def greedy(_: RunFacts) -> AsyncIterator[None]:
        try:
            yield
        except Exception:
            return

    agent = Agent(model=ScriptedModel([ModelError("odd", "x")]), open_deps=greedy)
    with pytest.raises(RunFailed, match="odd: x"):
        await agent.run("hi")
    agent = Agent(model=ScriptedModel([ModelFinish("length")]), open_deps=greedy)
    assert (await agent.run("hi")).finish_reason == "length"


async def test_a_nursery_of_the_dependencies_may_end_the_run(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def lose() -> None:
        raise OSError("the connection is gone")

    @asynccontextmanager
    async def open_deps(_: RunFacts) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lose)
            yield

    agent = Agent(model=ScriptedModel([trio.Event()]), open_deps=open_deps)
    with pytest.raises(RunFailed, match=r"internal: internal error \(OSError\)"):
        await agent.run("hi")
    assert "the connection is gone" in caplog.text


async def test_cancelled_while_they_are_opened() -> None:
    said: Said = []

    @asynccontextmanager
    async def open_deps(_: RunFacts) -> AsyncIterator[None]:
        try:
            await trio.sleep_forever()
            yield
        finally:
            said.append("left")

    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["a"]), open_deps=open_deps), "hi")
        await trio.testing.wait_all_tasks_blocked()
        assert (await run.cancel()).outcome == "cancelled"
        assert said == ["left"]
        assert (await run.wait()).steps == 0


async def test_the_facts() -> None:
    seen: list[RunFacts] = []

    @asynccontextmanager
    async def open_deps(facts: RunFacts) -> AsyncIterator[str]:
        assert not isinstance(facts, ToolContext)
        seen.append(facts)
        yield facts.agent

    inner = Agent(model=ScriptedModel(["b"]), name="inner", open_deps=open_deps)
    model = ScriptedModel([call("1", "inner", prompt="do it")], ["a"])
    outer = Agent(model=model, name="outer", tools=[inner.as_tool()], open_deps=open_deps)
    async with open_runtime() as runtime:
        run = await runtime.start(
            outer, "hi", owner="ann", claims={"plan": "gold"}, metadata={"thread": 7}
        )
        await run.wait()
    principal = Principal("ann", {"plan": "gold"})
    common = {"run_id": run.id, "principal": principal, "metadata": {"thread": 7}}
    assert [(f.agent, f.parent) for f in seen] == [("outer", None), ("inner", "1")]
    for facts in seen:
        assert {name: getattr(facts, name) for name in common} == common
    assert "gold" not in repr(seen)


async def test_deps_that_are_given() -> None:
    deps = object()
    seen: Said = []

    @tool
    async def take(context: ToolContext) -> None:
        """Take."""
        seen.append(context.deps)

    def agent(**settings: Any) -> Agent[Any, Any]:
        model = ScriptedModel([call("1", "take")], ["a"])
        return Agent(model=model, tools=[take], **settings)

    async with open_runtime() as runtime:
        await (await runtime.start(agent(), "hi", deps=deps)).wait()
        await (await runtime.start(agent(), "hi", deps=None)).wait()
        await (await runtime.start(agent(), "hi")).wait()
        with pytest.raises(ValueError, match="opens its dependencies"):
            await runtime.start(agent(open_deps=transaction([])), "hi", deps=deps)
        assert runtime.statistics().active == 0
    assert seen == [deps, None, None]


@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [(True, True, "of inner"), (True, False, "of inner"), (False, True, "of outer")],
)
async def test_the_dependencies_of_a_sub_agent(own: bool, given: bool, expected: str) -> None:
    """Its own, or those of the agent above it."""
    said: Said = []
    inner = Agent(
        model=ScriptedModel([call("7", "look")], ["b"]),
        name="inner",
        tools=[look],
        open_deps=transaction(said) if own else None,
    )
    model = ScriptedModel([call("1", "inner", prompt="do it")], [call("2", "look")], ["a"])
    outer = Agent(model=model, tools=[inner.as_tool(), look])
    await outer.run("hi", deps="of outer" if given else None)
    assert isinstance(inner.model, ScriptedModel)
    assert inner.model.requests[1].messages[-1] == ToolMessage("1/7", expected)
    assert model.requests[2].messages[-1].content == ("of outer" if given else "null")
    assert said == (["begin inner", "commit", "end inner"] if own else [])


async def test_a_sub_agents_dependencies_are_closed_with_its_call() -> None:
    said: Said = []
    inner = Agent(model=ScriptedModel([trio.Event()]), name="inner", open_deps=transaction(said))
    model = ScriptedModel([call("1", "inner", prompt="do it")])
    outer = Agent(model=model, name="outer", tools=[inner.as_tool()], open_deps=transaction(said))
    async with open_runtime() as runtime:
        run = await runtime.start(outer, "hi")
        await trio.testing.wait_all_tasks_blocked()
        await run.cancel()
        assert said == [
            "begin outer",
            "begin inner",
            "Cancelled",
            "end inner",
            "Cancelled",
            "end outer",
        ]


async def test_a_map_opens_for_each_run() -> None:
    said: Said = []
    agent = Agent(model=ScriptedModel(["a"], ["b"]), name="a", open_deps=transaction(said))
    async with (
        open_runtime() as runtime,
        runtime.map(agent, ["1", "2"], concurrency=1) as results,
    ):
        outputs = [mapped.result.text async for mapped in results if mapped.result]
    assert outputs == ["a", "b"]
    assert said == ["begin a", "commit", "end a"] * 2


variable: ContextVar[str] = ContextVar("variable", default="nobody's")


async def test_context_variables_of_the_dependencies() -> None:
    """They are set for all that works in the run, and reset in the task where they were set."""

    @asynccontextmanager
    async def open_deps(facts: RunFacts) -> AsyncIterator[None]:
        token = variable.set(facts.agent)
        try:
            yield
        finally:
            variable.reset(token)

    @tool
    async def in_a_task() -> str:
        """Look."""
        return variable.get()

    @tool
    def in_a_thread() -> str:
        """Look."""
        return variable.get()

    tools: list[Tool[Any]] = [in_a_task, in_a_thread]
    script = [call("1", "in_a_task"), call("2", "in_a_thread")]
    inner = Agent(
        model=ScriptedModel(script, ["b"]), name="inner", tools=tools, open_deps=open_deps
    )
    model = ScriptedModel([call("0", "inner", prompt="x")], script, ["a"])
    outer = Agent(model=model, name="outer", tools=[inner.as_tool(), *tools], open_deps=open_deps)
    await outer.run("hi")
    assert isinstance(inner.model, ScriptedModel)
    assert [m.content for m in inner.model.requests[1].messages[-2:]] == ["inner"] * 2
    assert [m.content for m in model.requests[2].messages[-2:]] == ["outer"] * 2
    assert variable.get() == "nobody's"


async def test_instructions_that_a_function_writes() -> None:
    """Once for the run, with its dependencies."""
    seen: list[RunContext[Any]] = []

    def instructions(context: RunContext[Any]) -> str:
        seen.append(context)
        return f"Work {context.deps}."

    model = ScriptedModel([call("1", "look")], ["a"])
    agent = Agent(
        model=model, name="a", instructions=instructions, tools=[look], open_deps=transaction([])
    )
    await agent.run("hi")
    assert [request.instructions for request in model.requests] == ["Work of a."] * 2
    assert len(seen) == 1


async def test_instructions_that_are_no_text(caplog: pytest.LogCaptureFixture) -> None:
    def nothing(_: RunContext[Any]) -> Any:
        return None

    with pytest.raises(RunFailed, match=r"internal: internal error \(TypeError\)"):
        await Agent(model=ScriptedModel(["a"]), instructions=nothing).run("hi")
    assert "instructions returned NoneType: let them return a str" in caplog.text


class Source(ToolSource, OpenTools):
    """A source whose tools, and whose troubles, the test decides."""

    def __init__(self, *tools: Any, scope: Literal["runtime", "run"] = "runtime") -> None:
        self.scope = scope
        self.tools = list(map(tool, tools))
        self.said: list[str] = []
        self.failure: Exception | None = None
        self.go_on = trio.Event()
        self.go_on.set()
        self.broken = trio.Event()

    def fingerprint(self) -> str:
        return "source"

    @asynccontextmanager
    async def open(self) -> AsyncIterator[OpenTools]:
        self.said.append("open")
        await self.go_on.wait()
        if self.failure is not None:
            raise self.failure
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._break_down)
                yield self
                nursery.cancel_scope.cancel()
        finally:
            self.said.append("close")

    async def _break_down(self) -> None:
        await self.broken.wait()
        raise ToolSourceError("the server is gone")

    async def list_tools(self) -> Sequence[Tool[Any]]:
        await trio.lowlevel.checkpoint()
        self.said.append("list")
        return self.tools


async def far() -> str:
    """Far."""
    return "from afar"


@pytest.mark.parametrize("scope", ["runtime", "run"])
async def test_a_source_is_opened_once_and_asked_before_each_step(scope: Any) -> None:
    source = Source(far, scope=scope)
    model = ScriptedModel([call("1", "far")], ["a"], ["b"])
    agent = Agent(model=model, sources=[source])
    async with open_runtime() as runtime:
        await (await runtime.start(agent, "hi")).wait()
        closed = ["close"] if scope == "run" else []
        assert source.said == ["open", "list", "list", *closed]
        await (await runtime.start(agent, "hi")).wait()
    if scope == "run":
        assert source.said == ["open", "list", "list", "close", "open", "list", "close"]
    else:
        assert source.said == ["open", "list", "list", "list", "close"]
    assert [spec.name for spec in model.requests[0].tools] == ["far"]
    assert model.requests[1].messages[-1] == ToolMessage("1", "from afar")


async def test_tools_that_change_between_steps() -> None:
    source = Source(far)

    async def change() -> None:
        """Change."""
        source.tools = [tool(far, name="farther")]

    source.tools.append(tool(change))
    model = ScriptedModel([call("1", "change"), call("2", "far")], [call("3", "far")], ["a"])
    await Agent(model=model, sources=[source]).run("hi")
    assert [[spec.name for spec in request.tools] for request in model.requests] == [
        ["far", "change"],
        ["farther"],
        ["farther"],
    ]
    assert [m.content for m in model.requests[2].messages if isinstance(m, ToolMessage)] == [
        "null",
        "from afar",
        "there is no tool 'far'; the tools are: farther",
    ]


async def test_own_tools_win(caplog: pytest.LogCaptureFixture) -> None:
    async def near() -> str:
        """Near."""
        return "from here"

    source = Source(far)
    model = ScriptedModel([call("1", "far")], ["a"])
    agent = Agent(model=model, tools=[tool(near, name="far")], sources=[source])
    await agent.run("hi")
    assert model.requests[1].messages[-1] == ToolMessage("1", "from here")
    assert "two tools are called 'far'" in caplog.text


@pytest.mark.parametrize("scope", ["runtime", "run"])
@pytest.mark.parametrize("grouped", [False, True])
async def test_a_source_that_can_not_be_opened(
    scope: Any, grouped: bool, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source(far, scope=scope)
    failure: Exception = ToolSourceError("no such server")
    source.failure = ExceptionGroup("of a nursery", [failure]) if grouped else failure
    agent = Agent(model=ScriptedModel(["a"]), sources=[source])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        with pytest.raises(RunFailed, match=r"^tools-unavailable: no such server$"):
            await run.wait()
        # The next run tries again.
        source.failure = None
        assert (await (await runtime.start(agent, "hi")).wait()).text == "a"
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("scope", ["runtime", "run"])
async def test_a_bug_in_opening_a_source(scope: Any, caplog: pytest.LogCaptureFixture) -> None:
    source = Source(far, scope=scope)
    source.failure = KeyError("bug")
    with pytest.raises(RunFailed, match=r"internal: internal error \(KeyError\)"):
        await Agent(model=ScriptedModel(["a"]), sources=[source]).run("hi")
    assert "KeyError: 'bug'" in caplog.text


@pytest.mark.parametrize("scope", ["runtime", "run"])
async def test_a_source_that_breaks_down(scope: Any, caplog: pytest.LogCaptureFixture) -> None:
    """One of the runtime's goes on with what it knew; one of the run's ends the run."""
    source = Source(far, scope=scope)
    go_on = trio.Event()
    agent = Agent(model=ScriptedModel([go_on, "a"], ["b"]), sources=[source])
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        await trio.testing.wait_all_tasks_blocked()
        source.broken.set()
        await trio.testing.wait_all_tasks_blocked()
        source.broken = trio.Event()
        go_on.set()
        if scope == "run":
            with pytest.raises(RunFailed, match=r"^tools-unavailable: the server is gone$"):
                await run.wait()
        else:
            assert (await run.wait()).text == "a"
            assert "broke down" in caplog.text
        assert (await (await runtime.start(agent, "hi")).wait()).text == "b"
    assert source.said.count("open") == source.said.count("close") == 2


async def test_a_source_that_can_not_list_its_tools() -> None:
    class Mute(Source):
        async def list_tools(self) -> Sequence[Tool[Any]]:
            if "list" in self.said:
                raise ToolSourceError("it does not answer")
            return await super().list_tools()

    model = ScriptedModel([call("1", "far")], ["a"])
    with pytest.raises(RunFailed, match=r"^tools-unavailable: it does not answer$"):
        await Agent(model=model, sources=[Mute(far)]).run("hi")
    assert len(model.requests) == 1


@pytest.mark.parametrize(("scope", "opened"), [("runtime", 1), ("run", 2)])
async def test_one_source_of_an_agent_and_its_sub_agent(scope: Any, opened: int) -> None:
    source = Source(far, scope=scope)
    inner = Agent(model=ScriptedModel([call("7", "far")], ["b"]), name="inner", sources=[source])
    model = ScriptedModel([call("1", "inner", prompt="x")], [call("2", "far")], ["a"])
    outer = Agent(model=model, tools=[inner.as_tool()], sources=[source])
    assert (await outer.run("hi")).text == "a"
    assert source.said.count("open") == source.said.count("close") == opened
    assert model.requests[2].messages[-1].content == "from afar"


async def test_cancelled_while_a_source_opens_that_others_wait_for() -> None:
    source = Source(far)
    source.go_on = trio.Event()
    agent = Agent(model=ScriptedModel(["a"]), sources=[source])
    async with open_runtime() as runtime:
        first = await runtime.start(agent, "hi")
        await trio.testing.wait_all_tasks_blocked()
        second = await runtime.start(agent, "hi")
        await trio.testing.wait_all_tasks_blocked()
        assert (await first.cancel()).outcome == "cancelled"
        source.go_on.set()
        assert (await second.wait()).text == "a"
        assert source.said == ["open", "list"]


async def test_the_first_step_may_have_to_call_a_tool_of_a_source() -> None:
    model = ScriptedModel([call("1", "far")], ["a"])
    agent = Agent(model=model, sources=[Source(far)], tool_choice="far")
    await agent.run("hi")
    assert [request.tool_choice for request in model.requests] == ["far", None]


async def test_the_run_is_the_root_one_in_all_that_it_opens() -> None:
    runs: Said = []

    @asynccontextmanager
    async def open_deps(_: RunFacts) -> AsyncIterator[None]:
        runs.append(current_run())
        yield

    @tool
    async def who() -> None:
        """Who."""
        runs.append(current_run())

    inner = Agent(
        model=ScriptedModel([call("1", "who")], ["b"]),
        name="inner",
        tools=[who],
        open_deps=open_deps,
    )
    model = ScriptedModel([call("1", "inner", prompt="x")], ["a"])
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=model, tools=[inner.as_tool()]), "hi")
        await run.wait()
        results = [e for e in await logged(runtime.store, run.id) if isinstance(e, ToolResult)]
    assert runs == [run, run]
    assert [result.tool.output for result in results] == ["b"]
