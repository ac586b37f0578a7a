"""One agent over many inputs, so many at a time."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeAlias

import attrs
import trio

from .._config import AgentConfig
from .._errors import RunIncomplete, TrioAgentError
from .._messages import AnyMessage
from .._nursery import open_plain_nursery
from .._output.shape import OutT_co
from .._run.answering import answering
from .._run.result import Result
from .._run.run import Run

RunInput: TypeAlias = str | Sequence[AnyMessage]
"""A prompt, or a transcript to go on from."""


@attrs.frozen
class Mapped(Generic[OutT_co]):
    """What came of one input."""

    index: int
    """Its place among the inputs, from 0."""
    input: RunInput
    """What was to be run."""
    run_id: str | None
    """None if the run could not be started."""
    seconds: float
    """From its start to its end."""
    result: Result[OutT_co] | None
    """None if it failed."""
    error: Exception | None
    """Why it failed: `RunFailed` with a `code`, `RunIncomplete` if it waits for somebody, or a
    `ValueError` about the input."""
    ttft: float | None = None
    """Seconds from its start to the model's first token, of whatever kind; None if none came."""


@asynccontextmanager
async def map_runs(
    start: Callable[[AgentConfig, RunInput], Awaitable[Run]],
    agent: AgentConfig,
    inputs: Iterable[RunInput],
    *,
    concurrency: int,
    deadline: float | None,
) -> AsyncIterator[trio.MemoryReceiveChannel[Mapped]]:
    """See `Runtime.map`; `start` waits for a place for the run.

    Raises:
        ValueError: there is no concurrency.
    """
    if concurrency < 1:
        raise ValueError("concurrency is at least 1")
    if deadline is not None:
        limits = attrs.evolve(agent.limits, run_deadline=deadline)
        agent = attrs.evolve(agent, limits=limits)
    send, receive = trio.open_memory_channel[Mapped](0)
    numbered = iter(enumerate(inputs))
    async with open_plain_nursery() as nursery:
        with send, receive:
            for _ in range(concurrency):
                nursery.start_soon(_work, start, agent, numbered, send.clone())
            send.close()
            yield receive
        nursery.cancel_scope.cancel(reason="the map was left")


async def _work(
    start: Callable[[AgentConfig, RunInput], Awaitable[Run]],
    agent: AgentConfig,
    numbered: Iterator[tuple[int, RunInput]],
    send: trio.MemorySendChannel[Mapped],
) -> None:
    # Nobody may want the rest: then this is over.
    with send, suppress(trio.BrokenResourceError):
        for index, value in numbered:
            await send.send(await _run_one(start, agent, index, value))


async def _run_one(
    start: Callable[[AgentConfig, RunInput], Awaitable[Run]],
    agent: AgentConfig,
    index: int,
    value: RunInput,
) -> Mapped:
    seconds = 0.0
    run: Run | None = None
    result: Result | None = None
    error: Exception | None = None
    ttft: float | None = None
    try:
        run = await start(agent, value)
        started = trio.current_time()
        try:
            async with answering(run, agent, None) as waiting:
                result = await run.wait()
        finally:
            seconds = trio.current_time() - started
            if run.first_token_at is not None:
                ttft = run.first_token_at - started
            run.request_cancel("the map was left")
        if waiting.unanswered:
            result, error = None, RunIncomplete("waiting")
    except (TrioAgentError, ValueError) as exc:
        error = exc
    return Mapped(index, value, run.id if run else None, seconds, result, error, ttft)
