"""Performs the actions of the machine: the one place where a run does I/O."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final

import attrs
import msgspec
import trio

from .._config import AgentConfig
from .._errors import FenceLost, LimitExceeded, ModelError, StoreUnavailable
from .._events import AnyEvent, FinishReason, RunError, ToolRequest
from .._log.writer import RunLog
from .._messages import AnyMessage
from .._nursery import split_stops
from ..models._model import Emit, Model, ask
from ..models._parts import EmittedPart, ModelFinish, ModelRequest, is_heard
from ..tools._call import call_tool
from ..tools._context import Principal
from ..tools._threads import ToolThreads
from .kept import set_aside
from .live_run import LiveRun
from .machine import AskModel, Machine, RunTools
from .retry import generate_with_retries
from .run import entered, outcome_of

logger = logging.getLogger("trio_agent")

_EMITS: Final = 32
"""Every so many calls `emit` is a checkpoint. For each token it would cost more than the token;
most models wait for their next one anyway, and those that don't are made to."""


@attrs.frozen(kw_only=True)
class Job:
    """What a run needs of its agent and its runtime."""

    agent: AgentConfig
    messages: tuple[AnyMessage, ...]
    principal: Principal | None
    """Whose run it is; None where nobody is asked."""
    use_model: Callable[[Model], AbstractAsyncContextManager[Model]]
    tool_threads: ToolThreads
    closing_bound: float
    """Seconds that the closing events may take when everything is being cancelled."""


