"""An agent, and the ways to run it in the program that you are in."""

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs

from ._config import AgentConfig
from ._limits import Retention, RuntimeLimits
from ._log.subscription import Subscription
from ._messages import AnyMessage
from ._run.channels import OutputChannel, TextChannel
from ._run.result import Result
from ._run.run import Run
from ._runtime.open_runtime import open_runtime
from .tools._agent_tool import agent_tool
from .tools._contract import Tool

# Nothing is removed before its only reader has it, however slow: the log goes with the runtime.
_ALONE = RuntimeLimits(max_streams=1, retention=Retention(seconds=math.inf))


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
    async def stream_output(
        self, prompt: str | None = None, *, messages: Sequence[AnyMessage] = ()
    ) -> AsyncIterator[OutputChannel]:
        """Run and yield the channel of what there is of the answer with a shape so far.

        Its `OutputChannel.result` has the whole of it. As `stream_events` in all else.
        """
        async with self._started(prompt, messages) as (run, events):
            yield OutputChannel(run, events)

    def as_tool(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        deadline: float = math.inf,
    ) -> Tool[Any]:
        """Make a tool of the agent, for another one to call: a sub-agent.

        It is given a prompt, and its answer is the call's result: its text, or the value of its
        `output`. What it does is shown within the events of the call (`Nested`). It ends with the
        call; what it spends counts for the run, and it has the run's dependencies unless it opens
        its own.

        Args:
            name: what the model calls it; by default the agent's name.
            description: what the model reads about it.
            deadline: seconds that one call may take. The agent's own limits hold besides.

        Raises:
            ValueError: the name is none for a tool.
        """
        name = self.name if name is None else name
        if description is None:
            description = f"Ask the agent {name!r} to do something, and get its answer."
        return agent_tool(self, name=name, description=description, deadline=deadline)

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
