"""Answers that have a shape, from their providers to their readers: the same in all languages, in
both ways of asking, whoever takes over, and whenever one comes to read."""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from types import ModuleType
from typing import Any

import attrs
import msgspec
import pytest
from log_kit import check_levels
from runtime_kit import logged
from team_kit import Place

from trio_agent import (
    Agent,
    AnyEvent,
    Limits,
    MemoryStore,
    ModelFinished,
    ModelSwitch,
    OutputDelta,
    OutputRetry,
    PartialOutput,
    RunFinish,
    RunIncomplete,
    RunStart,
    StepFinish,
    StepStart,
    ToolCall,
    ToolInputDelta,
    ToolResult,
    open_runtime,
    tool,
)
from trio_agent.abc import Model, ModelFinish
from trio_agent.models import AnthropicModel, FallbackModel, OpenAIModel, OpenAIResponsesModel
from trio_agent.testing import (
    ScriptedModel,
    StoreProxy,
    anthropic,
    call,
    openai,
    openai_responses as responses,
)
from trio_agent.testing.openai import status


@attrs.frozen
class Language:
    """How a provider is spoken to, and what its scripted server says."""

    model: Callable[..., Model]
    testing: ModuleType
    open: Callable[[Iterable[Any]], Any]
    call: Callable[[str, str, str], Any]
    finish: Callable[[], Any]
    """The end of an answer that calls something."""


LANGUAGES = {
    "openai": Language(
        OpenAIModel,
        openai,
        lambda script: openai.open_scripted_openai(script, strict=True),
        openai.tool_call,
        lambda: openai.finish("tool_calls"),
    ),
    "anthropic": Language(
        AnthropicModel,
        anthropic,
        anthropic.open_scripted_anthropic,
        anthropic.tool_use,
        lambda: anthropic.finish("tool_use"),
    ),
    "responses": Language(
        OpenAIResponsesModel,
        responses,
        responses.open_scripted_responses,
        responses.tool_call,
        responses.finish,
    ),
}
SPOKEN = list(product(LANGUAGES, ("schema", "tool")))


@tool
async def glance(city: str) -> str:
    """Look, and say nothing on the way."""
    return city


@attrs.frozen
class Shape:
    """What is asked for, what comes of it, and the pieces of two answers."""

    type: Any
    value: Any
    json: Any
    bad: tuple[str, ...]
    good: tuple[str, ...]

    def text(self, pieces: tuple[str, ...]) -> str:
        """What a reader sees of them: nothing of a wrapper."""
        return "".join(pieces).removeprefix('{"output":').removesuffix("}" * self.wrapped)

    @property
    def wrapped(self) -> bool:
        return not isinstance(self.json, dict)


OSLO = {"city": "Oslo é", "floors": [1, 2]}

SHAPES = {
    "object": Shape(
        Place,
        Place("Oslo é", [1, 2]),
        OSLO,
        ('{"city": "Os', 'lo", "floors": "x"}'),
        ('{"city": "Oslo', ' \\u00e9", "flo', 'ors": [1', ", 2]}"),
    ),
    "list": Shape(
        list[Place],
        [Place("Oslo é", [1, 2])],
        [OSLO],
        ('{"out', 'put": [{"city": "Oslo"}', "]}"),
        ('{"output": [{"city"', ': "Oslo \\u00e9", "floors": [1, 2]', "}]}"),
    ),
    "union": Shape(
        Place | int,
        7,
        7,
        ('{"output": ', '"x"}'),
        ('{"output"', ": 7", "}"),
    ),
}


def story(language: Language, shape: Shape) -> list[Any]:
    """It looks, answers badly, and then well, beside a call that nobody needs any more."""
    say = language.testing.output
    beside = language.call("b", "glance", '{"city":"Rome"}')
    return [
        [language.call("a", "glance", '{"city":"Oslo"}'), language.finish()],
        say(*shape.bad),
        say(*shape.good, before=[beside]),
    ]


def expected(shape: Shape) -> list[Any]:
    """The story, as `told` by whoever reads it."""

    def call_of(id_: str, city: str, *outcome: str) -> Any:
        whole = {"id": id_, "name": "glance", "input": {"city": city}}
        return whole | dict(zip(("output", "status"), outcome, strict=False))

    def step(number: int, *between: tuple[str, Any]) -> list[Any]:
        return [("step-start", number), *between, ("step-finish", number)]

    beside = "not started: the answer was given beside it"
    return [
        ("run-start", "agent"),
        *step(
            1,
            ("tool-input-delta", '{"city":"Oslo"}'),
            ("model-finish", "tool-calls"),
            ("tool-call", call_of("a", "Oslo")),
            ("tool-result", call_of("a", "Oslo", "Oslo", "ok")),
        ),
        *step(
            2,
            ("output-delta", shape.text(shape.bad)),
            ("model-finish", "stop"),
            ("output-retry", ""),
        ),
        *step(
            3,
            ("tool-input-delta", '{"city":"Rome"}'),
            ("output-delta", shape.text(shape.good)),
            ("model-finish", "tool-calls"),
            ("tool-call", call_of("b", "Rome")),
            ("tool-result", call_of("b", "Rome", beside, "cancelled")),
        ),
        ("run-finish", ["stop", 3, "", shape.json]),
    ]


