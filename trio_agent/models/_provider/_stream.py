"""What decoders of server-sent events have in common: the rules of `Decoder`. Performs no I/O.

A decoder of a provider says what an event is, to the letter (fast) and leniently (whatever else
it may mean), and what it does to the answer. When which error is told is decided here.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from ..._errors import ModelError
from ...wire._sse import SSEDecoder, SSEError
from .._parts import ModelFinish, ModelPart, OutputPart, TextPart
from ._errors import error_from_response
from ._final_tool import FinalTool
from ._odd_event import read_odd_event
from ._shape import Shape
from ._surrogates import SurrogateJoiner

_MAX_EVENT = 16 << 20
"""Bytes of one event: images and results of servers' tools come in one piece."""

_TEXTS = (TextPart, OutputPart)


class ReadEvent(Protocol):
    """An event to the letter; if it is odd, it may mean more than was read of it."""

    @property
    def is_odd(self) -> bool: ...


class Filter(Protocol):
    """Changes the parts before they are handed out, and may hold some back."""

    def feed(self, parts: list[ModelPart]) -> Iterator[ModelPart]: ...
    def flush(self) -> Iterator[ModelPart]: ...


EventT = TypeVar("EventT", bound=ReadEvent)


class StreamDecoder(ABC, Generic[EventT]):
    """Turns the bytes of one streamed answer into parts.

    Feed it the reads of the response and then its end, or the whole body. That never raises: what
    went wrong is kept until every part before it was handed out, sets `done`, and is raised by
    `finish`. So the parts don't depend on how reads cut the stream. What goes wrong behind a
    complete answer is passed over.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
        shape: how it was asked for, if it has one.
    """

    _STREAM: ClassVar[str]
    """What the answer should be, for people."""

    def __init__(self, *, secret: str = "", shape: Shape | None = None) -> None:
        self.started: bool = False
        """Whether a part was handed out. Afterwards no failure is retryable."""
        self._secret = secret
        self._has_text = False
        self._filters: list[Filter] = []
        self._is_shaped = shape is not None
        self._text: type[TextPart | OutputPart] = TextPart
        """What the text of the answer is given on as."""
        self._final_tool: str | None = None
        """The name of the tool whose input is the answer."""
        if shape is not None and shape.mode == "schema":
            self._text = OutputPart
        elif shape is not None:
            self._final_tool = shape.name
            self._filters.append(FinalTool(shape.name))
        self._reset()

    def _reset(self) -> None:
        """Get ready for another response."""
        self.done: bool = False
        """Nothing more is expected: the provider said so, or can't be understood."""
        self.goes_on: bool = False
        """Whether the provider went on behind a reason to finish, so that this says nothing."""
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
        """Whether a body of JSON has events of a stream in it, and may go on in another line."""

    @abstractmethod
    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended."""

    @abstractmethod
    def _decode(self, text: str) -> EventT:
        """Read an event to the letter.

        Raises:
            ValueError, RecursionError: it is not written so.
        """

    @abstractmethod
    def _apply(self, event: EventT, parts: list[ModelPart]) -> None:
        """Take an event, and append the parts that it completes.

        Raises:
            ModelError: the answer can't be understood, or the provider broke it off.
        """

    @abstractmethod
    def _take_value(self, value: dict[str, Any], type_: str, parts: list[ModelPart]) -> None:
        """Take what a JSON object means, in a server-sent event of this type.

        Raises:
            ModelError: as `_apply`.
            ValueError: it can't be told.
        """

    @abstractmethod
    def _end_parts(self, parts: list[ModelPart]) -> None:
        """Nothing more comes: append what was held back."""

    @abstractmethod
    def _is_answered(self) -> bool:
        """Whether what was said can be an answer, though nobody said why it ended."""

    def feed(self, data: bytes) -> list[ModelPart]:
        """Take the next bytes of the response and return the parts that they complete."""
        parts: list[ModelPart] = []
        if self.done:
            return parts
        try:
            for event in self._sse.feed(data):
                if event.data == "[DONE]":
                    self._said_done = self.done = True
                else:
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
            # Events in lines are a stream, which says by itself whether it is complete.
            if parts and not self.may_go_on(body):
                self._said_done = True
        except ModelError as error:
            self._fail(error)
        except (ValueError, RecursionError):
            if text[:1] in ("{", "[") and text.rstrip()[-1:] not in ("}", "]"):
                return self._hand_out(parts)  # it was cut
        if not self.complete and self._failure is None:
            if parts or self.may_go_on(body):
                return self._hand_out(parts)  # events in lines, of which the last is missing
            self._failure = error_from_response(200, body, {}, now=0.0, secret=self._secret)
        self.done = True
        return self._hand_out(parts)

    def resume(self, body: dict[str, Any]) -> dict[str, Any] | None:  # noqa: ARG002
        """Return the body of the request that goes on with a paused answer. By default none is."""
        return None

    def _check_end(self, *, is_told: bool) -> None:
        """Raise what went wrong, and `cut-stream` if nobody said that the answer has ended.

        Args:
            is_told: whether it is known why it ended.
        """
        if self._failure is not None:
            self._failure.retryable &= not self.started
            raise self._failure
        if not is_told and not (self._said_done and self._is_answered()):
            raise ModelError(
                "cut-stream",
                "the provider's stream ended before the answer did",
                retryable=not self.started,
            )

    def _fail(self, error: ModelError | SSEError) -> None:
        self.done = True
        if self.complete and not self.goes_on:
            return  # a complete answer isn't thrown away for what comes behind it
        self._failure = self._no_stream(error) if isinstance(error, SSEError) else error

    def _hand_out(self, parts: list[ModelPart]) -> list[ModelPart]:
        ended = self.done or self._ended
        if ended:
            self._end_parts(parts)
        for each in self._filters:
            parts = list(each.feed(parts))
            if ended:
                parts += each.flush()
        if parts and not self._has_text:
            self.started = True
            self._has_text = any(type(part) in _TEXTS for part in parts)
        return parts

    def _event(self, text: str, type_: str, parts: list[ModelPart]) -> None:
        event = error = None
        try:
            event = self._decode(text)
        except (ValueError, RecursionError) as exc:
            error = exc
        if event is not None and not event.is_odd and type_ != "error":
            self._apply(event, parts)
            return
        try:
            self._take(read_odd_event(text, type_, secret=self._secret), text, type_, parts)
        except (ValueError, RecursionError) as exc:
            if event is None:
                raise self._no_stream(error or exc) from None
            self._apply(event, parts)

    def _take(
        self,
        values: Iterator[dict[str, Any] | None],
        text: str,
        type_: str,
        parts: list[ModelPart],
    ) -> None:
        """Take what was read of an odd event, whose `text` says whether halves are to be joined."""
        if r"\ud" in text.lower() and not any(type(f) is SurrogateJoiner for f in self._filters):
            self._filters.append(SurrogateJoiner())
        for value in values:
            if value is None:
                self._said_done = self.done = True
            else:
                self._take_value(value, type_, parts)
            if self.done:
                return

    def _no_stream(self, error: Exception | None) -> ModelError:
        return ModelError("bad-response", f"the answer is no {self._STREAM}: {error}")
