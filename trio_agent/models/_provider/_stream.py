"""What decoders of server-sent events have in common: the rules of `Decoder`. Performs no I/O.

A decoder of a provider says what an event is, to the letter (fast) and leniently (whatever else
it may mean), and what it does to the answer. When which error is told is decided here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, Generic, Protocol, TypeVar

from ..._errors import ModelError
from ...wire._sse import SSEDecoder, SSEError
from .._parts import ModelPart
from ._errors import error_from_response
from ._odd_event import read_odd_event
from ._surrogates import SurrogateJoiner

_MAX_EVENT = 16 << 20
"""Bytes of one event: results of servers' tools come in one piece."""


class ReadEvent(Protocol):
    """An event to the letter."""

    @property
    def is_odd(self) -> bool:
        """Whether it may mean more than was read of it."""


EventT = TypeVar("EventT", bound=ReadEvent)


class StreamDecoder(ABC, Generic[EventT]):
    """Feeds the events of a stream to the decoder of a provider.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
    """

    def __init__(self, *, secret: str = "") -> None:
        self.started: bool = False
        """Whether a part was handed out. Afterwards no failure is retryable."""
        self.goes_on: bool = False
        """Whether the provider went on behind a reason to finish, so that this says nothing."""
        self._secret = secret
        self._joiner: SurrogateJoiner | None = None
        self._reset()

    def _reset(self) -> None:
        """Get ready for another response."""
        self.done: bool = False
        """Nothing more is expected: the provider said so, or can't be understood."""
        self._sse = SSEDecoder(max_size=_MAX_EVENT)
        self._failure: ModelError | None = None
        self._said_done = False
        self._ended = False

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether the model said why it finished, so that only the usage may be missing."""

    @abstractmethod
    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether behind this first JSON value of a body that is no event stream more may come."""

    @abstractmethod
    def _decode(self, text: str) -> EventT:
        """Read an event to the letter.

        Raises:
            ValueError, RecursionError: it is not written so.
        """

    @abstractmethod
    def _read(self, value: dict[str, Any], type_: str) -> Iterable[EventT]:
        """Say which events a JSON object means, in a server-sent event of this type.

        Raises:
            ValueError: it can't be told.
        """

    @abstractmethod
    def _apply(self, event: EventT, parts: list[ModelPart]) -> None:
        """Take an event, and append the parts that it completes.

        Raises:
            ModelError: the answer can't be understood, or the provider broke it off.
        """

    @abstractmethod
    def _end(self, parts: list[ModelPart]) -> None:
        """Nothing more comes: append what was held back."""

    def feed(self, data: bytes) -> list[ModelPart]:
        """Take the next bytes of the response and return the parts that they complete."""
        parts: list[ModelPart] = []
        if self.done:
            return parts
        try:
            for event in self._sse.feed(data):
                self._event(event.data, event.event, parts)
                if self.done:
                    break
        except (ModelError, SSEError) as error:
            self._fail(error)
        return self._hand_out(parts)

    def feed_eof(self) -> list[ModelPart]:
        """Take the end of the response, however it came, and return what is left.

        The last event counts even if the empty line behind it is missing; if it is cut, it says
        nothing.
        """
        parts: list[ModelPart] = []
        if self.done or self._ended:
            return parts
        self._ended = True
        try:
            if event := self._sse.take_incomplete():
                self._event(event.data, event.event, parts)
        except SSEError:
            pass
        except ModelError as error:
            if error.code != "bad-response":
                self._fail(error)
        return self._hand_out(parts)

    def feed_whole(self, body: bytes) -> list[ModelPart]:
        """Take the whole body of a response that is JSON, although a stream was asked for.

        A whole answer becomes the parts of its content, events in lines become theirs; an error,
        as some gateways send it with status 200, what `finish` raises. Then the decoder is
        `done`, unless the body was cut.
        """
        parts: list[ModelPart] = []
        text = body.decode("utf-8-sig", "replace")
        try:
            self._take(read_odd_event(text, secret=self._secret), text, "message", parts)
        except ModelError as error:
            self._fail(error)
        except (ValueError, RecursionError):
            if text[:1] in ("{", "[") and text.rstrip()[-1:] not in ("}", "]"):
                return self._hand_out(parts)  # it was cut
        if not self.complete and self._failure is None:
            self._failure = error_from_response(200, body, {}, now=0.0, secret=self._secret)
        self.done = True
        return self._hand_out(parts)

    def _fail(self, error: ModelError | SSEError) -> None:
        self.done = True
        if self.complete and not self.goes_on:
            return  # a complete answer isn't thrown away for what comes behind it
        self._failure = no_stream(error) if isinstance(error, SSEError) else error

    def _hand_out(self, parts: list[ModelPart]) -> list[ModelPart]:
        ended = self.done or self._ended
        if ended:
            self._end(parts)
        if self._joiner is not None:
            parts = list(self._joiner.feed(parts))
            if ended:
                parts += self._joiner.flush()
        self.started = self.started or bool(parts)
        return parts

    def _event(self, text: str, type_: str, parts: list[ModelPart]) -> None:
        event = error = None
        try:
            event = self._decode(text)
        except (ValueError, RecursionError) as exc:
            error = exc
        if event is not None and not event.is_odd:
            self._apply(event, parts)
            return
        try:
            self._take(read_odd_event(text, type_, secret=self._secret), text, type_, parts)
        except (ValueError, RecursionError) as exc:
            if event is None:
                raise no_stream(error or exc) from None
            self._apply(event, parts)

    def _take(
        self,
        values: Iterator[dict[str, Any] | None],
        text: str,
        type_: str,
        parts: list[ModelPart],
    ) -> None:
        """Take what was read of an odd event, whose `text` says whether halves are to be joined."""
        if self._joiner is None and r"\ud" in text.lower():
            self._joiner = SurrogateJoiner()
        for value in values:
            if value is None:
                self._said_done = self.done = True
                return
            for event in self._read(value, type_):
                self._apply(event, parts)


def no_stream(error: Exception | None) -> ModelError:
    """Say that a response is not what it should be."""
    return ModelError("bad-response", f"the answer is no stream of the provider's API: {error}")
