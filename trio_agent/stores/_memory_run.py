"""A run in a `MemoryStore`."""

from collections.abc import Mapping

import attrs
import trio

from .._log.inbox import Delivery
from .._log.log import Entry, Log
from .._log.run_info import RunInfo, RunRecord


@attrs.define
class MemoryRun:
    """A run, with what is known of it beside its log."""

    record: RunRecord
    log: Log
    blobs: Mapping[str, bytes]
    # Until when it is nobody else's; until it is due, if it is parked.
    leased_until: float
    parked: bool = False
    # Whether its last holder let go of it.
    handed_over: bool = False
    # By key, in the order in which they came.
    inbox: dict[str, Delivery] = attrs.field(factory=dict)
    inbox_size: int = 0
    finished_at: float | None = None
    cancel_reason: str | None = None
    # How many, and until when that holds, by worker.
    viewers: dict[str, tuple[int, float]] = attrs.field(factory=dict)

    @property
    def last(self) -> Entry | None:
        return self.log.entries[-1] if self.log.closed else None

    def info(self) -> RunInfo:
        """Tell what is known of it now."""
        now = trio.current_time()
        return RunInfo(
            record=self.record,
            tail=self.log.tail,
            size=self.log.size,
            last=self.last,
            fence=self.log.fence,
            leased=not self.parked and not self.log.closed and self.leased_until > now,
            cancel_reason=self.cancel_reason,
            viewers=sum(count for count, until in self.viewers.values() if until > now),
            parked=self.parked and self.leased_until > now,
            delivered=len(self.inbox),
        )
