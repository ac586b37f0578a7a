"""An agent, and the ways to run it in the program that you are in."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import trio

from ._config import AgentConfig
from ._errors import RunIncomplete
from ._events import RunError, RunFinish, TextDelta
from ._limits import Retention, RuntimeLimits
from ._log.subscription import Subscription
from ._messages import AnyMessage
from ._run.result import Result
from ._run.run import Run
from ._runtime.open_runtime import open_runtime

# Nothing is removed before its only reader has it, however slow: the log goes with the runtime.
_ALONE = RuntimeLimits(max_streams=1, retention=Retention(seconds=math.inf))


class TextChannel(trio.abc.ReceiveChannel[str]):
    """Yields the answer of one run, piece by piece."""

    def __init__(self, run: Run, events: Subscription) -> None:
        self._run = run
        self._events = events
        self._end: RunError | RunFinish | None = None

    async def receive(self) -> str:
        """Return the next piece of text. A checkpoint; if cancelled, nothing was taken.

        Raises:
            trio.EndOfChannel: the model said all that it had to say.
            RunFailed: the run ended with `error`.
            RunIncomplete: the run finished with another reason than `stop`.
        """
        while True:
            try:
                event = await self._events.receive()
            except trio.EndOfChannel:
                if self._end is None:
                    raise
                # Who receives once more must not take the end of the channel for success.
                event = self._end
            match event:
                case TextDelta(delta=delta):
                    return delta
                case RunError():
                    self._end = event
                    await self._run.wait()
                case RunFinish(run=run) if run.finish_reason != "stop":
                    self._end = event
                    raise RunIncomplete(run.finish_reason)

    async def aclose(self) -> None:
        """Receive no more. A checkpoint."""
        await self._events.aclose()


@attrs.frozen(kw_only=True, eq=False)
class Agent(AgentConfig):
    """An agent: a model, its instructions, its tools and its limits. Immutable.

    Its methods open a runtime of their own for one run. To run many, to share connections, or to
    let runs outlive their viewers, use `open_runtime` and `Runtime.start`.

    Args:
        model: who answers: a `Model`, or a name such as ``"gpt-4o-mini"``, which means
            `OpenAIModel` of that name. A prefix, one of ``"openai:"``, ``"openai-responses:"`` and
            ``"anthropic:"``, says whose model it is; any other colon belongs to the name
            (``"llama3:8b"``).
        name: what the agent is called in events, lists and requests.
        instructions: the system prompt. It is never part of an event.
        tools: what the model may call: made by `tool`, or plain functions.
        limits: what one run may use.
        options: passed to the provider as they are: `temperature`, `max_tokens`, ...
        tool_choice: whether the first step has to call a tool: ``"required"``, ``"none"``,
            ``"auto"``, or the name of the one. What follows is free, so that the run can end; an
            option `tool_choice` is for every step.

    Raises:
        TypeError, ValueError: the model is none, a tool can't be described to a model, two tools
            have one name, the choice is no tool, or an option is for the agent to set.
    """

    async def run(
        self, prompt: str | None = None, *, messages: Sequence[AnyMessage] = ()
    ) -> Result:
        """Run to the end and return what came of it. Cancelling it cancels the run.

        Args:
            prompt: what the user says; behind `messages`, if both are given.
            messages: an earlier transcript, such as `Result.messages`.

        Raises:
            RunFailed: the run ended with `error`.
        """
        async with open_runtime(limits=_ALONE) as runtime:
            run = await runtime.start(self, prompt, messages=messages)
            return await run.wait()

    @asynccontextmanager
    async def stream_events(
        self, prompt: str | None = None, *, messages: Sequence[AnyMessage] = ()
    ) -> AsyncIterator[Subscription]:
        """Run and yield the channel of all events. Leaving the block early cancels the run.

        The block is left when everything of the run is gone. Arguments as for `run`.
        """
        async with self._started(prompt, messages) as (_, events):
            yield events

    @asynccontextmanager
    async def stream(
        self, prompt: str | None = None, *, messages: Sequence[AnyMessage] = ()
    ) -> AsyncIterator[TextChannel]:
        """Run and yield the channel of the answer's text. As `stream_events` in all else."""
        async with self._started(prompt, messages) as (run, events):
            yield TextChannel(run, events)

    @asynccontextmanager
    async def _started(
        self, prompt: str | None, messages: Sequence[AnyMessage]
    ) -> AsyncIterator[tuple[Run, Subscription]]:
        async with open_runtime(limits=_ALONE) as runtime:
            run = await runtime.start(self, prompt, messages=messages)
            async with run.subscribe() as events:
                try:
                    yield run, events
                finally:
                    run.request_cancel("its stream was left")