def told(events: Sequence[AnyEvent]) -> list[Any]:
    """What a reader sees, however it came in pieces, and whichever model said it."""
    seen: list[Any] = []
    for event in events:
        kind, what = json.loads(msgspec.json.encode(event))["type"], _what(event)
        if kind.endswith("-delta") and seen[-1][0] == kind:
            what = seen.pop()[1] + what
        if not isinstance(event, ModelSwitch):
            seen.append((kind, what))
    return seen


def _what(event: AnyEvent) -> Any:
    match event:
        case RunStart(agent=agent):
            return agent
        case StepStart(step_number=number) | StepFinish(step_number=number):
            return number
        case ToolInputDelta(delta=delta) | OutputDelta(delta=delta):
            return delta
        case ModelFinished(reason=reason):
            return reason
        case ToolCall(tool=call) | ToolResult(tool=call):
            return {k: v for k, v in msgspec.to_builtins(call).items() if k != "files"}
        case OutputRetry(message=message):
            assert message.startswith("the answer does not have its shape: ")
            return ""
        case RunFinish(run=run):
            return [run.finish_reason, run.steps, run.text, run.output]
        case _:
            return None


async def played(model: Model, shape: Shape) -> list[AnyEvent]:
    """A whole run: its events, of which each reader sees the same values."""
    agent = Agent(model=model, tools=[glance], output=shape.type)
    memory = MemoryStore()
    async with (
        open_runtime(store=StoreProxy(memory)) as runtime,
        open_runtime(store=StoreProxy(memory)) as elsewhere,
    ):
        run = await runtime.start(agent, "hi")
        with run.subscribe() as early:
            events = [event async for event in early]
        result = await run.wait()
        assert events == await logged(memory, run.id)
        check_levels(events)
        for reader in (run, await elsewhere.find(run.id)):
            with reader.subscribe() as late:
                assert values([event async for event in late]) == values(events)
        stored = await (await elsewhere.find(run.id)).wait()
    assert (result.output, type(result.output)) == (shape.value, type(shape.value))
    assert stored.output == values(events)[-1] == shape.json
    assert result.messages == stored.messages
    return events


def values(events: Sequence[AnyEvent]) -> list[Any]:
    """What there is of the answer behind each event."""
    partial = PartialOutput()
    return [(partial.add(event), partial.value)[1] for event in events]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(("name", "mode"), SPOKEN)
async def test_a_reader_sees_the_same_in_all_languages(name: str, mode: str, shape: Shape) -> None:
    language = LANGUAGES[name]
    async with language.open(story(language, shape)) as server:
        model = language.model("m", base_url=server.base_url, api_key="k", output_mode=mode)
        events = await played(model, shape)
        asked = [request.body for request in server.requests if request.method == "POST"]
    assert told(events) == expected(shape)
    assert [("final_answer" in json.dumps(body.get("tools"))) for body in asked] == [
        mode == "tool"
    ] * 3
    assert "the answer does not have its shape" in json.dumps(asked[-1])
    # It came in pieces, each of which is more than those before it.
    first = next(n for n, e in enumerate(events) if isinstance(e, StepStart) and e.step_number == 3)
    grown = [value for value in values(events)[first:] if value is not msgspec.UNSET]
    assert grown[-1] == shape.json
    assert shape.wrapped or len({json.dumps(value) for value in grown}) >= 3


def busy(_: Any) -> Any:
    return [status(503, body={"error": {"message": "Overloaded"}})]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in product(SPOKEN, SPOKEN) if pair[0][0] != pair[1][0]],
    ids=lambda spoken: "-".join(spoken),
)
async def test_a_reader_sees_the_same_across_a_fallback(
    first: tuple[str, str], second: tuple[str, str], shape: Shape
) -> None:
    # The one looks and answers badly; the other is told what to correct, and does.
    one, other = LANGUAGES[first[0]], LANGUAGES[second[0]]
    [look, bad, _], [*_, good] = story(one, shape), story(other, shape)
    async with one.open([look, bad, busy]) as a, other.open([good]) as b:
        model = FallbackModel(
            one.model("a", base_url=a.base_url, api_key="k", output_mode=first[1]),
            other.model("b", base_url=b.base_url, api_key="k", output_mode=second[1]),
        )
        events = await played(model, shape)
    assert told(events) == expected(shape)
    assert [e.step_number for e in events if isinstance(e, ModelSwitch)] == [3]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (["{", ModelFinish("length")], "length"),
        ([call("1", "glance", city="")], "max-steps"),
    ],
)
async def test_without_an_answer_there_is_no_output(said: list[Any], reason: str) -> None:
    limits = Limits(max_steps=1)
    agent = Agent(model=ScriptedModel(said), tools=[glance], output=Place, limits=limits)
    result = await agent.run("hi")
    assert result.finish_reason == reason
    with pytest.raises(RunIncomplete, match=reason):
        _ = result.output
