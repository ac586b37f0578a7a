"""Resumable streams for people who bring their own producer."""

import secrets
from collections.abc import Sequence
from typing import Any, Final

import attrs
import msgspec
import trio

from ._errors import CursorExpired, LimitExceeded, UnknownRun
from ._log.cursor import Cursor
from ._log.feed import Feed
from ._log.log import Append, Entry, Log
from ._log.store import Page
from ._log.subscription import Subscription, resolve_cursor
from ._nursery import expect_trio
from .wire._sse import format_sse

_FENCE: Final = 1
_COMPLETE: Final = b'{"type":"complete"}'
_TOMBSTONES: Final = 10_000


@attrs.frozen
class StreamChunk:
    """A chunk at its place in its stream. Positions are counted from 1."""

    position: int
    type: str
    content: Any
    """A JSON value."""


@attrs.frozen
class Checkpoint:
    """Where a stream stands."""

    position: int
    """The position of the last chunk, 0 if there is none."""
    complete: bool
    """Whether no more will come."""
    cursor: str
    """The same position as text for the wire, such as the `id` of a server-sent event."""


class _Saved(msgspec.Struct):
    type: str
    content: Any


_decode = msgspec.json.Decoder(_Saved).decode


@attrs.define(eq=False)
class _Stream:
    feed: Feed
    log: Log = attrs.field(factory=lambda: Log(_FENCE))
    completed_at: float | None = None


