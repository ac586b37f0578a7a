"""What the model of a run emits to."""

import time
from collections.abc import Callable, Sequence
from typing import Final

import trio

from ..models._model import Emit
from ..models._parts import EmittedPart, SwitchPart, is_heard
from .machine import Machine
from .nested import EventLog

_EMITS: Final = 32
"""Every so many calls `emit` is a checkpoint. For each token it would cost more than the token;
most models wait for their next one anyway, and those that don't are made to."""


def now() -> int:
    """The time of an event."""
    return time.time_ns() // 1_000_000


class RunEmit(Emit):
    """Publishes one answer. Once the machine is done, the answer is cancelled."""

    def __init__(
        self,
        machine: Machine,
        log: EventLog,
        answer: trio.CancelScope,
        on_first: Callable[[], object],
        on_switch: Callable[[SwitchPart], object],
    ) -> None:
        self.calls: int = 0
        """How often something was emitted."""
        self.first: float | None = None
        """Seconds until the first word."""
        self._machine = machine
        self._log = log
        self._answer = answer
        self._on_first = on_first
        self._on_switch = on_switch
        self._began = trio.current_time()

    def is_silent(self) -> bool:
        """Whether nothing was said, so that the model can be asked again."""
        return self.first is None

    def nowait(self, *parts: EmittedPart) -> bool:
        self.calls += 1
        events = self._machine.said(parts, now())
        done = self._machine.done
        if self.first is None:
            self._listen(parts)
        if events:
            self._log.append(events, bounded=not done)
        if done:
            self._answer.cancel(reason="the machine is done")
        return self.calls % _EMITS != 0 and self._log.has_room

    def _listen(self, parts: Sequence[EmittedPart]) -> None:
        for part in parts:
            if isinstance(part, SwitchPart):
                self._on_switch(part)
        if any(map(is_heard, parts)):
            self.first = trio.current_time() - self._began
            self._on_first()

    async def room(self) -> None:
        if self.calls % _EMITS == 0:
            await trio.lowlevel.checkpoint()
        await self._log.room()
