"""What an agent of a run works with, whoever of those who work for it does."""

from collections.abc import Sequence
from typing import Any

import attrs

from .._config import AgentConfig
from .._events import AnyEvent
from .._instrument.instruments import Instruments
from ..tools._context import RunContext
from .emit import now
from .inbox import Inbox
from .job import Job
from .live_run import LiveRun
from .machine import Machine
from .nested import EventLog
from .toolset import Toolset


@attrs.define(eq=False)
class Desk:
    """The desk of one agent: of the run's, or of a sub-agent."""

    job: Job
    agent: AgentConfig
    run: LiveRun
    log: EventLog
    machine: Machine
    context: RunContext[Any]
    """What it tells those who work for it."""
    toolset: Toolset
    inbox: Inbox | None
    """What is told to it from outside; None of a sub-agent, to which nobody speaks."""
    left_free: int
    """Bytes of the run's log that are not for progress."""

    @property
    def instruments(self) -> Instruments:
        """What is told of its work."""
        return self.job.instruments

    def publish(self, events: Sequence[AnyEvent]) -> None:
        """Append to the log what the machine has decided."""
        if events:
            self.log.append(events)

    async def take(self) -> None:
        """Make events of what it was told meanwhile. A checkpoint if there is anything."""
        while self.inbox is not None and self.inbox.unread and not self.machine.done:
            for item in await self.inbox.read():
                if not self.machine.done:
                    self.publish(self.machine.took(item, now()))
