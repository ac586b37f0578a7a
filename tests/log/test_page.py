"""What viewers get of a log that is damaged: all that can be read, then an error that ends it."""

import pytest
import trio

from trio_agent._errors import CursorExpired, LogDamaged, StoreUnavailable
from trio_agent._events import RunError, TextDelta
from trio_agent._log.feed import Feed
from trio_agent._log.log import Entry
from trio_agent._log.page import ViewerPages
from trio_agent._log.store import Page
from trio_agent._log.subscription import Subscription


class Pages:
    """A store with the entries that it was given, all in one page."""

    def __init__(self, *entries: Entry | Exception) -> None:
        self.entries = entries

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        await trio.lowlevel.checkpoint()
        found: list[Entry] = []
        for entry in self.entries[after : after + limit]:
            if isinstance(entry, Exception):
                if not found:
                    raise entry
                break
            found.append(entry)
        return Page(found, len(self.entries), closed=True)


def delta(offset: int) -> Entry:
    return Entry(offset, Entry.of(offset, TextDelta(at=0, delta="x")).data, False)


def raw(offset: int, data: bytes, *, terminal: bool = False) -> Entry:
    return Entry(offset, data, terminal)


GARBAGE = [
    *(b"", b"{", b"[1]", b"7", b"\xff", b'{"type":"text-delta","at":0}'),
    *(b'{"type":"tomorrow","x":"\xff"}', b'{"type":"tomorrow",\n"x":1}', b'{"type":"tomorrow"}\r'),
    *(b' {"type":"tomorrow"}', b'{"type":"text-delta","at":0,"delta":"\\ud83d"}'),
]


@pytest.mark.parametrize("data", GARBAGE)
@pytest.mark.parametrize("place", [1, 2, 3])
async def test_an_entry_that_cannot_be_read_is_the_end(data: bytes, place: int) -> None:
    entries = [delta(n) for n in (1, 2, 3)]
    entries[place - 1] = raw(place, data)
    page = await ViewerPages(Pages(*entries)).read("r", 0, 10)
    assert [entry.offset for entry in page.entries] == list(range(1, place + 1))
    assert [entry.terminal for entry in page.entries] == [False] * (place - 1) + [True]
    assert (page.tail, page.closed) == (3, True)
    for entry in (page.entries[-1], Entry(place, page.entries[-1].data, True)):
        event = entry.event
        assert isinstance(event, RunError)
        assert event.error.code == "log-damaged"


@pytest.mark.parametrize("data", [*GARBAGE, b'{"type":"tomorrow"}', delta(1).data])
async def test_a_terminal_entry_that_cannot_be_read_is_an_error(data: bytes) -> None:
    last = raw(2, data, terminal=True)
    assert isinstance(last.event, RunError)
    page = await ViewerPages(Pages(delta(1), last)).read("r", 0, 10)
    assert [type(entry.event) for entry in page.entries] == [TextDelta, RunError]
    assert page.entries[-1].data != data


async def test_a_hole_is_the_end() -> None:
    pages = ViewerPages(Pages(delta(1), LogDamaged("a hole"), delta(3)))
    assert [entry.offset for entry in (await pages.read("r", 0, 10)).entries] == [1]
    [entry] = (await pages.read("r", 1, 10)).entries
    assert (entry.offset, entry.terminal, entry.readable) == (2, True, False)


async def test_what_can_be_read_is_as_it_is() -> None:
    entries = [delta(1), raw(2, b'{"type":"tomorrow","x":"\xc3\xbc"}'), delta(3)]
    page = await ViewerPages(Pages(*entries)).read("r", 0, 10)
    assert page.entries == entries


@pytest.mark.parametrize("error", [CursorExpired("gone"), StoreUnavailable("away")])
async def test_other_errors_are_not_damage(error: Exception) -> None:
    with pytest.raises(type(error)):
        await ViewerPages(Pages(error)).read("r", 0, 10)


@pytest.mark.parametrize("damage", [raw(2, b"{"), LogDamaged("a hole")])
@pytest.mark.parametrize("closed", [True, False])
async def test_a_subscription_ends_there(damage: Entry | Exception, closed: bool) -> None:
    """It neither waits for more nor begins anew, though the log may go on."""
    feed = Feed("r", "e", tail=3, closed=closed)
    store = ViewerPages(Pages(delta(1), damage, delta(3)))
    with trio.fail_after(5):
        with Subscription(feed, store, 0) as events:
            seen = [event async for event in events]
            assert [type(event) for event in seen] == [TextDelta, RunError]
            assert events.ended
            assert events.cursor.offset == 2
            with pytest.raises(trio.EndOfChannel):
                await events.receive_entries()
        with Subscription(feed, store, 1) as events:
            frames = await events.receive_frames(lambda *_: b"damaged")
            feed.extend([delta(4)])
            with pytest.raises(trio.EndOfChannel):
                await events.receive_frames(lambda *_: b"more")
    assert frames == b"damaged"


async def test_frames_of_damage_are_for_nobody_else() -> None:
    feed = Feed("r", "e", tail=1)
    feed.extend([delta(2), delta(3)])
    store = ViewerPages(Pages(delta(1), raw(2, b"{"), delta(3)))

    def frame(run_id: str, epoch: str, entries: object) -> bytes:
        assert isinstance(entries, list)
        return b"".join(entry.data for entry in entries)

    with Subscription(feed, store, 0) as late, Subscription(feed, store, 1) as live:
        await late.receive_entries()
        with Subscription(feed, ViewerPages(Pages(delta(1), raw(2, b"{"))), 0) as other:
            assert b"log-damaged" in await other.receive_frames(frame)
        assert await live.receive_frames(frame) == delta(2).data + delta(3).data
