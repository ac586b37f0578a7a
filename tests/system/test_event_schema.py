"""The JSON Schema of the events, held against the streams of real runs."""

import json
from typing import cast

import jsonschema
import pytest
import trio
import trio.testing

from trio_agent import Agent, ModelError, ToolContext, ToolError, open_runtime, tool
from trio_agent._events import EVENT_TYPES
from trio_agent.models._parts import ModelFinish, ReasoningPart, SwitchPart
from trio_agent.testing import Line, ScriptedModel, call, output
from trio_agent.wire import event_schema

VALIDATOR = jsonschema.Draft202012Validator(event_schema())


@tool
def add(a: int, b: int) -> int:
    if a == b:
        raise ToolError("boring")
    return a + b


@tool
async def wait(context: ToolContext) -> None:
    context.progress({"done": 1, "total": 2})
    await trio.testing.wait_all_tasks_blocked()


STORIES: list[list[list[Line]]] = [
    [
        [ReasoningPart("hm"), call("1", "add", a=1, b=2), call("2", "add", a=1, b=1)],
        [call("3", "add", a="x"), call("4", "nothing")],
        ["three", " it is"],
    ],
    [["cut ", ModelFinish("length")]],
    [["oh ", ModelError("broken", "no more")]],
    [[ModelFinish("content-filter")]],
    [[SwitchPart("one", "other", "connect", "no connection"), "hi"]],
]


def plain(story: list[list[Line]]) -> Agent:
    return Agent(model=ScriptedModel(*story), tools=[add])


def shaped() -> Agent:
    """One with a sub-agent, whose answer is none at first."""
    clerk = Agent(model=ScriptedModel([call("1", "wait")], ["done"]), name="clerk", tools=[wait])
    model = ScriptedModel([call("1", "clerk", prompt="?")], output("x"), output(7))
    return Agent(model=model, tools=[clerk.as_tool()], output=int)


async def events_of(agent: Agent) -> list[dict[str, object]]:
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        async with run.subscribe() as events:
            entries = []
            while not entries or not entries[-1].terminal:
                entries += await events.receive_entries()
    return [json.loads(entry.data) for entry in entries]


async def test_real_streams_keep_it() -> None:
    seen: set[object] = set()
    for agent in (*map(plain, STORIES), shaped()):
        for event in await events_of(agent):
            while event["type"] == "nested":
                VALIDATOR.validate(event)
                seen.add(event["type"])
                event = cast(dict[str, object], event["event"])
            VALIDATOR.validate(event)
            seen.add(event["type"])
    assert seen == set(EVENT_TYPES)


async def test_it_refuses_what_is_no_event() -> None:
    [start, *_, finish] = await events_of(plain(STORIES[1]))
    for event in (
        {**start, "type": "nonsense"},
        {**start, "at": "now"},
        {name: value for name, value in start.items() if name != "runId"},
        {**finish, "run": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(event)
