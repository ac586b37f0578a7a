"""Server-Sent Events: a sans-IO decoder and an encoder.

Source: the WHATWG HTML standard, section 9.2 "Server-sent events".
"""

import msgspec

from .._errors import TrioAgentError

_BOM = b"\xef\xbb\xbf"
_RETRY_DIGITS = 18  # Enough for any reconnection time; bounds what `int` has to convert.


class SSEError(TrioAgentError, ValueError):
    """A line, or the data of one event, is larger than the decoder accepts."""


class ServerSentEvent(msgspec.Struct, frozen=True):
    """One event, as the standard dispatches it. `id` is the last event ID at that moment."""

    data: str
    event: str = "message"
    id: str = ""


class SSEDecoder:
    """Turns the bytes of an event stream into events. Performs no I/O.

    An event that the end of the stream leaves incomplete is discarded, as the standard demands,
    unless `take_incomplete` asks for it.

    Args:
        max_size: bound on one line and on the data of one event, in bytes. By default 1 MiB.
    """

    def __init__(self, *, max_size: int = 1 << 20) -> None:
        self.last_event_id: str = ""
        """What a client sends as `Last-Event-ID` when it reconnects."""
        self.retry: int | None = None
        """The reconnection time that the server asked for, in milliseconds."""
        self._max_size = max_size
        self._tail = bytearray()
        self._at_start = True
        self._after_cr = False
        self._data: bytes | bytearray | None = None
        self._event = ""
        self._id = ""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """Take the next bytes, however the stream was cut, and return the events they complete.

        Raises:
            SSEError: a line or the data of an event exceeds `max_size`. The decoder is then
                of no further use.
        """
        if self._after_cr and data:
            self._after_cr = False
            data = data.removeprefix(b"\n")  # the second half of a CRLF
        if b"\n" not in data and b"\r" not in data:
            self._tail += data
            self._check(len(self._tail))
            return []
        if self._tail:
            data = bytes(self._tail) + data
            self._tail.clear()
        if self._at_start:
            self._at_start = False
            data = data.removeprefix(_BOM)

        lines = data.splitlines()  # of bytes, this splits at CR, LF and CRLF and nowhere else
        if data.endswith(b"\r"):
            self._after_cr = True
        elif not data.endswith(b"\n"):
            self._tail += lines.pop()
        if len(data) > self._max_size:
            self._check(max(len(self._tail), *map(len, lines)))
        return self._interpret(lines)

    def take_incomplete(self) -> ServerSentEvent | None:
        """Return the event that the end of the stream left incomplete, if it has any data.

        For senders that forget the empty line behind their last event. Only its reader can tell
        whether the event is whole. The decoder is then of no further use.

        Raises:
            SSEError: as `feed`.
        """
        events = self.feed(b"\n\n\n")  # one of them may belong to a CRLF
        return events[0] if events else None

    def _interpret(self, lines: list[bytes]) -> list[ServerSentEvent]:
        events = []
        for line in lines:
            if line.startswith(b"data:"):
                self._add(line[6:] if line.startswith(b"data: ") else line[5:])
            elif line:
                self._field(line)
            else:
                self.last_event_id = self._id
                if self._data is not None:
                    text = self._data.decode("utf-8", "replace")
                    events.append(ServerSentEvent(text, self._event or "message", self._id))
                    self._data = None
                self._event = ""
        return events

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":  # without a colon: an empty line of data
            self._add(b"")
        elif name == b"event":
            self._event = value.decode("utf-8", "replace")
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _RETRY_DIGITS:
            self.retry = int(value)

    def _add(self, value: bytes) -> None:
        if self._data is None:
            self._data = value
        else:
            # Not a list of lines: many short ones would take many times what is counted.
            if isinstance(self._data, bytes):
                self._data = bytearray(self._data)
            self._data += b"\n" + value
            self._check(len(self._data))  # of each line, `feed` has checked it

    def _check(self, size: int) -> None:
        if size > self._max_size:
            raise SSEError(f"an event or line of the stream is larger than {self._max_size} bytes")


def format_sse(
    data: str | bytes | None = None,
    *,
    id: str | None = None,  # noqa: A002 - the standard's name of the field
    event: str | None = None,
    retry: int | None = None,
) -> bytes:
    r"""Encode one event.

    Args:
        data: the payload; line breaks in it become several `data:` lines, which the reader
            joins with ``\n`` again. None writes no data: readers then take `id` and `retry`, and
            dispatch nothing.
        id: what the client sends as `Last-Event-ID` when it reconnects.
        event: the type; by default readers call it `message`.
        retry: the reconnection time for the client, in milliseconds.

    Raises:
        ValueError: `id` or `event` contains CR, LF or NUL, or `retry` is negative.
    """
    block = b""
    if id is not None:
        block += b"id: " + _one_line("id", id) + b"\n"
    if event is not None:
        block += b"event: " + _one_line("event", event) + b"\n"
    if retry is not None:
        if retry < 0:
            raise ValueError(f"retry is a number of milliseconds, not {retry}")
        block += b"retry: %d\n" % retry
    if data is not None:
        block += b"data: " + _prefix_lines(data, b"data: ") + b"\n"
    return block + b"\n"


def format_comment(text: str = "") -> bytes:
    """Encode a comment. Readers ignore it; proxies see that the connection is alive."""
    return b": " + _prefix_lines(text, b": ") + b"\n\n"


def _one_line(field: str, value: str) -> bytes:
    if "\r" in value or "\n" in value or "\0" in value:
        raise ValueError(f"{field} must not contain CR, LF or NUL: {value!r}")
    return value.encode()


def _prefix_lines(data: str | bytes, prefix: bytes) -> bytes:
    if isinstance(data, str):
        data = data.encode()
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data.replace(b"\n", b"\n" + prefix)
