"""Threads: what runs add to them, and what the next one is asked with."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from store_kit import finish, record

from trio_agent._agent import Agent
from trio_agent._errors import RunFailed, UnknownThread
from trio_agent._log.log import Append
from trio_agent._log.plain import encode_json
from trio_agent._log.store import Store
from trio_agent._log.thread import Turn
from trio_agent._messages import AnyMessage, AssistantMessage, UserMessage, unpaired_calls
from trio_agent._run.result import Result
from trio_agent._run.run import Run
from trio_agent._run.turns import decode_turn
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent._runtime.runtime import Runtime
from trio_agent.testing import Line, ScriptedModel


def saying(*answers: Sequence[Line], **settings: Any) -> Agent:
    return Agent(model=ScriptedModel(*answers), **{"name": "a", **settings})


def turn(prompt: str, answer: str) -> tuple[AnyMessage, ...]:
    """What a run of one answer adds."""
    return UserMessage(prompt), AssistantMessage(answer)


async def said(
    runtime: Runtime, prompt: str, answer: str, thread: str | None = "t", **how: Any
) -> Run:
    """Let a run say something in a thread, to its end."""
    run = await runtime.start(saying([answer]), prompt, thread=thread, **how)
    await run.wait()
    return run


async def asked(
    runtime: Runtime, prompt: str = "next", thread: str | None = "t", **how: Any
) -> tuple[AnyMessage, ...]:
    """Start one more run; returns what its model was asked with, but for its own prompt."""
    model = ScriptedModel(["ok"])
    run = await runtime.start(Agent(model=model), prompt, thread=thread, **how)
    await run.wait()
    [request] = model.requests
    *before, last = request.messages
    assert last == UserMessage(prompt)
    assert unpaired_calls(tuple(before)) is None
    return tuple(before)


async def result_of(run: Run) -> Result[Any]:
    """What came of a run, also where it failed."""
    result: Result[Any] | None
    try:
        result = await run.wait()
    except RunFailed as exc:
        result = exc.result
    assert result is not None
    return result


async def read_elsewhere(store: Store, run_id: str) -> tuple[AnyMessage, ...]:
    """The messages of a run, as another runtime finds them in its store."""
    async with open_runtime(store=store) as runtime:
        return (await result_of(await runtime.find(run_id))).messages


async def all_turns(
    store: Store, thread: str = "t", owner: str | None = None, last: str | None = None
) -> dict[str, tuple[AnyMessage, ...]]:
    """What each run has added, on the way from the first one to the head, or to `last`."""
    at = last if last is not None else (await store.thread(owner, thread)).head
    turns: list[Turn] = []
    while at is not None:
        turns += await store.turns(owner, thread, at, 100)
        at = turns[-1].follows
    assert len({each.run_id for each in turns}) == len(turns), "each is there once"
    return {each.run_id: decode_turn(thread, each) for each in reversed(turns)}


async def add_turn(
    store: Store,
    run_id: str,
    *messages: AnyMessage,
    follows: str | None = None,
    thread: str = "t",
    owner: str | None = None,
) -> None:
    """Put a finished run into a thread, and these messages as its turn."""
    head = None
    with suppress(UnknownThread):
        head = (await store.thread(owner, thread)).head
    made = record(run_id, thread=thread, owner=owner, follows=follows, head=head)
    assert (await store.create(made)).lease is not None
    end = finish(run_id, 1).entries
    await store.append([Append(run_id, 1, end, turn=encode_json(messages))])
