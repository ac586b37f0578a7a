"""The feed of a log: its window of recent entries, and who is woken."""

from collections.abc import Sequence

import pytest
import trio
import trio.testing

from trio_agent._errors import FenceLost, StoreUnavailable
from trio_agent._events import RunFinish, RunSummary, TextDelta, Usage
from trio_agent._log import feed as _feed
from trio_agent._log.feed import Feed
from trio_agent._log.log import PAGE_BYTES, Entry

FINISH = RunFinish(at=0, run=RunSummary("r", "", 1, "stop", Usage()))


def deltas(first: int, last: int) -> list[Entry]:
    return [Entry.of(n, TextDelta(at=0, delta=str(n))) for n in range(first, last + 1)]


def test_recent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_feed, "_WINDOW", 4)
    feed = Feed("r", "e", tail=3)
    assert not feed.recent(1)
    feed.extend(deltas(4, 8))
    assert [entry.offset for entry in feed.recent(3)] == [4, 5, 6, 7]
    assert [entry.offset for entry in feed.recent(7)] == [8]
    assert not feed.recent(2)
    feed.extend(deltas(9, 12))
    assert feed.tail == 12
    assert not feed.recent(7)
    assert [entry.offset for entry in feed.recent(8)] == [9, 10, 11, 12]


def big(offset: int, size: int) -> Entry:
    return Entry(offset, b"x" * size, False)


def kept(feed: Feed) -> list[int]:
    return [entry.offset for entry in feed._window]


@pytest.mark.parametrize("size", [1_000, 50_000, 300_000, 5_000_000])
def test_what_is_at_hand_is_bounded_in_bytes(size: int) -> None:
    feed = Feed("r", "e")
    with_viewer = Feed("r", "e")
    with_viewer.add_viewers(+1)
    for offset in range(1, 101):
        for each in (feed, with_viewer):
            each.extend([big(offset, size)])
            held = sum(len(entry.data) for entry in each._window)
            assert held == each._size
            assert held <= max(size, 2 * PAGE_BYTES)
            page = each.recent(offset - min(offset, 3))
            assert sum(len(entry.data) for entry in page) <= max(size, PAGE_BYTES)
            assert each.recent(offset - 1)[0].offset == offset


def test_pages_at_hand_follow_each_other() -> None:
    feed = Feed("r", "e")
    feed.extend([big(offset, 400_000) for offset in range(1, 6)])
    seen: list[int] = []
    while page := feed.recent(seen[-1] if seen else 0):
        seen += [entry.offset for entry in page]
    assert seen == [1, 2, 3, 4, 5]


def test_what_is_no_longer_at_hand_is_forgotten() -> None:
    """A store in memory has the same entries, and needs no decoded events."""
    feed = Feed("r", "e")
    entries = [Entry.of(n, TextDelta(at=0, delta="x" * 500_000)) for n in range(1, 8)]
    for entry in entries:
        feed.extend([entry])
    assert len(kept(feed)) < len(entries)
    assert [e.offset for e in entries if e._event is not None] == kept(feed)
    assert entries[0].event == entries[-1].event


def test_a_finished_log_is_at_hand_only_while_somebody_views_it() -> None:
    feed = Feed("r", "e")
    feed.add_viewers(+1)
    feed.extend(deltas(1, 5))
    feed.extend([Entry.of(6, FINISH)])
    assert feed.frames(feed.recent(0), lambda *_: b"x" * 100) == b"x" * 100
    assert kept(feed) == [1, 2, 3, 4, 5, 6]
    feed.add_viewers(-1)
    assert kept(feed) == [6]
    assert not feed._frames
    assert not feed.recent(4)
    assert [entry.offset for entry in feed.recent(5)] == [6]
    unwatched = Feed("r", "e")
    unwatched.extend(deltas(1, 5))
    assert kept(unwatched) == [1, 2, 3, 4, 5]
    unwatched.extend([Entry.of(6, FINISH)])
    assert kept(unwatched) == [6]


def test_the_terminal_entry_closes() -> None:
    feed = Feed("r", "e")
    feed.extend(deltas(1, 1))
    assert not feed.closed
    feed.extend([Entry.of(2, FINISH)])
    assert feed.closed
    feed.break_off(FenceLost("too late"))
    assert feed.failure is None


def test_the_first_failure_stays_until_it_grows() -> None:
    feed = Feed("r", "e")
    first = StoreUnavailable("first")
    feed.break_off(first)
    feed.break_off(FenceLost("second"))
    assert feed.failure is first
    feed.extend(deltas(1, 1))
    assert feed.failure is None


@pytest.mark.parametrize("how", ["extend", "break off", "wake"])
async def test_everybody_is_woken(how: str) -> None:
    feed = Feed("r", "e")
    woken: list[int] = []

    async def wait(n: int) -> None:
        await feed.changed()
        woken.append(n)

    async with trio.open_nursery() as nursery:
        for n in range(3):
            nursery.start_soon(wait, n)
        await trio.testing.wait_all_tasks_blocked()
        assert not woken
        match how:
            case "extend":
                feed.extend(deltas(1, 1))
            case "break off":
                feed.break_off(StoreUnavailable("away"))
            case _:
                feed.wake()
    assert sorted(woken) == [0, 1, 2]


def test_viewers() -> None:
    feed = Feed("r", "e")
    told: list[tuple[int, bool]] = []
    feed.add_viewers(+1)
    feed.on_use.append(lambda feed: told.append((feed.viewers, feed.in_use)))
    feed.add_viewers(+1)
    feed.add_viewers(-2)
    assert told == [(2, True), (0, False)]


def test_who_holds_it_is_no_viewer() -> None:
    feed = Feed("r", "e")
    told: list[tuple[int, bool]] = []
    feed.on_use.append(lambda feed: told.append((feed.viewers, feed.in_use)))
    with feed.hold():
        feed.add_viewers(+1)
        feed.add_viewers(-1)
    assert told == [(0, True), (1, True), (0, True), (0, False)]


def test_ended() -> None:
    feed = Feed("r", "e")
    assert not feed.ended
    feed.break_off(StoreUnavailable("away"))
    assert feed.ended
    feed.extend([Entry.of(1, FINISH)])
    assert feed.ended


def test_frames_are_made_once_for_one_place() -> None:
    feed = Feed("r", "e")
    made: list[tuple[str, str, int, int]] = []

    def frame(run_id: str, epoch: str, entries: Sequence[Entry]) -> bytes:
        made.append((run_id, epoch, entries[0].offset, entries[-1].offset))
        return b"%d" % len(made)

    def other(run_id: str, epoch: str, entries: Sequence[Entry]) -> bytes:
        return b"other"

    assert feed.frames(deltas(1, 2), frame) == b"1"
    assert feed.frames(deltas(1, 2), frame) == b"1"
    assert feed.frames(deltas(1, 2), other) == b"other"
    assert feed.frames(deltas(1, 2), frame) == b"1"
    assert feed.frames(deltas(1, 3), frame) == b"2"
    assert feed.frames(deltas(2, 3), frame) == b"3"
    assert made == [("r", "e", 1, 2), ("r", "e", 1, 3), ("r", "e", 2, 3)]
