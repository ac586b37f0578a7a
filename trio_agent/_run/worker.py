"""Performs the actions of a machine: the one place where an agent does I/O.

A run has one worker, and each of its sub-agents another one, in the task of the call that it
serves: what cancels a call cancels its sub-agent, and nobody is gone before all below are gone.
What an agent depends on is opened before its first step, and closed after its last.
"""

import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from inspect import isawaitable
from typing import Any, Final

import attrs
import msgspec
import trio

from .._config import AgentConfig
from .._errors import (
    FenceLost,
    LimitExceeded,
    ModelError,
    StoreUnavailable,
    ToolError,
    ToolSourceError,
)
from .._events import AnyEvent, FinishReason, RunError, RunFinish, ToolName, ToolRequest
from .._instrument.facts import (
    ModelEnd,
    ModelFacts,
    ModelRetried,
    ModelSwitched,
    RunEnd,
    StepFacts,
    ToolEnd,
    ToolFacts,
)
from .._messages import AnyMessage, UserMessage
from .._nursery import leaves, split_stops
from ..models._model import Model, ask
from ..models._parts import ModelFinish, ModelRequest, SwitchPart
from ..tools._call import Outcome, call_tool
from ..tools._context import RunContext, ToolContext
from .emit import RunEmit, now
from .job import NO_DEPS, Job
from .kept import set_aside
from .live_run import LiveRun
from .machine import Expected, Machine
from .nested import EventLog, NestedLog
from .prepare import apply
from .progress import Progress
from .retry import generate_with_retries
from .run import outcome_of
from .states import AskModel, CheckOutput, RunTools
from .toolset import Toolset

logger = logging.getLogger("trio_agent")

_MAX_CORRECTION: Final = 10_000
"""Characters of what the model is told of its answer."""


