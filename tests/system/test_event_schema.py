"""The JSON Schema of the events, held against the streams of real runs."""

import json
from typing import Any

import jsonschema
import pytest
import trio
import trio.testing
from careful_kit import make_careful, to_its_end

from trio_agent import Agent, ModelError, ToolContext, ToolError, open_runtime, tool
from trio_agent._events import EVENT_TYPES
from trio_agent.models._parts import ModelFinish, OutputPart, ReasoningPart, SwitchPart
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
    [[call("1", "ask", prompt="what")], [OutputPart('["?"]')], [OutputPart("[]")]],
]


@tool
async def wait(context: ToolContext) -> None:
    """Wait until it was told how long that takes."""
    context.progress("a while")
    await trio.testing.wait_all_tasks_blocked()


async def careful_events() -> list[Any]:
    """Of a run that is taken back, asks, sleeps, is told something and goes on."""
    async with open_runtime() as runtime:
        run = await runtime.start(make_careful(), "hi")
        await run.say("hurry")
        await to_its_end(run)
        page = await runtime.store.read(run.id, 0, 1000)
    return [json.loads(entry.data) for entry in page.entries]


async def events_of(story: list[list[Line]]) -> list[Any]:
    waiter = Agent(model=ScriptedModel([call("1", "wait")], ["waited"]), tools=[wait])
    agent = Agent(
        model=ScriptedModel(*story),
        tools=[add, waiter.as_tool(name="ask")],
        output=list[int] if any(type(line[0]) is OutputPart for line in story) else None,
    )
    async with open_runtime() as runtime:
        run = await runtime.start(agent, "hi")
        async with run.subscribe() as events:
            entries = []
            while not entries or not entries[-1].terminal:
                entries += await events.receive_entries()
    return [json.loads(entry.data) for entry in entries]


async def test_real_streams_keep_it() -> None:
    seen: set[object] = set()
    for events in [*[await events_of(story) for story in STORIES], await careful_events()]:
        for event in events:
            while event is not None:
                VALIDATOR.validate(event)
                seen.add(event["type"])
                event = event.get("event")
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