class Performer:
    """Drives one machine from its start to its terminal event."""

    def __init__(self, job: Job, run: LiveRun, log: RunLog) -> None:
        self._job = job
        self._agent = job.agent
        self._tools = job.agent.tools_by_name
        self._run = run
        self._log = log
        self._machine = Machine(
            run.id,
            job.agent.name,
            job.messages,
            max_steps=job.agent.limits.max_steps,
            max_tokens=job.agent.limits.max_tokens,
        )
        self._full = False
        self._began = trio.current_time()
        log.on_lost = run.stop_as_lost

    async def perform(self) -> None:
        """Run to the end. Whatever happens, the log gets its terminal event, or is lost.

        If cancelled from outside, the run is `cancelled`; its closing events still get
        `closing_bound` seconds to be committed. Whatever fails in a run ends here, as its `error`.
        """
        with entered(self._run):
            await self._perform()

    async def _perform(self) -> None:
        logger.info("run %s of agent %r begins", self._run.id, self._agent.name)
        try:
            with self._run.cancel_scope, self._run.viewer_scope:
                await self._until_deadline()
        except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
            stop, failures = split_stops(exc)
            if stop is not None:
                # What fails while everything is being cancelled is cancelled.
                raise stop from None  # noqa: ASYNC104
            self._fail_by(failures[0] if len(failures) == 1 else exc)
        finally:
            self._finish("cancelled", self._why_cancelled())
            await self._end()  # noqa: ASYNC102 - shielded and bounded inside

    def _fail_by(self, failure: BaseException) -> None:
        match failure:
            case ModelError(code=code) if code.startswith("timeout"):
                self._finish("timeout", failure.message)
            case ModelError():
                self._fail(failure.code, failure.message)
            case LimitExceeded():
                self._fail("log-limit", str(failure))
            case StoreUnavailable():
                self._fail("store-unavailable", str(failure))
            case FenceLost():
                pass  # The log is closed to us, and whoever has it knows how it ends.
            case _:
                logger.error("run %s failed by a bug", self._run.id, exc_info=failure)
                self._fail("internal", f"internal error ({type(failure).__name__})")

    async def _until_deadline(self) -> None:
        seconds = self._agent.limits.run_deadline
        with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
            await self._drive()
        if scope.cancelled_caught:
            self._finish("timeout", f"the run did not finish within {seconds:g} s")

    async def _drive(self) -> None:
        machine = self._machine
        self._publish(machine.started(_now()))
        await self._log.flush()
        seconds = self._agent.limits.step_deadline
        async with self._job.use_model(self._agent.model) as model:
            while not machine.done:
                with trio.CancelScope(deadline=trio.current_time() + seconds) as scope:
                    await self._step(model)
                if scope.cancelled_caught:
                    self._finish("timeout", f"a step did not finish within {seconds:g} s")

    async def _step(self, model: Model) -> None:
        action = self._machine.action
        assert isinstance(action, AskModel)
        await self._ask(model, action.messages)
        match self._machine.action:
            case RunTools(calls):
                await self._act(calls)

    async def _ask(self, model: Model, messages: tuple[AnyMessage, ...]) -> None:
        machine, agent = self._machine, self._agent
        self._publish(machine.asked(_now()))
        began = trio.current_time()
        logger.debug("run %s: step %d asks the model", self._run.id, machine.step)
        # A tool that every step has to call would never let the run end.
        choice = agent.tool_choice if machine.step == 1 else None
        request = ModelRequest(
            messages, agent.instructions, agent.tool_specs, agent.options, choice
        )
        with trio.CancelScope() as answer:
            emit = _Emit(machine, self._log, answer, self._run.speaks)
            finish = await generate_with_retries(
                partial(ask, model, request, emit),
                emit.is_silent,
                retries=agent.limits.model_retries,
                window=agent.limits.retry_window,
            )
            logger.debug(
                "run %s: step %d was answered: %s, %d tokens, %.3f s",
                self._run.id,
                machine.step,
                finish.reason,
                finish.usage.total_tokens,
                trio.current_time() - began,
            )
            if not machine.done:
                self._answered(finish)

    def _answered(self, finish: ModelFinish) -> None:
        try:
            finish, private = set_aside(finish)
            if len(private) > self._log.free:
                raise LimitExceeded("what the provider wants back does not fit into the log")
        except (ModelError, LimitExceeded):
            self._machine.paid(finish.usage)
            raise
        self._log.append(self._machine.answered(finish, _now()), private=private)

    async def _act(self, calls: Sequence[ToolRequest]) -> None:
        # No tool starts before the world can know of its call, no model call before the results.
        await self._log.flush()
        async with trio.open_nursery() as nursery:
            for call in calls:
                nursery.start_soon(self._call, call)
        if self._full:
            raise LimitExceeded("the output of a tool does not fit into the run's log")
        await self._log.flush()

    async def _call(self, call: ToolRequest) -> None:
        began = trio.current_time()
        logger.debug("run %s: call %r of tool %r begins", self._run.id, call.id, call.name)
        status, output = await call_tool(
            self._tools,
            call,
            run_id=self._run.id,
            deadline=self._agent.limits.tool_deadline,
            threads=self._job.tool_threads,
            on_abandoned=partial(self._abandon, call),
        )
        if len(msgspec.json.encode(output)) > self._log.free:
            self._full = True
            status, output = "error", "the output does not fit into the run's log"
        logger.debug(
            "run %s: call %r of tool %r ended: %s, %.3f s",
            self._run.id,
            call.id,
            call.name,
            status,
            trio.current_time() - began,
        )
        self._publish(self._machine.returned(call.id, status, output, _now()))

    def _abandon(self, call: ToolRequest) -> None:
        self._run.abandoned.append(call.id)
        self._machine.abandoned(call.id)

    def _publish(self, events: Sequence[AnyEvent], *, bounded: bool = False) -> None:
        if events:
            self._log.append(events, bounded=bounded)

    def _finish(self, finish_reason: FinishReason, reason: str | None) -> None:
        if not self._machine.done:
            self._publish(self._machine.finish(finish_reason, _now(), reason=reason))

    def _fail(self, code: str, message: str) -> None:
        if not self._machine.done:
            self._publish(self._machine.fail(code, message, _now()))

    def _why_cancelled(self) -> str:
        if self._run.cancel_reason is not None:
            return self._run.cancel_reason
        if self._run.viewer_scope.cancel_called:
            return "nobody watches"
        return "the runtime was cancelled"

    async def _end(self) -> None:
        failure: StoreUnavailable | FenceLost | None = None
        with trio.move_on_after(self._job.closing_bound, shield=True) as scope:
            try:
                await self._log.flush()
            except (StoreUnavailable, FenceLost) as exc:
                failure = exc
        if scope.cancelled_caught:
            message = "the store did not take the terminal event in time"
            failure = StoreUnavailable(message + _hint_at_clock())
        terminal = self._machine.terminal
        assert terminal is not None
        how: str = outcome_of(terminal)
        if isinstance(terminal, RunError):
            how += f" {terminal.error.code}"
        if failure is not None:
            how += " (not stored)"
        logger.info(
            "run %s of agent %r ended: %s, %d steps, %d tokens, %.3f s",
            self._run.id,
            self._agent.name,
            how,
            self._machine.step,
            self._machine.usage.total_tokens,
            trio.current_time() - self._began,
        )
        self._run.end(terminal, self._machine.result, failure)


class _Emit(Emit):
    """What the model of a run emits to. Once the machine is done, the answer is cancelled."""

    def __init__(
        self,
        machine: Machine,
        log: RunLog,
        answer: trio.CancelScope,
        on_first: Callable[[], object],
    ) -> None:
        self._machine = machine
        self._log = log
        self._answer = answer
        self._on_first = on_first
        self._calls = 0
        self._silent = True

    def is_silent(self) -> bool:
        return self._silent

    def nowait(self, *parts: EmittedPart) -> bool:
        self._calls += 1
        events = self._machine.said(parts, _now())
        done = self._machine.done
        if self._silent and any(map(is_heard, parts)):
            self._silent = False
            self._on_first()
        if events:
            self._log.append(events, bounded=not done)
        if done:
            self._answer.cancel(reason="the machine is done")
        return self._calls % _EMITS != 0 and self._log.has_room

    async def room(self) -> None:
        if self._calls % _EMITS == 0:
            await trio.lowlevel.checkpoint()
        await self._log.room()


def _hint_at_clock() -> str:
    testing = sys.modules.get("trio.testing")
    if testing is None or not isinstance(trio.lowlevel.current_clock(), testing.MockClock):
        return ""
    if not testing.active_thread_count():
        return ""
    return ": the clock of this test does not wait for threads, see docs/testing.md"


def _now() -> int:
    return time.time_ns() // 1_000_000
