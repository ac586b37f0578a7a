"""What the model of a run emits to."""

import time
from collections.abc import Callable
from typing import Final

import trio

from ..models._model import Emit
from ..models._parts import EmittedPart, is_heard
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
    ) -> None:
        self._machine = machine
        self._log = log
        self._answer = answer
        self._on_first = on_first
        self._calls = 0
        self._silent = True

    def is_silent(self) -> bool:
        """Whether nothing was said, so that the model can be asked again."""
        return self._silent

    def nowait(self, *parts: EmittedPart) -> bool:
        self._calls += 1
        events = self._machine.said(parts, now())
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
