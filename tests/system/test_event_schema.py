"""The JSON Schema of the events, held against the streams of real runs."""

import json

import jsonschema
import pytest

from trio_agent import Agent, ModelError, ToolError, open_runtime, tool
from trio_agent._events import EVENT_TYPES
from trio_agent.models._parts import ModelFinish, ReasoningPart, SwitchPart
from trio_agent.testing import Line, ScriptedModel, call
from trio_agent.wire import event_schema

VALIDATOR = jsonschema.Draft202012Validator(event_schema())


@tool
def add(a: int, b: int) -> int:
    if a == b:
        raise ToolError("boring")
    return a + b


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


async def events_of(story: list[list[Line]]) -> list[dict[str, object]]:
    async with open_runtime() as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(*story), tools=[add]), "hi")
        async with run.subscribe() as events:
            entries = []
            while not entries or not entries[-1].terminal:
                entries += await events.receive_entries()
    return [json.loads(entry.data) for entry in entries]


async def test_real_streams_keep_it() -> None:
    seen: set[object] = set()
    for story in STORIES:
        for event in await events_of(story):
            VALIDATOR.validate(event)
            seen.add(event["type"])
    assert seen == set(EVENT_TYPES)


async def test_it_refuses_what_is_no_event() -> None:
    [start, *_, finish] = await events_of(STORIES[1])
    for event in (
        {**start, "type": "nonsense"},
        {**start, "at": "now"},
        {name: value for name, value in start.items() if name != "runId"},
        {**finish, "run": {}},
    ):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(event)
