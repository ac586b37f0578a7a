"""What the log holds is what the machine knew: at every prefix, and at the end in every store."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import attrs
import msgspec
import trio
import trio.testing
from hypothesis import given, settings, strategies as st
from log_kit import check_levels
from runtime_kit import logged
from store_kit import record

from trio_agent import RunFailed, tool
from trio_agent._agent import Agent
from trio_agent._errors import ModelError
from trio_agent._events import AnyEvent, Usage
from trio_agent._limits import Limits
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.store import Store
from trio_agent._messages import AnyMessage, UserMessage
from trio_agent._run.kept import set_aside
from trio_agent._run.machine import Machine
from trio_agent._run.replay import replay
from trio_agent._run.result import Result
from trio_agent._run.run import Run
from trio_agent._run.states import Expected, RunTools, State
from trio_agent._run.transcript import Transcript
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.models._model import Emit, Model
from trio_agent.models._parts import (
    EmittedPart,
    ModelFinish,
    ModelRequest,
    OutputPart,
    ReasoningPart,
    SwitchPart,
    TextPart,
    ToolInputPart,
)
from trio_agent.stores._memory import MemoryStore
from trio_agent.stores.sqlite import SQLiteStore
from trio_agent.testing import StoreProxy

HI = UserMessage("hi")

# Halves of surrogate pairs, too: models and providers send what they like.
texts = st.text(st.sampled_from("aé\u2028\ud83d\ude00\0"), max_size=3)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(-1, 1) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
parts: st.SearchStrategy[EmittedPart] = st.one_of(
    st.builds(TextPart, texts),
    st.builds(ReasoningPart, texts),
    st.builds(OutputPart, st.sampled_from(["[", "1]", '{"output":', "}", "", "\ud83d"])),
    st.builds(SwitchPart, texts, texts, texts, texts),
    st.builds(
        ToolInputPart,
        st.sampled_from(["1", "2", "1-2", "", "\ud83d"]),
        st.sampled_from(["look", "fail", "nope\ud83d", "ask"]),
        st.sampled_from(
            ["", '{"prompt":"x"}', '{"value":', '"\\ud83d"}', '"\ud83d"}', "1}", "[", '{"x":null}']
        ),
    ),
)
finishes = st.builds(
    ModelFinish,
    st.sampled_from(["stop", "tool-calls", "tool-calls", "length", "content-filter"]),
    st.builds(Usage, *[st.integers(0, 9)] * 5),
    texts,
    st.dictionaries(texts, values, max_size=3),
)
statuses: st.SearchStrategy[Literal["ok", "error", "unknown"]] = st.sampled_from(
    ["ok", "error", "unknown"]
)


@tool
async def look(value: Any = None) -> Any:
    """Look."""
    return value


@tool
async def fail() -> None:
    """Fail."""
    raise ValueError


def seen(transcript: Transcript) -> tuple[object, ...]:
    return transcript.messages, transcript.text, transcript.calls, transcript.steps


@given(st.data())
def test_every_prefix_gives_what_the_machine_had(data: st.DataObject) -> None:
    said: list[AnyMessage] = [HI]
    made = Machine(
        "r",
        "a",
        said,
        max_steps=3,
        max_tokens=data.draw(st.none() | st.just(9)),
        tool_retries=data.draw(st.none() | st.just(0)),
        output=data.draw(st.none() | st.builds(Expected, st.booleans(), st.integers(0, 1))),
    )
    acts: list[tuple[list[AnyEvent], bytes, tuple[object, ...]]] = []

    def took(events: list[AnyEvent], private: bytes = b"") -> None:
        if events:
            acts.append((events, private, seen(made.story.transcript)))

    for _ in range(data.draw(st.integers(1, 20))):
        match made.state:
            case State.START:
                took(made.started(0))
            case State.ASK:
                took(made.asked(0))
            case State.ANSWER if data.draw(st.booleans()):
                took(made.said(data.draw(st.lists(parts, max_size=4)), 0))
            case State.ANSWER:
                finish, private = set_aside(data.draw(finishes))
                took(made.answered(finish, 0), private)
            case State.CHECK if data.draw(st.booleans()):
                took(made.accepted(data.draw(values), 0))
            case State.CHECK:
                took(made.refused(data.draw(texts), 0))
            case State.ACT:
                assert isinstance(made.action, RunTools)
                call = data.draw(st.sampled_from(made.action.calls))
                took(made.returned(call.id, data.draw(statuses), call.input, 0))
            case State.DONE:
                break
    if not made.done:
        took(made.fail("c", "m", 0))
    trio.run(check_prefixes, said, acts)


async def check_prefixes(
    said: list[AnyMessage], acts: list[tuple[list[AnyEvent], bytes, tuple[object, ...]]]
) -> None:
    store = MemoryStore()
    await store.create(record("r"))
    tail = 0
    for events, kept, known in acts:
        # Read back from their bytes, as another process does.
        entries = [Entry.of(tail + n, event) for n, event in enumerate(events, 1)]
        for entry in entries:
            entry.forget()
        append = Append("r", 1, entries, {tail + 1: kept} if kept else {})
        assert await store.append([append]) == [Appended.COMMITTED]
        transcript, tail = await replay(store, "r", said)
        assert seen(transcript) == known


class Story(Model):
    """Tells what it is given, answer by answer; None: it falls silent."""

    def __init__(self, answers: list[list[EmittedPart | ModelFinish | ModelError | None]]) -> None:
        self.answers = iter(answers)

    async def generate(self, request: ModelRequest, emit: Emit) -> ModelFinish:
        for part in next(self.answers, []):
            match part:
                case None:
                    await trio.sleep_forever()
                case ModelError():
                    raise part
                case ModelFinish():
                    return part
                case _:
                    await emit(part)
        return ModelFinish("stop")


ends = st.one_of(finishes, finishes, st.builds(ModelError, texts, texts), st.none())
stories = st.lists(
    st.builds(lambda some, end: [*some, end], st.lists(parts, max_size=5), ends),
    min_size=1,
    max_size=3,
)


async def came_of(run: Run) -> Result | None:
    try:
        return await run.wait()
    except RunFailed as failure:
        return failure.result


@asynccontextmanager
async def files() -> AsyncIterator[list[tuple[Store, Store]]]:
    """Stores, each with a second look at it."""
    with TemporaryDirectory() as folder:
        memory = MemoryStore()
        path = Path(folder) / "runs.db"
        yield [(StoreProxy(memory), memory), (SQLiteStore(path), SQLiteStore(path, follow=True))]


def shared(result: Result) -> tuple[Result, object]:
    """What both know of a run: a log does not tell that a shape was asked for."""
    answer = result.output if result.finish_reason == "stop" else None
    return attrs.evolve(result, output=None), answer


@settings(max_examples=40)
@given(stories, stories, st.sampled_from([None, list[int]]), st.sampled_from([None, list[int]]))
def test_the_result_is_the_same_here_and_there(
    story: list[list[EmittedPart | ModelFinish | ModelError | None]],
    below: list[list[EmittedPart | ModelFinish | ModelError | None]],
    shape: type[list[int]] | None,
    shape_below: type[list[int]] | None,
) -> None:
    async def main() -> None:
        async with files() as stores:
            for own, other in stores:
                limits = Limits(max_steps=3, model_retries=0)
                child = Agent(
                    name="ask",
                    model=Story(below),
                    tools=[look, fail],
                    limits=limits,
                    output=shape_below,
                )
                agent = Agent(
                    model=Story(story),
                    tools=[look, fail, child.as_tool()],
                    limits=limits,
                    output=shape,
                )
                async with open_runtime(store=own) as runtime:
                    run = await runtime.start(agent, "hi")
                    with trio.move_on_after(0.2):
                        await came_of(run)
                    await run.cancel()
                    live = await came_of(run)
                    async with open_runtime(store=other) as elsewhere:
                        stored = await came_of(await elsewhere.find(run.id))
                    assert live is not None
                    assert stored is not None
                    assert shared(live) == shared(stored)
                    check_levels(await logged(own, run.id))
                    encoded = msgspec.json.encode(live.messages)
                    assert encoded == msgspec.json.encode(stored.messages)
                    # What came of a run can be the beginning of the next one.
                    again = Agent(model=Story([]))
                    await (await runtime.start(again, messages=[*live.messages, HI])).wait()

    trio.run(main)
