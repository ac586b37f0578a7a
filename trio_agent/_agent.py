"""An agent, and the ways to run it in the program that you are in."""

import math
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypedDict, Unpack, overload

from typing_extensions import TypeVar

from ._config import AgentConfig
from ._errors import RunIncomplete
from ._limits import Limits, Retention, RuntimeLimits
from ._log.subscription import Subscription
from ._messages import AnyMessage, Prepare
from ._output.shape import OutT_co
from ._run.answering import OnWaiting, answering
from ._run.channels import OutputChannel, TextChannel
from ._run.job import NO_DEPS
from ._run.result import Result
from ._run.run import Run
from ._runtime.open_runtime import open_runtime
from .models._model import Model
from .tools._agent_tool import agent_tool
from .tools._approval import Approval
from .tools._context import RunContext, RunFacts
from .tools._contract import DepsT_contra, Tool
from .tools._source import ToolSource

# With a default, mypy doesn't ask for an annotation where nothing says what the dependencies are.
DepsT = TypeVar("DepsT", default=Any)
OutT = TypeVar("OutT", default=Any)
OutT2 = TypeVar("OutT2", default=Any)
OutT3 = TypeVar("OutT3", default=Any)
OutT4 = TypeVar("OutT4", default=Any)

# Nothing is removed before its only reader has it, however slow: the log goes with the runtime.
_ALONE = RuntimeLimits(max_streams=1, retention=Retention(seconds=math.inf))


if TYPE_CHECKING:

    class _Function(Protocol):
        """A plain function. A `FunctionTool` is none, or its dependencies would not be checked."""

        @property
        def __qualname__(self) -> str: ...

        @property
        def __call__(self) -> Callable[..., Any]: ...

    class _Settings(TypedDict, Generic[DepsT], total=False):
        """What `Agent` takes besides `model` and `output`, for type checkers."""

        name: str
        version: str
        instructions: str | Callable[[RunContext[DepsT]], str]
        tools: Iterable[Tool[DepsT] | _Function | partial[Any]]
        sources: Iterable[ToolSource]
        open_deps: Callable[[RunFacts], AbstractAsyncContextManager[DepsT]] | None
        output_validators: Iterable[Callable[[RunContext[DepsT], Any], Any]]
        prepare: Prepare | None
        tool_errors: Literal["hidden", "type", "message"]
        limits: Limits
        options: Mapping[str, Any]
        tool_choice: str | None
        on_worker_lost: Literal["continue", "end"]


