"""What holds in every log that has ended, at each level of its sub-agents."""

from collections.abc import Iterator, Sequence

import attrs
import msgspec

from trio_agent import (
    AnyEvent,
    Nested,
    RunContinued,
    RunStart,
    ToolCall,
    ToolProgress,
    ToolResult,
)
from trio_agent.wire import encode_event


@attrs.define
class _Level:
    """The events of one agent, as far as they have come."""

    prefix: str = ""
    started: bool = False
    ended: bool = False
    calls: dict[str, "_Level"] = attrs.field(factory=dict)
    """The calls that are open, with the sub-agent in each."""
    answered: set[str] = attrs.field(factory=set)

    def take(self, event: AnyEvent) -> None:
        assert not self.ended, f"{event} came behind the terminal event"
        # Of a run whose server died before it had begun, there is nothing but its end.
        assert self.started or isinstance(event, RunStart) or (event.terminal and not self.prefix)
        assert not (self.started and isinstance(event, RunStart)), "it begins once"
        self.started = True
        match event:
            case ToolCall(tool=tool):
                assert tool.id.startswith(self.prefix), f"{tool.id} is no call of {self.prefix}"
                assert tool.id not in self.calls.keys() | self.answered, f"{tool.id} comes again"
                self.calls[tool.id] = _Level(f"{tool.id}/")
            case ToolProgress(tool=tool):
                assert tool.id in self.calls, f"progress of {tool.id}, which is not open"
            case Nested(call=call):
                assert call in self.calls, f"nested in {call}, which is not open"
                inner = event.event
                assert inner is not None, f"{event.raw!r} is no event"
                self.calls[call].take(inner)
            case ToolResult(tool=tool):
                assert tool.id in self.calls, f"{tool.id} has a result, and is not open"
                # It closes what is open inside, as where a process died.
                del self.calls[tool.id]
                self.answered.add(tool.id)
            case RunContinued():
                # Calls that may be made again are: their sub-agents begin anew.
                for level in self.calls.values():
                    level.begin_anew()
        if event.terminal:
            assert not self.calls, f"{list(self.calls)} have no result"
            self.ended = True

    def begin_anew(self) -> None:
        self.started = self.ended = False
        self.answered |= self.calls.keys()
        self.calls.clear()


def check_log(events: Sequence[AnyEvent]) -> None:
    """Check the whole log of a run.

    One terminal event, which is last; every call has one result, behind it; what a sub-agent does
    is between the call and the result of its tool, begins with a `run-start`, and is held to the
    same rules. It needs no end of its own: the result is one.
    """
    root = _Level()
    for event in events:
        root.take(event)
    assert root.ended, "there is no terminal event"


def at_all_levels(events: Sequence[AnyEvent]) -> Iterator[AnyEvent]:
    """All events, and those within them."""
    for event in events:
        yield event
        if isinstance(event, Nested) and (inner := event.event) is not None:
            yield from at_all_levels([inner])


def nested(call: str, *events: AnyEvent) -> list[AnyEvent]:
    """The events of the sub-agent in a call, as they stand in the log above it."""
    return [Nested(at=e.at, call=call, raw=msgspec.Raw(encode_event(e))) for e in events]


def within(events: Sequence[AnyEvent], *calls: str) -> list[AnyEvent]:
    """The events of the sub-agent in this call, which is in that call, and so on from above."""
    for call in calls:
        events = [
            inner
            for event in events
            if isinstance(event, Nested) and event.call == call
            if (inner := event.event) is not None
        ]
    return list(events)


def check_levels(events: Sequence[AnyEvent]) -> None:
    """Check the whole log of a run whose process lived: each sub-agent has come to its end, too."""
    check_log(events)
    for call in {event.call for event in events if isinstance(event, Nested)}:
        check_levels(within(events, call))
