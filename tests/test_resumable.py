from typing import Any

import pytest
import trio
import trio.testing

from trio_agent import _resumable
from trio_agent._errors import CursorExpired, CursorInvalid, LimitExceeded, UnknownRun
from trio_agent._log.cursor import Cursor
from trio_agent._resumable import Checkpoint, ChunkChannel, ResumableStreamManager, StreamChunk
from trio_agent.wire._sse import SSEDecoder

quiet = trio.testing.wait_all_tasks_blocked


def fill(manager: ResumableStreamManager, stream: str, *contents: Any) -> None:
    for content in contents:
        manager.save_chunk(stream, "text", content)


async def drain(channel: ChunkChannel) -> list[Any]:
    async with channel:
        return [chunk.content async for chunk in channel]


async def test_a_streams_life() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    start = manager.checkpoint(stream)
    assert (start.position, start.complete) == (0, False)
    assert manager.save_chunk(stream, "text", "a") == StreamChunk(1, "text", "a")
    assert manager.save_chunk(stream, "done", {"n": [1, None]}) == StreamChunk(
        2, "done", {"n": [1, None]}
    )
    after = manager.checkpoint(stream)
    assert (after.position, after.complete) == (2, False)
    manager.complete(stream)
    manager.complete(stream)
    assert manager.checkpoint(stream) == Checkpoint(2, True, after.cursor)
    assert manager.chunks_since(stream, 0) == [
        StreamChunk(1, "text", "a"),
        StreamChunk(2, "done", {"n": [1, None]}),
    ]
    assert [chunk.position for chunk in manager.chunks_since(stream, 1)] == [2]
    assert manager.chunks_since(stream, after.cursor) == []
    assert manager.chunks_since(stream, start.cursor) == manager.chunks_since(stream, 0)


async def test_positions_that_are_none() -> None:
    manager = ResumableStreamManager()
    stream, other = manager.create_stream(), manager.create_stream()
    fill(manager, stream, "a")
    cursor = Cursor.parse(manager.checkpoint(stream).cursor)
    wrong: list[tuple[int | str, type[Exception]]] = [
        (-1, CursorInvalid),
        ("1", CursorInvalid),
        (manager.checkpoint(other).cursor, CursorInvalid),
        (2, CursorExpired),
        (f"{stream}.other.1", CursorExpired),
        (str(Cursor(stream, cursor.epoch, 9)), CursorExpired),
    ]
    for position, error in wrong:
        with pytest.raises(error):
            manager.chunks_since(stream, position)
        with pytest.raises(error):
            manager.subscribe(stream, after=position)
    manager.complete(stream)
    for position in (2, str(Cursor(stream, cursor.epoch, 2))):
        with pytest.raises(CursorExpired):
            manager.chunks_since(stream, position)


async def test_errors_instead_of_silence() -> None:
    manager = ResumableStreamManager()
    deleted = manager.create_stream()
    manager.delete(deleted)
    for stream, error in (("nope", UnknownRun), (deleted, CursorExpired)):
        for act in (
            lambda s=stream: manager.save_chunk(s, "text", "a"),
            lambda s=stream: manager.complete(s),
            lambda s=stream: manager.checkpoint(s),
            lambda s=stream: manager.chunks_since(s, 0),
            lambda s=stream: manager.subscribe(s),
            lambda s=stream: manager.delete(s),
            lambda s=stream: manager.format_sse(s, StreamChunk(1, "text", "a")),
        ):
            with pytest.raises(error, match=stream):
                act()


async def test_what_is_no_json() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    with pytest.raises(TypeError):
        manager.save_chunk(stream, "text", object())
    with pytest.raises(ValueError, match="surrogates"):
        manager.save_chunk(stream, "text", "\ud800")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for kind, content in ((7, "a"), (None, "a"), ("text", deep)):
        with pytest.raises(ValueError, match="no chunk"):
            manager.save_chunk(stream, kind, content)
    assert manager.checkpoint(stream).position == 0
    manager.save_chunk(stream, "a kind of which nobody has heard", {"a": None})
    assert manager.chunks_since(stream, 0)[0].type == "a kind of which nobody has heard"


async def test_no_position_is_used_again() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    fill(manager, stream, "a")
    manager.complete(stream)
    with pytest.raises(trio.ClosedResourceError, match="complete"):
        manager.save_chunk(stream, "text", "b")
    assert [chunk.content for chunk in manager.chunks_since(stream, 0)] == ["a"]


async def test_replay_then_live() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    fill(manager, stream, "a", "b")
    results: dict[str, list[Any]] = {}

    async def read(name: str, after: int | str) -> None:
        results[name] = await drain(manager.subscribe(stream, after=after))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read, "start", 0)
        nursery.start_soon(read, "second", 1)
        nursery.start_soon(read, "live", manager.checkpoint(stream).cursor)
        await quiet()
        fill(manager, stream, "c")
        await quiet()
        fill(manager, stream, "d", "e")
        assert results == {}
        manager.complete(stream)
    await read("late", 0)
    await read("end", 5)
    assert results == {
        "start": list("abcde"),
        "second": list("bcde"),
        "live": list("cde"),
        "late": list("abcde"),
        "end": [],
    }