class ChunkChannel(trio.abc.ReceiveChannel[StreamChunk]):
    """Yields the chunks of one stream: what was saved already, then what comes."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription
        self._unread: list[StreamChunk] = []

    async def receive(self) -> StreamChunk:
        """Return the next chunk. A checkpoint; if cancelled, nothing was taken.

        Raises:
            trio.EndOfChannel: the stream is complete.
            trio.BrokenResourceError: the stream was deleted.
            CursorExpired: it was removed before you had come to its end.
            trio.ClosedResourceError: this channel is closed.
        """
        if self._unread:
            await trio.lowlevel.checkpoint()
        while not self._unread:
            self._unread = _chunks(await self._subscription.receive_entries())[::-1]
        return self._unread.pop()

    async def aclose(self) -> None:
        """Receive no more. A checkpoint."""
        self._unread.clear()
        await self._subscription.aclose()


class ResumableStreamManager:
    """Keeps the chunks of streams, so that readers can come back to where they were.

    A stream that is not complete is never removed; one that is complete is, when it is too old,
    or to make room for a new one. All methods but the channels' are synchronous, and belong into
    one Trio thread.

    Args:
        max_age: seconds that a stream is kept after its completion.
        max_streams: streams at one time, complete ones included.
        max_bytes: bytes of one stream.
    """

    def __init__(
        self, *, max_age: float = 300.0, max_streams: int = 1000, max_bytes: int = 64 << 20
    ) -> None:
        self._max_age = max_age
        self._max_streams = max_streams
        self._max_bytes = max_bytes
        # In the order of their creation; completed ones move to `_complete`, in that order.
        self._active: dict[str, _Stream] = {}
        self._complete: dict[str, _Stream] = {}
        self._removed: dict[str, None] = {}

    def create_stream(self) -> str:
        """Create an empty stream and return its id.

        Raises:
            LimitExceeded: there are `max_streams`, and none of them is complete.
            RuntimeError: this is no Trio task, but asyncio, for instance.
        """
        expect_trio()
        self._expire()
        if len(self._active) + len(self._complete) >= self._max_streams:
            if not self._complete:
                raise LimitExceeded(f"{self._max_streams} streams are active, which is the limit")
            self._remove(next(iter(self._complete)))
        stream_id = secrets.token_hex(16)
        self._active[stream_id] = _Stream(Feed(stream_id, secrets.token_hex(4)))
        return stream_id

    def save_chunk(self, stream_id: str, type: str, content: Any) -> StreamChunk:  # noqa: A002
        """Append a chunk; whoever is subscribed gets it now.

        Raises:
            LimitExceeded: the stream would have more than `max_bytes`.
            TypeError, ValueError: the type is no text, or the content is no JSON; which includes
                what is nested deeper than readers can follow.
            trio.ClosedResourceError: the stream is complete.
            UnknownRun, CursorExpired: there is no such stream, or no more.
        """
        stream = self._stream(stream_id)
        if stream.completed_at is not None:
            raise trio.ClosedResourceError("this stream is complete")
        try:
            data = msgspec.json.encode(_Saved(type, content))
            _decode(data)  # what can't be read would end every reader
        except (msgspec.MsgspecError, RecursionError) as exc:
            raise ValueError(f"this is no chunk: {exc}") from None
        if stream.log.size + len(data) > self._max_bytes:
            raise LimitExceeded(f"a stream has at most {self._max_bytes} bytes")
        entry = self._append(stream, data, last=False)
        return StreamChunk(entry.offset, type, content)

    def complete(self, stream_id: str) -> None:
        """Say that no more will come. Again, it does nothing.

        Raises:
            UnknownRun, CursorExpired: there is no such stream, or no more.
        """
        stream = self._stream(stream_id)
        if stream.completed_at is None:
            stream.completed_at = trio.current_time()
            self._complete[stream_id] = self._active.pop(stream_id)
            self._append(stream, _COMPLETE, last=True)

    def checkpoint(self, stream_id: str) -> Checkpoint:
        """Tell where the stream stands.

        Raises:
            UnknownRun, CursorExpired: there is no such stream, or no more.
        """
        stream = self._stream(stream_id)
        position = stream.log.tail - stream.log.closed
        cursor = Cursor(stream_id, stream.feed.epoch, position)
        return Checkpoint(position, stream.log.closed, str(cursor))

    def chunks_since(self, stream_id: str, position: int | str) -> list[StreamChunk]:
        """Return the chunks behind a position, or behind a cursor.

        Raises:
            CursorInvalid: not a position, or the cursor of another stream.
            CursorExpired: beyond the end, or the stream was removed.
            UnknownRun: there is no such stream.
        """
        stream = self._stream(stream_id)
        after = _resolve(stream, position)
        return _chunks(stream.log.after(after, stream.log.tail))

    def subscribe(self, stream_id: str, *, after: int | str = 0) -> ChunkChannel:
        """Open a channel of the chunks behind a position or cursor, then of those that come.

        Raises:
            As `chunks_since`.
        """
        stream = self._stream(stream_id)
        return ChunkChannel(Subscription(stream.feed, self, _resolve(stream, after)))

    def delete(self, stream_id: str) -> None:
        """Remove a stream; its subscribers get `trio.BrokenResourceError`.

        Raises:
            UnknownRun, CursorExpired: there is no such stream, or no more.
        """
        self._stream(stream_id)
        self._remove(stream_id)

    def format_sse(self, stream_id: str, chunk: StreamChunk) -> bytes:
        """Encode a chunk as a server-sent event whose `id` is the cursor to resume from.

        Raises:
            UnknownRun, CursorExpired: there is no such stream, or no more.
        """
        cursor = Cursor(stream_id, self._stream(stream_id).feed.epoch, chunk.position)
        data = msgspec.json.encode({"type": chunk.type, "content": chunk.content})
        return format_sse(data, id=str(cursor))

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        """Read entries for a subscription that is far behind. A checkpoint."""
        await trio.lowlevel.checkpoint()
        log = self._stream(run_id).log
        return Page(log.after(after, limit), log.tail, log.closed)

    def _append(self, stream: _Stream, data: bytes, *, last: bool) -> Entry:
        entry = Entry(stream.log.tail + 1, data, last)
        stream.log.append(Append(stream.feed.run_id, _FENCE, [entry]))
        stream.feed.extend([entry])
        return entry

    def _stream(self, stream_id: str) -> _Stream:
        self._expire()
        stream = self._active.get(stream_id) or self._complete.get(stream_id)
        if stream is None:
            if stream_id in self._removed:
                raise CursorExpired(f"stream {stream_id!r} was removed")
            raise UnknownRun(stream_id)
        return stream

    def _expire(self) -> None:
        oldest_kept = trio.current_time() - self._max_age
        while self._complete:
            stream_id, stream = next(iter(self._complete.items()))
            assert stream.completed_at is not None
            if stream.completed_at > oldest_kept:
                break
            self._remove(stream_id)

    def _remove(self, stream_id: str) -> None:
        streams = self._active if stream_id in self._active else self._complete
        streams.pop(stream_id).feed.break_off(CursorExpired(f"stream {stream_id!r} was removed"))
        self._removed[stream_id] = None
        if len(self._removed) > _TOMBSTONES:
            del self._removed[next(iter(self._removed))]


def _resolve(stream: _Stream, position: int | str) -> int:
    offset = resolve_cursor(stream.feed, position)
    if offset > stream.log.tail - stream.log.closed:
        raise CursorExpired("this position is beyond the end of the stream")
    return offset


def _chunks(entries: Sequence[Entry]) -> list[StreamChunk]:
    saved = [(entry.offset, _decode(entry.data)) for entry in entries if not entry.terminal]
    return [StreamChunk(position, chunk.type, chunk.content) for position, chunk in saved]