class Agent(AgentConfig[DepsT_contra, OutT_co]):
    """An agent: a model, its instructions, its tools and its limits. Immutable.

    Its methods open a runtime of their own for one run. To run many, to share connections, or to
    let runs outlive their viewers, use `open_runtime` and `Runtime.start`.

    Args:
        model: who answers: a `Model`, or a name such as ``"gpt-4o-mini"``, which means
            `OpenAIModel` of that name. A prefix, one of ``"openai:"``, ``"openai-responses:"`` and
            ``"anthropic:"``, says whose model it is; any other colon belongs to the name
            (``"llama3:8b"``).
        name: what the agent is called in events, lists and requests.
        version: of the agent: any text. A run is continued only by an agent of the same
            `fingerprint`: with the same version, instructions, tools, sub-agents, shape of the
            answer and names of functions. Change it when a function does something else than
            before, and runs that have begun must not go on with that.
        instructions: the system prompt, or a function of the `RunContext` that returns it, called
            once when the run begins. It is never part of an event.
        tools: what the model may call: made by `tool`, or plain functions.
        sources: where further tools come from. One of `tools` wins over one of these with the same
            name, an earlier source over a later one.
        open_deps: opens what the tools, the instructions and the validators work with, for each
            run: a function of the `RunFacts` that returns an async context manager. It is left
            before the run is gone, by an exception unless the run ended with ``stop``. Or give
            `deps` where the run is started.
        output: the type of the answer: a dataclass, an attrs class, a msgspec struct, a pydantic
            model, a TypedDict, a list, ...; or several, as a tuple or a union. By default the
            answer is text.
        output_validators: functions ``f(context, value)``, sync or async, that return the value of
            the answer, or raise `ToolError` to have it corrected.
        prepare: what the model is sent of the messages, before each call: a pure function of them.
        tool_errors: what model and viewers read of an exception that is no `ToolError`:
            ``"hidden"``, its ``"type"``, or its ``"message"``, too. The log has the traceback.
        limits: what one run may use.
        options: passed to the provider as they are: `temperature`, `max_tokens`, ...
        tool_choice: whether the first step has to call a tool: ``"required"``, ``"none"``,
            ``"auto"``, or the name of the one. What follows is free, so that the run can end; an
            option `tool_choice` is for every step.
        on_worker_lost: what becomes of a run whose process died, where its store outlives it:
            ``"continue"`` it elsewhere, or at the next start; or ``"end"`` it with `error`
            `worker-lost`.

    Raises:
        TypeError, ValueError: the model is none, a tool can't be described to a model, two tools
            have one name, the choice is no tool, an option is for the agent to set, or a source
            or a function is none.
    """

    __slots__ = ()

    if TYPE_CHECKING:
        # What the answer is depends on `output`, and mypy takes a tuple of types for one of
        # what they have in common. At run time it is as in `AgentConfig`.
        @overload
        def __init__(
            self: "Agent[DepsT, str]",
            *,
            model: Model | str,
            output: None = None,
            **settings: Unpack[_Settings[DepsT]],
        ) -> None: ...
        @overload
        def __init__(
            self: "Agent[DepsT, OutT]",
            *,
            model: Model | str,
            output: type[OutT],
            **settings: Unpack[_Settings[DepsT]],
        ) -> None: ...
        @overload
        def __init__(
            self: "Agent[DepsT, OutT | OutT2]",
            *,
            model: Model | str,
            output: tuple[type[OutT], type[OutT2]],
            **settings: Unpack[_Settings[DepsT]],
        ) -> None: ...
        @overload
        def __init__(
            self: "Agent[DepsT, OutT | OutT2 | OutT3]",
            *,
            model: Model | str,
            output: tuple[type[OutT], type[OutT2], type[OutT3]],
            **settings: Unpack[_Settings[DepsT]],
        ) -> None: ...
        @overload
        def __init__(
            self: "Agent[DepsT, OutT | OutT2 | OutT3 | OutT4]",
            *,
            model: Model | str,
            output: tuple[type[OutT], type[OutT2], type[OutT3], type[OutT4]],
            **settings: Unpack[_Settings[DepsT]],
        ) -> None: ...
        @overload
        def __init__(
            self: "Agent[DepsT, Any]",
            *,
            model: Model | str,
            output: object,
            **settings: Unpack[_Settings[DepsT]],
        ) -> None: ...
        def __init__(self, **settings: Any) -> None: ...

    async def run(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        deps: DepsT_contra = NO_DEPS,
        on_waiting: OnWaiting | None = None,
    ) -> Result[OutT_co]:
        """Run to the end and return what came of it. Cancelling it cancels the run.

        Args:
            prompt: what the user says; behind `messages`, if both are given.
            messages: an earlier transcript, such as `Result.messages`.
            deps: what the tools work with, if the agent opens none itself.
            on_waiting: asks somebody about a call that waits for an approval, or for its result.

        Raises:
            RunFailed: the run ended with `error`.
            RunIncomplete: `waiting`: a call waits, and there is no `on_waiting`.
            ValueError: nothing was said, or `deps` were given to an agent that opens its own.
        """
        async with open_runtime(limits=_ALONE) as runtime:
            run = await runtime.start(self, prompt, messages=messages, deps=deps)
            async with answering(run, self, on_waiting) as waiting:
                result = await run.wait()
        if waiting.unanswered:
            raise RunIncomplete("waiting")
        return result

    @asynccontextmanager
    async def stream_events(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        deps: DepsT_contra = NO_DEPS,
        on_waiting: OnWaiting | None = None,
    ) -> AsyncIterator[Subscription]:
        """Run and yield the channel of all events. Leaving the block early cancels the run.

        The block is left when everything of the run is gone. Arguments as for `run`.
        """
        async with self._started(prompt, messages, deps, on_waiting) as (_, events):
            yield events

    @asynccontextmanager
    async def stream(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        deps: DepsT_contra = NO_DEPS,
        on_waiting: OnWaiting | None = None,
    ) -> AsyncIterator[TextChannel]:
        """Run and yield the channel of the answer's text. As `stream_events` in all else.

        Who prints it can't take it back: an answer that breaks off in the middle is not repeated.
        """
        started = self._started(prompt, messages, deps, on_waiting, retractable=False)
        async with started as (run, events):
            yield TextChannel(run, events)

    @asynccontextmanager
    async def stream_output(
        self,
        prompt: str | None = None,
        *,
        messages: Sequence[AnyMessage] = (),
        deps: DepsT_contra = NO_DEPS,
        on_waiting: OnWaiting | None = None,
    ) -> AsyncIterator[OutputChannel[OutT_co]]:
        """Run and yield the channel of what there is of the answer with a shape so far.

        Its `OutputChannel.result` has the whole of it. As `stream_events` in all else.
        """
        async with self._started(prompt, messages, deps, on_waiting) as (run, events):
            yield OutputChannel(run, events)

    def as_tool(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        deadline: float = math.inf,
        approval: Approval = False,
        retry_safe: bool = False,
    ) -> Tool[Any]:
        """Make a tool of the agent, for another one to call: a sub-agent.

        It is given a prompt, and its answer is the call's result: its text, or the value of its
        `output`. What it does is shown within the events of the call (`Nested`). It ends with the
        call; what it spends counts for the run, and it has the run's dependencies unless it opens
        its own. A tool of yours that calls it with its own context can do so once in each call,
        and before it returns.

        Args:
            name: what the model calls it; by default the agent's name.
            description: what the model reads about it.
            deadline: seconds that one call may take. The agent's own limits hold besides.
            approval: whether somebody has to allow a call, as for `tool`; the argument is `prompt`.
            retry_safe: that the agent may be asked twice, as for `tool`.

        Raises:
            ValueError: the name is none for a tool, or one of the agent's tools may wait for
                somebody, which only the tools of a run's own agent can.
        """
        self._check_that_nothing_waits()
        name = self.name if name is None else name
        if description is None:
            description = f"Ask the agent {name!r} to do something, and get its answer."
        return agent_tool(
            self,
            name=name,
            description=description,
            deadline=deadline,
            approval=approval,
            retry_safe=retry_safe,
        )

    def _check_that_nothing_waits(self) -> None:
        if waiting := self.waiting_tools:
            raise ValueError(
                f"the agent {self.name!r} can't be a tool: {', '.join(waiting)} may wait for "
                "somebody, for which only a run's own agent can. Give it to that agent, or have "
                "the whole call of this one allowed, with as_tool(approval=...)"
            )

    @asynccontextmanager
    async def _started(
        self,
        prompt: str | None,
        messages: Sequence[AnyMessage],
        deps: DepsT_contra,
        on_waiting: OnWaiting | None,
        *,
        retractable: bool = True,
    ) -> AsyncIterator[tuple[Run[OutT_co], Subscription]]:
        async with open_runtime(limits=_ALONE) as runtime:
            run = await runtime.start(
                self, prompt, messages=messages, deps=deps, retractable=retractable
            )
            async with answering(run, self, on_waiting), run.subscribe() as events:
                try:
                    yield run, events
                finally:
                    run.request_cancel("its stream was left")
