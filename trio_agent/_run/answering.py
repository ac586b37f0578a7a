"""Answering the calls of a run that wait, by a function of the program that runs it.

Without one nobody answers: a run that would sleep then ends, and whoever waits for it is told.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import attrs
import msgspec
import trio

from .._config import AgentConfig
from .._errors import AnswerRefused, RunOver
from .._events import RunWaiting, ToolAsked
from .._nursery import open_plain_nursery
from .run import Run


@attrs.frozen
class Answer:
    """What is said to a call that waits."""

    approved: bool = True
    """Whether it is to be made. False of a call that wants its result: there is none."""
    output: Any = msgspec.UNSET
    """JSON: the result of a call that wants one."""
    reason: str | None = None
    """Why; the model reads it if the call is not made."""


OnWaiting: TypeAlias = Callable[[ToolAsked], Awaitable[Answer | bool]]
"""Asks somebody, and returns what they say. Called for each call that waits, as soon as it does, in
a task of its own. True and False approve a call, or don't."""


@attrs.define
class Waiting:
    """What became of those who wait."""

    unanswered: bool = False
    """Whether the run had to end because nobody answers."""
    failure: Exception | None = None
    """What `ask` raised, or what was wrong with its answer."""


@asynccontextmanager
async def answering(
    run: Run[Any], agent: AgentConfig, ask: OnWaiting | None
) -> AsyncIterator[Waiting]:
    """Answer the calls of a run of this agent that wait, for as long as the context lasts.

    What `ask` raises cancels the body, and is raised as it is.
    """
    waiting = Waiting()
    if ask is None and not agent.waiting_tools:
        yield waiting
        return
    async with open_plain_nursery() as nursery:
        nursery.start_soon(_listen, run, ask, waiting, nursery)
        yield waiting
        nursery.cancel_scope.cancel(reason="nobody waits for the run")
    try:
        if waiting.failure is not None:
            raise waiting.failure
    finally:
        waiting.failure = None  # or its traceback would hold it


async def _listen(
    run: Run[Any], ask: OnWaiting | None, waiting: Waiting, nursery: trio.Nursery
) -> None:
    async with run.subscribe() as events:
        async for event in events:
            match event:
                case ToolAsked() if ask is not None:
                    nursery.start_soon(_answer, run, ask, event, waiting, nursery)
                case RunWaiting() if ask is None:
                    waiting.unanswered = True
                    run.request_cancel("nobody answers")


async def _answer(
    run: Run[Any], ask: OnWaiting, asked: ToolAsked, waiting: Waiting, nursery: trio.Nursery
) -> None:
    try:
        said = await ask(asked)
        answer = Answer(said) if isinstance(said, bool) else said
        with suppress(AnswerRefused, RunOver):  # then it needs no answer any more
            await run.answer(
                asked.tool.id, approved=answer.approved, output=answer.output, reason=answer.reason
            )
    except Exception as exc:
        # Raised here it would come out in a group; whoever runs an agent has opened no nursery.
        waiting.failure = exc
        nursery.cancel_scope.cancel(reason="nobody can be asked")
