"""What a log has taken back of what it said, for who reads it afterwards."""

from typing import Final

from trio_agent import (
    AnyEvent,
    Nested,
    OutputDelta,
    ReasoningDelta,
    StepDiscard,
    TextDelta,
    ToolInputDelta,
)
from trio_agent.abc import Store

_PAGE: Final = 500
_DELTAS: Final = (TextDelta, ReasoningDelta, OutputDelta, ToolInputDelta)


class TakenBack:
    """The parts of a log that are taken back: at which level, and between which offsets."""

    def __init__(self) -> None:
        self._parts: list[tuple[tuple[str, ...], int, int]] = []

    async def read(self, store: Store, run_id: str) -> None:
        """Find them in what there is of a log now. A checkpoint.

        Raises:
            As `Store.read`.
        """
        after = 0
        while entries := (await store.read(run_id, after, _PAGE)).entries:
            after = entries[-1].offset
            for entry in entries:
                # What has no such word is not decoded.
                if b"step-discard" in entry.data and (event := entry.event) is not None:
                    path, inner = _unwrapped(event)
                    if isinstance(inner, StepDiscard):
                        self._parts.append((path, inner.from_offset, entry.offset))

    def has(self, offset: int, event: AnyEvent) -> bool:
        """Whether this event was taken back, or says so."""
        path, inner = _unwrapped(event)
        return isinstance(inner, (*_DELTAS, StepDiscard)) and any(
            path == where and since < offset <= until for where, since, until in self._parts
        )


def _unwrapped(event: AnyEvent) -> tuple[tuple[str, ...], AnyEvent]:
    path: tuple[str, ...] = ()
    while isinstance(event, Nested) and (inner := event.event) is not None:
        path += (event.call,)
        event = inner
    return path, event
