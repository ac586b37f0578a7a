"""Performs the actions of a machine: the one place where an agent does I/O.

A run has one worker, and each of its sub-agents another one, in the task of the call that it
serves: what cancels a call cancels its sub-agent, and nobody is gone before all below are gone.
What an agent depends on is opened before its first step, and closed after its last.
"""

import logging
import math
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from inspect import isawaitable
from typing import Any, Final

import msgspec
import trio

from .._config import AgentConfig
from .._errors import (
    FenceLost,
    LimitExceeded,
    ModelError,
    ToolError,
)
from .._events import AnyEvent, FinishReason, ToolName, ToolRequest
from .._instrument.facts import (
    ModelEnd,
    ModelFacts,
    ModelRetried,
    ModelSwitched,
    StepFacts,
    ToolEnd,
    ToolFacts,
)
from .._messages import AnyMessage, UserMessage
from .._nursery import split_stops
from ..models._model import Model, ask
from ..models._parts import ModelFinish, ModelRequest, SwitchPart
from ..tools._call import Outcome, call_tool
from ..tools._context import RunContext, ToolContext
from .emit import RunEmit, now
from .ending import answer_of, failure_of, run_end_of
from .episode import open_episode, without_answer
from .job import Job
from .kept import set_aside
from .live_run import LiveRun
from .machine import Expected, Machine
from .nested import EventLog, NestedLog
from .prepare import apply
from .progress import Progress
from .retry import generate_with_retries
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
        self.left_free: int = log.free // 2 if parent is None else parent[0].left_free
        """Bytes of the run's log that are not for progress."""
        self._toolset = Toolset(agent.tools_by_name, ())
        self._instructions = ""
        self._full = False
        # Calls that have not returned, and that no sub-agent has served.
        self._unserved: set[str] = set()
        # What was raised, and needs to be told no more.
        self._told: list[BaseException] = []

    async def work(self) -> None:
        """Work until the machine is done, or the run's deadline has passed."""
        seconds = self._agent.limits.run_deadline
        with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
            try:
                await self._begin()
            except BaseException as exc:
                if self.machine.done or trio.current_effective_deadline() > -math.inf:
                    raise
                # What fails to close while it is being cancelled is cancelled.
                stop, failures = split_stops(exc)
                if failures:
                    logger.error("run %s was cancelled, and failed", self._run.id, exc_info=exc)
                if stop is None:
                    await trio.lowlevel.checkpoint()  # noqa: ASYNC102 - it raises Cancelled
                    raise
                raise stop from None  # noqa: ASYNC104 - what fails besides is logged
        if scope.cancelled_caught:
            self.finish("timeout", f"the run did not finish within {seconds:g} s")

    async def _begin(self) -> None:
        self._publish(self.machine.started(now()))
        await self._log.flush()
        above = None if self._parent is None else self._parent.context
        async with AsyncExitStack() as stack:
            try:
                opened = await open_episode(stack, self._job, self._agent, self.context, above)
                self.context, self._toolset = opened.context, opened.toolset
                self._instructions = opened.instructions
                await self._drive(opened.model)
            except BaseException as exc:
                # How it ended is told before anything is closed, which may fail in its turn.
                self.fail_by(exc)
                raise
            if (failure := without_answer(self.machine.terminal)) is not None:
                self._told.append(failure)
                raise failure
        if not self.machine.done:
            raise RuntimeError("what was opened for the run has swallowed why it ended")

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
                await self._check(action)
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

    async def _check(self, answer: CheckOutput) -> None:
        shape = self._shape
        assert shape is not None
        try:
            value = shape.parse(answer.text, unwrapped=answer.unwrapped)
            if self._agent.output_validators:
                await self._log.flush()
            for validate in self._agent.output_validators:
                value = validate(self.context, value)
                if isawaitable(value):
                    value = await value
            output = shape.to_json(value)
        except BaseException as exc:  # noqa: ASYNC103 - what asks for no correction is raised again
            stop, failures = split_stops(exc)
            if stop is not None or not all(isinstance(each, ToolError) for each in failures):
                raise
            message = "; ".join(map(str, failures))
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
        name = ToolName(call.id, call.name)
        progress = Progress(name, self._log, nursery, least=self.left_free)
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
        self._unserved.add(call.id)
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
                progress.flush()
            finally:
                progress.close()
                self._unserved.discard(call.id)
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
            RuntimeError: the call is not its to serve: within one, a log tells of one sub-agent.
        """
        if call_id not in self._unserved:
            raise RuntimeError(
                "a call is served by one sub-agent, and before it returns: Agent.run runs others"
            )
        self._unserved.remove(call_id)
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
                measured.end = run_end_of(child.machine)
        return answer_of(agent.name, child.machine)

    def fail_by(self, exc: BaseException) -> None:
        """End with what came out of `work`.

        Raises:
            BaseException: it is to go on, because somebody cancels more than this.
        """
        stop, failures = split_stops(exc)
        if stop is not None:
            # What fails while everything is being cancelled is cancelled.
            raise stop from None
        told, self._told = self._told, [*self._told, *failures]
        if self.machine.done:
            if not all(any(each is other for other in told) for each in failures):
                logger.error("run %s: this failed behind its end", self._run.id, exc_info=exc)
            return
        exc = failures[0] if len(failures) == 1 else exc
        if isinstance(exc, FenceLost):
            return  # The log is closed to us, and whoever has it knows how it ends.
        failure = failure_of(exc)
        if failure.is_bug:
            logger.error("run %s failed by a bug", self._run.id, exc_info=exc)
        if failure.code.startswith("timeout"):
            self.finish("timeout", failure.message)
        else:
            self._publish(self.machine.fail(failure.code, failure.message, now()))

    def finish(self, finish_reason: FinishReason, reason: str | None) -> None:
        """End in good order, if it has not ended."""
        if not self.machine.done:
            self._publish(self.machine.finish(finish_reason, now(), reason=reason))

    def _publish(self, events: Sequence[AnyEvent]) -> None:
        if events:
            self._log.append(events)
