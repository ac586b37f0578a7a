"""Performs the actions of a machine: the one place where an agent does I/O.

A run has one worker, and each of its sub-agents another one, in the task of the call that it
serves: what cancels a call cancels its sub-agent, and nobody is gone before all below are gone.
What an agent depends on is opened before its first step, and closed after its last; and before it
sleeps, so that nothing is held by what waits for a person.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from inspect import isawaitable
from typing import Any, Final

import msgspec
import trio

from .._config import AgentConfig
from .._errors import FenceLost, LimitExceeded, ToolError
from .._events import FinishReason
from .._instrument.facts import StepFacts
from .._messages import UserMessage
from .._nursery import split_stops
from ..models._model import Model
from ..tools._context import RunContext
from .asking import Asking
from .calls import Calls, expire, first_deadline, seconds_left
from .desk import Desk
from .emit import now
from .ending import answer_of, failure_of, run_end_of
from .episode import open_episode, without_answer
from .inbox import Inbox
from .job import Job
from .live_run import LiveRun
from .machine import Machine
from .nested import EventLog, NestedLog
from .rebuild import Resumed, new_machine
from .states import AskModel, CheckOutput, State
from .story import ANSWERED
from .toolset import Toolset

logger = logging.getLogger("trio_agent")

_MAX_CORRECTION: Final = 10_000
"""Characters of what the model is told of its answer."""


class Worker:
    """Drives one machine to its terminal event, or to sleep.

    Args:
        job: what the run was given.
        agent: whose work it is: the run's, or a sub-agent.
        machine: the agent's, new or rebuilt.
        run: the run that it is a part of.
        log: where its events go.
        inbox: what the run is told from outside.
        park: puts the run to sleep, if no more was delivered than so much, for at most so many
            seconds; says whether it sleeps, and is held no more.
        parent: of a sub-agent: whose call it serves, and which.
        resumed: how far it had come, if it goes on.
    """

    def __init__(
        self,
        job: Job,
        agent: AgentConfig,
        machine: Machine,
        run: LiveRun,
        log: EventLog,
        *,
        inbox: Inbox | None = None,
        park: Callable[[int, float], Awaitable[bool]] | None = None,
        parent: "tuple[Worker, str] | None" = None,
        resumed: Resumed | None = None,
    ) -> None:
        self.output: Any = msgspec.UNSET
        """The answer with the shape that was asked for, once it is accepted."""
        self.machine: Machine = machine
        self.asleep: bool = False
        """Whether the run waits for somebody, and nobody holds it any more."""
        self._park = park
        self._parent = None if parent is None else parent[0]
        self._resumed = resumed
        context = RunContext[Any](
            run_id=run.id,
            agent=agent.name,
            parent=None if parent is None else parent[1],
            principal=job.order.principal,
            metadata=run.metadata,
            thread=run.record.thread,
        )
        self.desk: Desk = Desk(
            job,
            agent,
            run,
            log,
            machine,
            context,
            Toolset(agent.tools_by_name, ()),
            inbox,
            log.free // 2 if parent is None else parent[0].desk.left_free,
        )
        """What it works with."""
        self._calls = Calls(self.desk, self._run_agent)
        self._asking = Asking(self.desk, self._calls.wants)
        self._instructions = None if resumed is None else resumed.instructions
        # Whether what may have run before it went on is still to be looked at.
        self._unrecovered = resumed is not None
        # Whether it was due by itself: what it waited for has not come in time.
        self._overslept = (
            resumed is not None
            and resumed.reason == ANSWERED
            and inbox is not None
            and not inbox.unread
        )
        # Whether nothing is left but to wait.
        self._quiet = False
        # What was raised, and needs to be told no more.
        self._told: list[BaseException] = []

    async def work(self) -> None:
        """Work until the machine is done, the run's deadline has passed, or all waits."""
        worked = 0.0 if self._resumed is None else self._resumed.worked
        seconds = self.desk.agent.limits.run_deadline
        with trio.CancelScope(deadline=trio.current_time() + seconds - worked) as scope:
            try:
                await self._begin()
                while not self.machine.done and not self.asleep:
                    await self._episode()
                    if self._quiet:
                        await self._sleep()
            except BaseException as exc:
                if self.machine.done or trio.current_effective_deadline() > -math.inf:
                    raise
                # What fails to close while it is being cancelled is cancelled.
                stop, failures = split_stops(exc)
                if not all(isinstance(each, FenceLost) for each in failures):
                    logger.error("run %s was cancelled, and failed", self.desk.run.id, exc_info=exc)
                if stop is None:
                    await trio.lowlevel.checkpoint()  # noqa: ASYNC102 - it raises Cancelled
                    raise
                raise stop from None  # noqa: ASYNC104 - what fails besides is logged
        if scope.cancelled_caught:
            self.finish("timeout", f"the run did not finish within {seconds:g} s")

    async def _begin(self) -> None:
        if self._resumed is None or self.machine.state is State.START:
            thread = None if self._parent is not None else self.desk.run.record.thread
            self.desk.publish(self.machine.started(now(), thread))
        else:
            self.desk.publish(self.machine.resumed(self._resumed.reason, now()))
        await self.desk.log.flush()

    async def _episode(self) -> None:
        above = None if self._parent is None else self._parent.desk.context
        self._quiet = False
        async with AsyncExitStack() as stack:
            try:
                opened = await open_episode(
                    stack,
                    self.desk.job,
                    self.desk.agent,
                    self.desk.context,
                    above,
                    self._instructions,
                )
                self.desk.context, self.desk.toolset = opened.context, opened.toolset
                self._instructions = opened.instructions
                await self._drive(opened.model)
            except BaseException as exc:
                # How it ended is told before anything is closed, which may fail in its turn.
                self.fail_by(exc)
                raise
            if (failure := without_answer(self.machine.terminal)) is not None:
                self._told.append(failure)
                raise failure
        if not self.machine.done and not self._quiet:
            raise RuntimeError("what was opened for the run has swallowed why it ended")

    async def _sleep(self) -> None:
        """Let go of the run, unless there is something to do already."""
        inbox, park = self.desk.inbox, self._park
        assert inbox is not None, "only a run sleeps"
        assert park is not None, "only a run sleeps"
        self.desk.publish(self.machine.waits(now()))
        await self.desk.log.flush()
        self.asleep = await park(inbox.seen, seconds_left(self.desk))

    async def _drive(self, model: Model) -> None:
        seconds = self.desk.agent.limits.step_deadline
        while not self.machine.done and not self._quiet:
            with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
                await self._step(model)
            if scope.cancelled_caught:
                self.finish("timeout", f"a step did not finish within {seconds:g} s")

    async def _step(self, model: Model) -> None:
        desk, machine = self.desk, self.machine
        await desk.toolset.refresh()
        self._recover()
        if machine.state is not State.CHECK:  # an answer that was not judged yet comes first
            await expire(desk, first_deadline(desk) if self._overslept else now())
            await desk.take()
        self._overslept = False
        action = machine.action
        if isinstance(action, AskModel):
            self._ask_next()
        with desk.instruments.step(StepFacts(run=desk.context, number=machine.step)):
            if isinstance(action, AskModel):
                await self._asking.ask(model, self._instructions or "", action.messages)
            if isinstance(action := machine.action, CheckOutput):
                await self._check(action)
            while machine.state is State.ACT and not self._quiet:
                await self._act()

    def _recover(self) -> None:
        if self._unrecovered and self.machine.state is State.ACT:
            tools = self.desk.toolset.by_name.values()
            rerun = [tool.name for tool in tools if tool.retry_safe]
            self.desk.publish(self.machine.recovered(now(), rerun))
        self._unrecovered = False

    def _ask_next(self) -> None:
        told, private = self._instructions, b""
        if (
            self.machine.step == 0
            and told is not None
            and not isinstance(self.desk.agent.instructions, str)
        ):
            private = told.encode("utf-8", "surrogatepass")
        self.desk.log.append(self.machine.asked(now(), self.desk.log.tail + 1), private=private)

    async def _check(self, answer: CheckOutput) -> None:
        shape = self.desk.agent.shape
        assert shape is not None
        try:
            value = shape.parse(answer.text, unwrapped=answer.unwrapped)
            if self.desk.agent.output_validators:
                await self.desk.log.flush()
            for validate in self.desk.agent.output_validators:
                value = validate(self.desk.context, value)
                if isawaitable(value):
                    value = await value
            output = shape.to_json(value)
        except BaseException as exc:  # noqa: ASYNC103 - what asks for no correction is raised again
            stop, failures = split_stops(exc)
            if stop is not None or not all(isinstance(each, ToolError) for each in failures):
                raise
            message = "; ".join(map(str, failures))
            self.desk.publish(self.machine.refused(message[:_MAX_CORRECTION], now()))
        else:
            if len(msgspec.json.encode(output)) > self.desk.log.free:
                raise LimitExceeded("the answer does not fit into the run's log")
            self.output = value
            self.desk.publish(self.machine.accepted(output, now()))

    async def _act(self) -> None:
        await expire(self.desk, now())
        await self.desk.take()
        if self._calls.none_ready:
            self._quiet = self.machine.state is State.ACT
        else:
            await self._calls.make()

    async def _run_agent(self, call_id: str, agent: AgentConfig, prompt: str) -> Any:
        """Let a sub-agent serve a call, and return its answer.

        Raises:
            ToolError: it did not finish its answer.
        """
        machine = new_machine(
            self.desk.run.id,
            agent,
            (UserMessage(prompt),),
            retractable=self.desk.run.retractable,
            parent=(self.machine, call_id),
        )
        log = NestedLog(self.desk.log, call_id)
        child = Worker(self.desk.job, agent, machine, self.desk.run, log, parent=(self, call_id))
        with self.desk.instruments.run(child.desk.context) as measured:
            try:
                await child.work()
            except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
                child.fail_by(exc)
            finally:
                if not self.desk.run.leaving:  # else its call has no end yet
                    child.finish("cancelled", "its call was cancelled")
                measured.end = run_end_of(child.machine, outcome="handed-over")
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
                logger.error("run %s: this failed behind its end", self.desk.run.id, exc_info=exc)
            return
        exc = failures[0] if len(failures) == 1 else exc
        if isinstance(exc, FenceLost):
            return  # The log is closed to us, and whoever has it knows how it ends.
        failure = failure_of(exc)
        if failure.is_bug:
            logger.error("run %s failed by a bug", self.desk.run.id, exc_info=exc)
        if failure.code.startswith("timeout"):
            self.finish("timeout", failure.message)
        else:
            self.desk.publish(self.machine.fail(failure.code, failure.message, now()))

    def finish(self, finish_reason: FinishReason, reason: str | None) -> None:
        """End in good order, if it has not ended."""
        if not self.machine.done:
            self.desk.publish(self.machine.finish(finish_reason, now(), reason=reason))
