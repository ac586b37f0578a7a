"""The log of a sub-agent: a part of the log of the agent that has called it.

What it appends is wrapped and goes on at once; its bounds, and when it is committed, are those of
the log around it. So one cursor shows all, and a run has one end.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from .._events import AnyEvent, Nested
from .._log.codec import encode_event


class EventLog(Protocol):
    """Where an agent's events go. `RunLog` says what its methods mean."""

    @property
    def tail(self) -> int: ...
    @property
    def free(self) -> int: ...
    @property
    def has_room(self) -> bool: ...
    def append(
        self, events: Sequence[AnyEvent], *, bounded: bool = False, private: bytes = b""
    ) -> None: ...
    async def room(self) -> None: ...
    async def flush(self) -> None: ...


class NestedLog:
    """The log of the sub-agent in this call.

    Args:
        outer: the log of the agent that has called it.
        call: the id of the call.
    """

    def __init__(self, outer: EventLog, call: str) -> None:
        self._outer = outer
        self._call = call
        self.room = outer.room
        self.flush = outer.flush

    @property
    def tail(self) -> int:
        """As of the log around it."""
        return self._outer.tail

    @property
    def free(self) -> int:
        """As of the log around it."""
        return self._outer.free

    @property
    def has_room(self) -> bool:
        """As of the log around it."""
        return self._outer.has_room

    def append(
        self, events: Sequence[AnyEvent], *, bounded: bool = False, private: bytes = b""
    ) -> None:
        """Append events of the sub-agent. What is private is kept by nobody: see `Worker`."""
        del private  # A run that goes on begins the call anew, and its sub-agent with it.
        wrapped = [
            Nested(at=event.at, call=self._call, raw=msgspec.Raw(encode_event(event)))
            for event in events
        ]
        self._outer.append(wrapped, bounded=bounded)