class Worker:
    """Drives one machine from its start to its terminal event.

    Args:
        job: what the run was given.
        agent: whose work it is: the run's, or a sub-agent.
        messages: what the agent is asked.
        run: the run that it is a part of.
        log: where its events go.
        parent: of a sub-agent: whose call it serves, and which.
    """

    def __init__(
        self,
        job: Job,
        agent: AgentConfig,
        messages: Sequence[AnyMessage],
        run: LiveRun,
        log: EventLog,
        parent: "tuple[Worker, str] | None" = None,
    ) -> None:
        limits = agent.limits
        shape = agent.shape
        self.output: Any = msgspec.UNSET
        """The answer with the shape that was asked for, once it is accepted."""
        self.machine: Machine = Machine(
            run.id,
            agent.name,
            messages,
            max_steps=limits.max_steps,
            max_tokens=limits.max_tokens,
            tool_retries=limits.tool_retries,
            output=None if shape is None else Expected(shape.wrapped, limits.output_retries),
            parent=None if parent is None else (parent[0].machine, parent[1]),
        )
        self._job = job
        self._instruments = job.instruments
        self._agent = agent
        self._shape = shape
        self._run = run
        self._log = log
        self._parent = None if parent is None else parent[0]
        self.context: RunContext[Any] = RunContext(
            run_id=run.id,
            agent=agent.name,
            parent=None if parent is None else parent[1],
            principal=job.order.principal,
            metadata=run.metadata,
        )
        """What it tells those who work for it."""
        self._toolset = Toolset(agent.tools_by_name, ())
        self._instructions = ""
        self._full = False

    async def work(self) -> None:
        """Work until the machine is done, or the run's deadline has passed."""
        seconds = self._agent.limits.run_deadline
        with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
            await self._begin()
        if scope.cancelled_caught:
            self.finish("timeout", f"the run did not finish within {seconds:g} s")

    async def _begin(self) -> None:
        self._publish(self.machine.started(now()))
        await self._log.flush()
        async with AsyncExitStack() as stack:
            await self._open(stack)
            model = await stack.enter_async_context(self._job.use_model(self._agent.model))
            await self._drive(model)
        if not self.machine.done:
            raise RuntimeError("what was opened for the run has swallowed why it ended")

    async def _open(self, stack: AsyncExitStack) -> None:
        agent, job = self._agent, self._job
        facts = self.context
        if self._parent is None and job.order.deps is not NO_DEPS:
            deps = job.order.deps
        elif agent.open_deps is not None:
            deps = await stack.enter_async_context(agent.open_deps(facts))
        else:
            deps = None if self._parent is None else self._parent.context.deps
        self.context = attrs.evolve(facts, deps=deps)
        sources = [
            await stack.enter_async_context(
                job.use_source(source) if source.scope == "runtime" else source.open()
            )
            for source in agent.sources
        ]
        self._toolset = Toolset(agent.tools_by_name, sources)
        told = agent.instructions
        self._instructions = told if isinstance(told, str) else told(self.context)

    async def _drive(self, model: Model) -> None:
        seconds = self._agent.limits.step_deadline
        while not self.machine.done:
            with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
                await self._step(model)
            if scope.cancelled_caught:
                self.finish("timeout", f"a step did not finish within {seconds:g} s")

    async def _step(self, model: Model) -> None:
        action = self.machine.action
        assert isinstance(action, AskModel)
        await self._toolset.refresh()
        self._publish(self.machine.asked(now()))
        with self._instruments.step(StepFacts(run=self.context, number=self.machine.step)):
            await self._ask(model, action.messages)
            if isinstance(action := self.machine.action, CheckOutput):
                await self._check(action.text)
            if isinstance(action := self.machine.action, RunTools):
                await self._act(action.calls)

    async def _ask(self, model: Model, messages: tuple[AnyMessage, ...]) -> None:
        machine, agent = self.machine, self._agent
        if agent.prepare is not None:
            messages = apply(agent.prepare, messages)
        request = ModelRequest(
            messages,
            self._instructions,
            self._toolset.specs,
            agent.options,
            # A tool that every step has to call would never let the run end.
            agent.tool_choice if machine.step == 1 else None,
            None if self._shape is None else self._shape.spec_beside(self._toolset.by_name),
        )
        facts = ModelFacts(run=self.context, step=machine.step, model=model.name)
        with trio.CancelScope() as answer:
            emit = RunEmit(
                machine, self._log, answer, self._run.speaks, partial(self._switched, facts)
            )
            with self._instruments.model(facts) as measured:
                finish = await generate_with_retries(
                    partial(ask, model, request, emit),
                    emit.is_silent,
                    partial(self._retried, facts),
                    retries=agent.limits.model_retries,
                    window=agent.limits.retry_window,
                )
                measured.end = ModelEnd(
                    model=finish.model or model.name,
                    reason=finish.reason,
                    usage=finish.usage,
                    first=emit.first,
                    chunks=emit.calls,
                )
            if not machine.done:
                self._answered(finish)

    def _retried(self, facts: ModelFacts, failure: ModelError, delay: float) -> None:
        retried = ModelRetried(asked=facts, error=failure.code, delay=delay)
        self._instruments.model_retried(retried)

    def _switched(self, facts: ModelFacts, part: SwitchPart) -> None:
        self._instruments.model_switched(
            ModelSwitched(
                asked=facts, from_model=part.from_model, to_model=part.to_model, error=part.code
            )
        )

    def _answered(self, finish: ModelFinish) -> None:
        try:
            finish, private = set_aside(finish)
            if len(private) > self._log.free:
                raise LimitExceeded("what the provider wants back does not fit into the log")
        except (ModelError, LimitExceeded):
            self.machine.budget.paid(finish.usage)
            raise
        self._log.append(self.machine.answered(finish, now()), private=private)

    async def _check(self, text: str) -> None:
        shape = self._shape
        assert shape is not None
        try:
            value = shape.parse(text)
            if self._agent.output_validators:
                await self._log.flush()
            for validate in self._agent.output_validators:
                value = validate(self.context, value)
                if isawaitable(value):
                    value = await value
            output = shape.to_json(value)
        except* ToolError as exc:
            message = "; ".join(map(str, leaves(exc)))
            self._publish(self.machine.refused(message[:_MAX_CORRECTION], now()))
        else:
            if len(msgspec.json.encode(output)) > self._log.free:
                raise LimitExceeded("the answer does not fit into the run's log")
            self.output = value
            self._publish(self.machine.accepted(output, now()))

    async def _act(self, calls: Sequence[ToolRequest]) -> None:
        # No tool starts before the world can know of its call, no model call before the results.
        await self._log.flush()
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(self._call, nursery, call)
        if self._full:
            raise LimitExceeded("the output of a tool does not fit into the run's log")
        await self._log.flush()

    async def _call(self, nursery: trio.Nursery, call: ToolRequest) -> None:
        place = ToolFacts(run=self.context, step=self.machine.step, tool=call.name, call_id=call.id)
        progress = Progress(ToolName(call.id, call.name), self._log, nursery)
        context = ToolContext[Any](
            run_id=self.context.run_id,
            agent=self.context.agent,
            parent=self.context.parent,
            principal=self.context.principal,
            metadata=self.context.metadata,
            deps=self.context.deps,
            call_id=call.id,
            on_progress=progress,
            on_cancel=self._run.request_cancel,
            run_agent=partial(self._run_agent, call.id),
            threads=self._job.tool_threads,
        )
        with self._instruments.tool(place) as measured:
            try:
                outcome = await call_tool(
                    self._toolset.by_name,
                    call,
                    context,
                    deadline=self._agent.limits.tool_deadline,
                    tell=self._agent.tool_errors,
                    on_abandoned=partial(self._abandon, call.id),
                )
            finally:
                progress.close()
            if len(msgspec.json.encode(outcome)) > self._log.free:
                self._full = True
                outcome = Outcome("error", "the output does not fit into the run's log")
            status, output, files = outcome
            measured.end = ToolEnd(status=status)
        self._publish(self.machine.returned(call.id, status, output, now(), files))

    def _abandon(self, call_id: str) -> None:
        self._run.abandoned.append(call_id)
        self.machine.abandoned(call_id)

    async def _run_agent(self, call_id: str, agent: AgentConfig, prompt: str) -> Any:
        """Let a sub-agent serve a call, and return its answer.

        Raises:
            ToolError: it did not finish its answer.
        """
        said = (UserMessage(prompt),)
        log = NestedLog(self._log, call_id)
        child = Worker(self._job, agent, said, self._run, log, (self, call_id))
        with self._instruments.run(child.context) as measured:
            try:
                await child.work()
            except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
                child.fail_by(exc)
            finally:
                child.finish("cancelled", "its call was cancelled")
                measured.end = child.how_it_ended()
        match child.machine.terminal:
            case RunFinish(run=run) if run.finish_reason == "stop":
                return run.text if run.output is msgspec.UNSET else run.output
            case RunFinish(run=run):
                raise ToolError(f"the agent {agent.name!r} did not finish: {run.finish_reason}")
            case RunError(error=error):
                raise ToolError(f"the agent {agent.name!r} failed: {error.code}: {error.message}")
        raise AssertionError("unreachable")

    def fail_by(self, exc: BaseException) -> None:
        """End with what came out of `work`.

        Raises:
            BaseException: it is to go on, because somebody cancels more than this.
        """
        stop, failures = split_stops(exc)
        if stop is not None:
            # What fails while everything is being cancelled is cancelled.
            raise stop from None
        match failures[0] if len(failures) == 1 else exc:
            case ModelError(code=code) as failure if code.startswith("timeout"):
                self.finish("timeout", failure.message)
            case ModelError() as failure:
                self._fail(failure.code, failure.message)
            case ToolSourceError() as failure:
                self._fail("tools-unavailable", str(failure))
            case LimitExceeded() as failure:
                self._fail("log-limit", str(failure))
            case StoreUnavailable() as failure:
                self._fail("store-unavailable", str(failure))
            case FenceLost():
                pass  # The log is closed to us, and whoever has it knows how it ends.
            case failure:
                logger.error("run %s failed by a bug", self._run.id, exc_info=failure)
                self._fail("internal", f"internal error ({type(failure).__name__})")

    def how_it_ended(self, *, stored: bool = True) -> RunEnd:
        """Say so to instruments, once the machine is done."""
        machine = self.machine
        terminal = machine.terminal
        assert terminal is not None
        return RunEnd(
            outcome=outcome_of(terminal),
            reason=terminal.run.reason if isinstance(terminal, RunFinish) else None,
            error=terminal.error.code if isinstance(terminal, RunError) else None,
            steps=machine.step,
            usage=machine.budget.usage,
            own_usage=machine.budget.own_usage,
            stored=stored,
        )

    def finish(self, finish_reason: FinishReason, reason: str | None) -> None:
        """End in good order, if it has not ended."""
        if not self.machine.done:
            self._publish(self.machine.finish(finish_reason, now(), reason=reason))

    def _fail(self, code: str, message: str) -> None:
        if not self.machine.done:
            self._publish(self.machine.fail(code, message, now()))

    def _publish(self, events: Sequence[AnyEvent]) -> None:
        if events:
            self._log.append(events)