async def test_many_and_slow_ones() -> None:
    """Who is slow reads on from where the window of the fast has passed."""
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    slow = manager.subscribe(stream)
    fill(manager, stream, "first")
    assert (await slow.receive()).content == "first"
    counts: list[int] = []

    async def read() -> None:
        counts.append(len(await drain(manager.subscribe(stream))))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(read)
        for n in range(5000):
            fill(manager, stream, n)
            if n % 500 == 0:
                await quiet()
        manager.complete(stream)
    assert counts == [5001] * 50
    assert await drain(slow) == list(range(5000))


async def test_receiving_is_a_checkpoint_and_nothing_is_lost_when_it_is_cancelled() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    fill(manager, stream, "a", "b")
    async with manager.subscribe(stream) as chunks:
        for expected in "ab":
            with trio.CancelScope() as scope:
                scope.cancel()
                await chunks.receive()
            assert scope.cancelled_caught
            with trio.testing.assert_checkpoints():
                assert (await chunks.receive()).content == expected
        with trio.CancelScope() as scope:
            scope.cancel()
            await chunks.receive()
        fill(manager, stream, "c")
        assert (await chunks.receive()).content == "c"


async def test_a_closed_channel() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    fill(manager, stream, "a", "b")
    chunks = manager.subscribe(stream)
    await chunks.receive()
    await chunks.aclose()
    with pytest.raises(trio.ClosedResourceError):
        await chunks.receive()


async def test_deleted_while_somebody_reads() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    async with trio.open_nursery() as nursery, manager.subscribe(stream) as chunks:

        async def read() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await chunks.receive()

        nursery.start_soon(read)
        await quiet()
        manager.delete(stream)
        await quiet()


async def test_deleted_before_a_slow_one_was_through() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    fill(manager, stream, *range(5000))
    chunks = manager.subscribe(stream)
    manager.complete(stream)
    manager.delete(stream)
    with pytest.raises(CursorExpired):
        await chunks.receive()


async def test_age_counts_from_completion_only(autojump_clock: trio.testing.MockClock) -> None:
    manager = ResumableStreamManager(max_age=10)
    stream = manager.create_stream()
    await trio.sleep(1000)
    fill(manager, stream, "a")
    await trio.sleep(1000)
    manager.complete(stream)
    await trio.sleep(9)
    assert manager.checkpoint(stream).complete
    await trio.sleep(1)
    with pytest.raises(CursorExpired, match="was removed"):
        manager.checkpoint(stream)


async def test_only_complete_ones_make_room_oldest_first() -> None:
    manager = ResumableStreamManager(max_streams=3)
    first, second, third = (manager.create_stream() for _ in range(3))
    with pytest.raises(LimitExceeded, match="3 streams are active"):
        manager.create_stream()
    manager.complete(second)
    manager.complete(first)
    fourth = manager.create_stream()
    with pytest.raises(CursorExpired):
        manager.checkpoint(second)
    fifth = manager.create_stream()
    with pytest.raises(CursorExpired):
        manager.checkpoint(first)
    with pytest.raises(LimitExceeded):
        manager.create_stream()
    for stream in (third, fourth, fifth):
        assert not manager.checkpoint(stream).complete


async def test_bytes_of_one_stream() -> None:
    manager = ResumableStreamManager(max_bytes=100)
    stream = manager.create_stream()
    with pytest.raises(LimitExceeded, match="at most 100 bytes"):
        fill(manager, stream, "x" * 100)
    assert manager.checkpoint(stream).position == 0
    fill(manager, stream, "x" * 60)
    with pytest.raises(LimitExceeded):
        fill(manager, stream, "y")
    manager.complete(stream)
    assert [chunk.content for chunk in manager.chunks_since(stream, 0)] == ["x" * 60]


async def test_the_id_of_a_server_sent_event_resumes() -> None:
    manager = ResumableStreamManager()
    stream = manager.create_stream()
    fill(manager, stream, "a\nb", "é\u2028", {"n": 1})
    chunks = manager.chunks_since(stream, 0)
    wire = b"".join(manager.format_sse(stream, chunk) for chunk in chunks)
    events = SSEDecoder().feed(wire)
    assert [event.data for event in events] == [
        '{"type":"text","content":"a\\nb"}',
        '{"type":"text","content":"é\u2028"}',
        '{"type":"text","content":{"n":1}}',
    ]
    for seen, event in enumerate(events, 1):
        assert manager.chunks_since(stream, event.id) == chunks[seen:]
    assert events[-1].id == manager.checkpoint(stream).cursor


async def test_what_was_removed_is_known_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_resumable, "_TOMBSTONES", 2)
    manager = ResumableStreamManager()
    streams = [manager.create_stream() for _ in range(3)]
    for stream in streams:
        manager.delete(stream)
    with pytest.raises(UnknownRun):
        manager.checkpoint(streams[0])
    with pytest.raises(CursorExpired):
        manager.checkpoint(streams[1])
