"""The log of a sub-agent within the log of another agent."""

import trio

from trio_agent._events import AnyEvent, Nested, RunStart, TextDelta, ToolCall, ToolRequest
from trio_agent._log.codec import decode_event, encode_event
from trio_agent._run.nested import NestedLog


class Outer:
    """Takes what is appended."""

    def __init__(self) -> None:
        self.free = 1000
        self.has_room = True
        self.appended: list[tuple[list[AnyEvent], bool, bytes]] = []
        self.waited: list[str] = []

    def append(
        self, events: "list[AnyEvent]", *, bounded: bool = False, private: bytes = b""
    ) -> None:
        self.appended.append((list(events), bounded, private))

    async def room(self) -> None:
        await trio.lowlevel.checkpoint()
        self.waited.append("room")

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()
        self.waited.append("flush")


def test_events_are_wrapped_to_any_depth() -> None:
    outer = Outer()
    inner = NestedLog(NestedLog(outer, "1"), "1/2")
    events = [
        RunStart(at=3, run_id="r", agent="b"),
        ToolCall(at=4, tool=ToolRequest("1/2/3", "t", {"x": "\u2028"})),
    ]
    inner.append(events, bounded=True, private=b"secret")
    [(wrapped, bounded, private)] = outer.appended
    assert bounded
    assert private == b""
    for event, each in zip(events, wrapped, strict=True):
        assert isinstance(each, Nested)
        assert (each.call, each.at) == ("1", event.at)
        assert isinstance(each.event, Nested)
        assert each.event.call == "1/2"
        assert each.event.event == event
        line = encode_event(each)
        assert len(line.decode().splitlines()) == 1
        assert decode_event(line) == each


def test_what_is_not_known_within_is_none() -> None:
    for raw in (b'{"type":"later","at":1}', b'{"type":"text-delta"}', b"7"):
        event = decode_event(b'{"type":"nested","at":1,"call":"1","event":%s}' % raw)
        assert isinstance(event, Nested)
        assert event.event is None
        assert raw in encode_event(event)


async def test_its_bounds_are_those_of_the_log_around_it() -> None:
    outer = Outer()
    inner = NestedLog(outer, "1")
    assert inner.free == 1000
    assert inner.has_room
    outer.free, outer.has_room = 7, False
    assert inner.free == 7
    assert not inner.has_room
    await inner.room()
    await inner.flush()
    assert outer.waited == ["room", "flush"]
    inner.append([TextDelta(at=1, delta="x")])
    assert outer.appended[0][1] is False
