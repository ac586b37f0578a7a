"""What instruments are told of whole runs, and that it is nothing per token."""

from typing import Any

import attrs
import pytest
import trio
import trio.testing
from instrument_kit import AROUND, Listener

from trio_agent import (
    Agent,
    FallbackModel,
    Limits,
    ModelError,
    RunFacts,
    RunFailed,
    Usage,
    open_runtime,
    tool,
)
from trio_agent.abc import (
    ModelEnd,
    ModelFacts,
    ModelFinish,
    ModelRetried,
    ModelSwitched,
    RunEnd,
    StepEnd,
    StepFacts,
    ToolEnd,
    ToolFacts,
)
from trio_agent.testing import ScriptedModel, call

BUSY = ModelError("busy", "s3cret", retryable=True)


class Diary(Listener):
    """Writes down what it is told, but for how long it took and for the run."""

    def __init__(self) -> None:
        self.lines: list[object] = []

    def began(self, facts: RunFacts | StepFacts | ModelFacts | ToolFacts) -> None:
        self.lines.append(_without_run(facts))

    def ended(self, end: Any) -> None:
        self.lines.append(attrs.evolve(end, seconds=0.0))

    def heard(self, facts: ModelRetried | ModelSwitched) -> None:
        kept = {"delay": 0.0} if isinstance(facts, ModelRetried) else {}
        self.lines.append(attrs.evolve(facts, asked=_without_run(facts.asked), **kept))


NOBODY = RunFacts()


def _without_run(facts: Any) -> Any:
    return facts if isinstance(facts, RunFacts) else attrs.evolve(facts, run=NOBODY)


def asked(step: int, model: str = "ScriptedModel") -> ModelFacts:
    return ModelFacts(run=NOBODY, step=step, model=model)


def answered(reason: str, **more: Any) -> ModelEnd:
    return ModelEnd(model="ScriptedModel", reason=reason, **more)


@tool
async def look(city: str) -> str:
    """Look."""
    return "s3cret"


async def test_a_run_with_a_tool_and_a_retry(autojump_clock: trio.testing.MockClock) -> None:
    diary = Diary()
    model = ScriptedModel(
        [BUSY],
        [2.0, "s3cret", call("1", "look", city="s3cret")],
        ["a", "b", ModelFinish("stop", Usage(1, 2, 3))],
    )
    agent = Agent(model=model, name="a", instructions="s3cret", tools=[look])
    async with open_runtime(instruments=[diary]) as runtime:
        run = await runtime.start(agent, "s3cret", owner="ann", metadata={"tenant": 7})
        await run.wait()
    begin, *lines = diary.lines
    assert isinstance(begin, RunFacts)
    assert (begin.run_id, begin.agent, begin.parent) == (run.id, "a", None)
    assert begin.principal is not None
    assert (begin.principal.id, begin.metadata) == ("ann", {"tenant": 7})
    first: Any = lines[3]
    assert 2 < first.first < 3  # with the pause before
    lines[3] = attrs.evolve(first, first=2.0, chunks=0)
    assert lines == [
        StepFacts(run=NOBODY, number=1),
        asked(1),
        ModelRetried(asked=asked(1), error="busy", delay=0.0),
        answered("tool-calls", first=2.0),
        ToolFacts(run=NOBODY, step=1, tool="look", call_id="1"),
        ToolEnd(status="ok"),
        StepEnd(),
        StepFacts(run=NOBODY, number=2),
        asked(2),
        answered("stop", usage=Usage(1, 2, 3), first=0.0, chunks=2),
        StepEnd(),
        RunEnd(outcome="stop", steps=2, usage=Usage(1, 2, 3), own_usage=Usage(1, 2, 3)),
    ]
    assert "s3cret" not in repr(diary.lines)


async def test_a_switch_and_an_error() -> None:
    diary = Diary()
    model = FallbackModel(ScriptedModel([BUSY]), ScriptedModel([ModelError("gone", "s3cret")]))
    async with open_runtime(instruments=[diary]) as runtime:
        agent = Agent(model=model, limits=Limits(model_retries=0))
        run = await runtime.start(agent, "hi")
        with pytest.raises(RunFailed, match="gone"):
            await run.wait()
    facts = asked(1, model.name)
    switch: Any = diary.lines[3]
    assert (switch.asked, switch.error) == (facts, "busy")
    assert [*diary.lines[1:3], *diary.lines[4:]] == [
        StepFacts(run=NOBODY, number=1),
        facts,
        ModelEnd(error="gone"),
        StepEnd(error="gone"),
        RunEnd(outcome="error", error="gone", steps=1),
    ]


async def test_a_cancel() -> None:
    diary = Diary()

    @tool
    async def hang() -> None:
        """Hang."""
        await trio.sleep_forever()

    async with open_runtime(instruments=[diary]) as runtime:
        agent = Agent(model=ScriptedModel([call("1", "hang")]), tools=[hang])
        run = await runtime.start(agent, "hi")
        await trio.testing.wait_all_tasks_blocked()
        await run.cancel("no more")
    assert diary.lines[5:] == [
        ToolEnd(status="cancelled"),
        StepEnd(error="cancelled"),
        RunEnd(outcome="cancelled", reason="no more", steps=1),
    ]


async def test_nothing_is_told_per_token() -> None:
    counts: list[int] = []
    for words in (1, 500):
        diary = Diary()
        async with open_runtime(instruments=[diary]) as runtime:
            run = await runtime.start(Agent(model=ScriptedModel(["a"] * words)), "hi")
            await run.wait()
        counts.append(len(diary.lines))
    assert counts == [6, 6]


async def test_one_that_fails_harms_no_run(caplog: pytest.LogCaptureFixture) -> None:
    class Failing(Diary):
        def model(self, model: ModelFacts, /) -> AROUND:
            raise KeyError("x")

    failing = Failing()
    async with open_runtime(instruments=[failing]) as runtime:
        for _ in range(2):
            run = await runtime.start(Agent(model=ScriptedModel(["a"])), "hi")
            assert (await run.wait()).text == "a"
    assert len(failing.lines) == 2, "no more than it had begun"
    [record] = caplog.records
    assert "Failing failed: it is called no more" in record.getMessage()


async def test_what_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match=r"is no trio_agent\.abc\.Instrument"):
        async with open_runtime(instruments=[print]):  # type: ignore[list-item]
            pass
