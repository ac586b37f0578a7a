"""Asking the model for one answer: what it is sent, and what is done when it fails.

A model that has said nothing yet is simply asked again. If its answer breaks off in the middle,
what it said is taken back where every reader can do that, and the step begins anew.
"""

import math
from collections.abc import Callable
from functools import partial

import trio

from .._errors import LimitExceeded, ModelError
from .._events import ToolRequest
from .._instrument.facts import ModelEnd, ModelFacts, ModelRetried, ModelSwitched
from .._messages import AnyMessage
from ..models._model import Model, ask
from ..models._parts import ModelFinish, ModelRequest, SwitchPart
from .desk import Desk
from .emit import RunEmit, now
from .kept import set_aside
from .prepare import apply
from .retry import generate_with_retries, pause
from .states import State


class Asking:
    """The answers of one agent's model.

    Args:
        desk: what it works with.
        wants: says of a call what it waits for.
    """

    def __init__(self, desk: Desk, wants: Callable[[ToolRequest], str | None]) -> None:
        self._desk = desk
        self._wants = wants

    async def ask(self, model: Model, instructions: str, messages: tuple[AnyMessage, ...]) -> None:
        """Let the model answer. Behind it, the answer is in the log, or was taken back.

        Raises:
            ModelError: the model failed for good.
            LimitExceeded: what it said does not fit into the run's log.
            StoreUnavailable, FenceLost: the log can't be continued.
        """
        desk, facts = self._desk, self._facts(model)
        answer = trio.CancelScope()
        switched = partial(self._switched, facts)
        emit = RunEmit(desk.machine, desk.log, answer, desk.run.speaks, switched)
        try:
            with answer:
                await self._generate(model, self._request(instructions, messages), emit, facts)
        except ModelError as exc:
            story, limits = desk.machine.story, desk.agent.limits
            broke_off = story.state is State.ANSWER and not emit.is_silent()
            if not (
                broke_off
                and exc.retryable
                and desk.run.retractable
                and story.retries < limits.step_retries
            ):
                raise
            delay = pause(story.retries, exc)
            desk.publish(desk.machine.broke_off(exc.code, now()))
            self._retried(facts, exc, delay)
        else:
            return
        await trio.sleep(delay)

    def _request(self, instructions: str, messages: tuple[AnyMessage, ...]) -> ModelRequest:
        desk, agent = self._desk, self._desk.agent
        if agent.prepare is not None:
            messages = apply(agent.prepare, messages)
        return ModelRequest(
            messages,
            instructions,
            desk.toolset.specs,
            agent.options,
            # A tool that every step has to call would never let the run end.
            agent.tool_choice if desk.machine.step == 1 else None,
            None if agent.shape is None else agent.shape.spec_beside(desk.toolset.by_name),
        )

    def _facts(self, model: Model) -> ModelFacts:
        return ModelFacts(run=self._desk.context, step=self._desk.machine.step, model=model.name)

    async def _generate(
        self, model: Model, request: ModelRequest, emit: RunEmit, facts: ModelFacts
    ) -> None:
        desk = self._desk
        limits = desk.agent.limits
        with desk.instruments.model(facts) as measured:
            finish = await generate_with_retries(
                partial(ask, model, request, emit),
                emit.is_silent,
                partial(self._retried, facts),
                retries=limits.model_retries,
                window=limits.retry_window,
            )
            measured.end = ModelEnd(
                model=finish.model or model.name,
                reason=finish.reason,
                usage=finish.usage,
                first=emit.first,
                chunks=emit.calls,
            )
        if not desk.machine.done:
            self._answered(finish)

    def _answered(self, finish: ModelFinish) -> None:
        desk, machine = self._desk, self._desk.machine
        try:
            finish, private = set_aside(finish)
            if len(private) > desk.log.free:
                raise LimitExceeded("what the provider wants back does not fit into the log")
        except (ModelError, LimitExceeded):
            machine.budget.paid(finish.usage)
            raise
        seconds = desk.agent.limits.answer_deadline
        events = machine.answered(
            finish,
            now(),
            wants=self._wants,
            deadline=None if seconds == math.inf else now() + round(seconds * 1000),
            more=desk.inbox is not None and desk.inbox.unread,
        )
        desk.log.append(events, private=private)

    def _retried(self, facts: ModelFacts, failure: ModelError, delay: float) -> None:
        retried = ModelRetried(asked=facts, error=failure.code, delay=delay)
        self._desk.instruments.model_retried(retried)

    def _switched(self, facts: ModelFacts, part: SwitchPart) -> None:
        self._desk.instruments.model_switched(
            ModelSwitched(
                asked=facts, from_model=part.from_model, to_model=part.to_model, error=part.code
            )
        )
