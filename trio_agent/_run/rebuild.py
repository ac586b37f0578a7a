"""Machines: new ones, and those that have read a log and go on from there.

Whoever reads a log back gets the machine that wrote it. Time that nobody worked counts for nobody:
it is taken out of what `Limits.run_deadline` counts.
"""

import attrs

from .._config import AgentConfig
from .._errors import LogDamaged
from .._events import (
    AnyEvent,
    Nested,
    RunContinued,
    RunStart,
    RunWaiting,
    StepStart,
)
from .._log.store import Store
from .._messages import AnyMessage
from .machine import Machine
from .replay import Kept, read_back
from .states import Expected
from .story import LOST


@attrs.frozen
class Resumed:
    """How far a run had come that goes on."""

    reason: str
    """Why it goes on (`RunContinued.reason`)."""
    tail: int
    size: int
    """Bytes of its log, and of what is private beside it."""
    worked: float
    """Seconds that it was worked on."""
    instructions: str | None
    """What the model was told, if that was rendered."""


def new_machine(
    run_id: str,
    agent: AgentConfig,
    messages: tuple[AnyMessage, ...],
    *,
    retractable: bool,
    before: int = 0,
    parent: tuple[Machine, str] | None = None,
) -> Machine:
    """Make the machine of a run, or of a sub-agent in the call of the machine `parent`.

    `before` of the messages were said in its thread, and are not the run's.
    """
    limits, shape = agent.limits, agent.shape
    machine = Machine(
        run_id,
        agent.name,
        messages,
        max_steps=limits.max_steps,
        max_tokens=limits.max_tokens,
        tool_retries=limits.tool_retries,
        continuations=limits.continuations,
        output=None if shape is None else Expected(shape.wrapped, limits.output_retries),
        retractable=retractable,
        parent=parent,
    )
    machine.story.transcript.before = before
    return machine


async def rebuild(store: Store, run_id: str, machine: Machine) -> Resumed:
    """Feed a log to a machine that is new. A checkpoint.

    Raises:
        UnknownRun, CursorExpired: there is no such log, or no more.
        LogDamaged: it can't be read.
        StoreUnavailable: the store can't be read now.
    """
    clock = _Clock()
    story = machine.story
    instructions: str | None = None
    reason = LOST

    def add(event: AnyEvent, offset: int, kept: Kept) -> None:
        nonlocal instructions, reason
        clock.add(event)
        match event:
            case Nested(call=call):
                story.absorb(call, event.event)
                return
            case StepStart() if kept.data:
                instructions = kept.data.decode("utf-8", "surrogatepass")
            case RunContinued():
                reason = event.reason
        story.add(event, offset, kept.provider)

    try:
        read = await read_back(store, run_id, add)
        calls = [call.id for call in story.transcript.calls]
        assert len(calls) == len(set(calls)), "a call is made once"
    except (KeyError, AssertionError, UnicodeDecodeError):
        raise LogDamaged(f"the log of run {run_id!r} does not make sense") from None
    return Resumed(reason, read.tail, read.size, clock.worked, instructions)


class _Clock:
    """Counts the time that a run was worked on, from its events."""

    def __init__(self) -> None:
        self._worked = 0
        self._began: int | None = None
        self._last = 0

    def add(self, event: AnyEvent) -> None:
        match event:
            case RunStart():
                self._began = event.at
            case RunContinued():
                # Until its last word, if it was not put to sleep.
                self._stop(self._last)
                self._began = event.at
            case RunWaiting():
                self._stop(event.at)
        self._last = event.at

    def _stop(self, at: int) -> None:
        if self._began is not None:
            self._worked += max(0, at - self._began)
        self._began = None

    @property
    def worked(self) -> float:
        now = 0 if self._began is None else max(0, self._last - self._began)
        return (self._worked + now) / 1000
