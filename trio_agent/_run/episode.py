"""What an agent works with, open from before its first step until behind its last.

Its dependencies are opened first and closed last, so that its sources of tools, and its
instructions, may rely on them. It is all done in the agent's own task: nurseries inside, and
context variables that are set there, work as in any other code of that task.
"""

from contextlib import AsyncExitStack
from typing import Any

import attrs

from .._config import AgentConfig
from .._errors import RunFailed, RunIncomplete
from .._events import RunError, RunFinish
from ..models._model import Model
from ..tools._context import RunContext
from .job import NO_DEPS, Job
from .toolset import Toolset


@attrs.frozen
class Episode:
    """Made by `open_episode`."""

    context: RunContext[Any]
    model: Model
    toolset: Toolset
    instructions: str


async def open_episode(
    stack: AsyncExitStack,
    job: Job,
    agent: AgentConfig,
    context: RunContext[Any],
    within: RunContext[Any] | None,
    instructions: str | None = None,
) -> Episode:
    """Open on `stack` what an agent needs. A checkpoint where anything needs opening.

    Args:
        stack: closes it.
        job: of the run.
        agent: whose work it is.
        context: says which run it is; without dependencies still.
        within: of a sub-agent: the context of the agent above, whose dependencies it has unless
            it opens its own.
        instructions: what the model was told when the run began, if it has begun.

    Raises:
        ToolSourceError: a source of tools can't be opened.
        ModelError: the model can't be opened.
        Exception: what `open_deps` or `instructions` raise.
    """
    if within is None and job.order.deps is not NO_DEPS:
        deps = job.order.deps
    elif agent.open_deps is not None:
        deps = await stack.enter_async_context(agent.open_deps(context))
    else:
        deps = None if within is None else within.deps
    context = attrs.evolve(context, deps=deps)
    sources = [
        await stack.enter_async_context(
            job.use_source(source) if source.scope == "runtime" else source.open()
        )
        for source in agent.sources
    ]
    told = agent.instructions if instructions is None else instructions
    if not isinstance(told, str):
        told = told(context)
    if not isinstance(told, str):
        kind = type(told).__name__
        raise TypeError(f"instructions returned {kind}: let them return a str, and not be async")
    model = await stack.enter_async_context(job.use_model(agent.model))
    return Episode(context, model, Toolset(agent.tools_by_name, sources), told)


def without_answer(terminal: RunFinish | RunError | None) -> Exception | None:
    """What an episode is closed with that ended like this: None where there is an answer.

    So a transaction is rolled back however the answer failed to come.
    """
    match terminal:
        case RunError(error=error):
            return RunFailed(error.code, error.message)
        case RunFinish(run=run) if run.finish_reason != "stop":
            return RunIncomplete(run.finish_reason)
    return None
