"""The decoder of OpenAI's Responses. Performs no I/O.

Source: the OpenAI API reference, "Responses" and "Streaming events". Where providers deviate from
it and the meaning is clear, the meaning wins; where it isn't, the answer is refused.

A refusal is text, and its answer ends with `stop`, as with Chat Completions.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

from ..._errors import ModelError
from ..._events import Usage
from ...wire._sse import SSEDecoder, SSEError
from .._parts import ModelFinish, ModelPart, TextPart
from .._provider._errors import error_from_response
from .._provider._loose import items
from .._provider._odd_event import read_odd_event
from .._provider._surrogates import SurrogateJoiner
from ._ending import ENDINGS, Ending, ending_of
from ._event import Event, Response, decode_event, is_response, read_event, read_response
from ._output import Output
from ._state import kept_state
from ._usage import read_usage

_MAX_EVENT = 16 << 20
"""Bytes of one event: images come in one piece, and the last event repeats the whole answer."""
_EVENTS = re.compile(rb'"type"\s*:\s*"response\.')


class ResponsesDecoder:
    """Turns the bytes of one streamed response into parts.

    Feed it the reads of the response and then its end, or the whole body. That never raises: what
    went wrong is kept until every part before it was handed out, sets `done`, and is raised by
    `finish`. So the parts don't depend on how reads cut the stream. What goes wrong behind a
    complete answer is passed over.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
        origin: names the endpoint, beside what it wants back with the answer.
    """

    def __init__(self, *, secret: str = "", origin: str = "") -> None:
        self.done: bool = False
        """Nothing more is expected: the provider said so, or can't be understood."""
        self.started: bool = False
        """Whether a part was handed out. Afterwards no failure is retryable."""
        self.goes_on: bool = False
        """Never: what ends a response says so once."""
        self._secret = secret
        self._origin = origin
        self._sse = SSEDecoder(max_size=_MAX_EVENT)
        self._failure: ModelError | None = None
        self._ending: Ending | None = None
        self._said_done = False
        self._ended = False
        self._has_text = False
        self._is_stored = False
        self._usage = Usage()
        self._output = Output()
        self._joiner: SurrogateJoiner | None = None

    @property
    def complete(self) -> bool:
        """Whether the provider said how the answer ended."""
        return (self._ending is not None or self._said_done) and self._failure is None

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

        A response becomes the parts of its items, events in lines become theirs; an error, as some
        gateways send it with status 200, what `finish` raises. Then the decoder is `done`, unless
        the body was cut.
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
        if self._failure is None and not self.complete:
            if parts or self.may_go_on(body):
                return self._hand_out(parts)  # events in lines, of which the last is missing
            self._failure = error_from_response(200, body, {}, now=0.0, secret=self._secret)
        self.done = True
        return self._hand_out(parts)

    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether a body of JSON has events of a stream in it, and may go on in another line."""
        return _EVENTS.search(body) is not None

    def resume(self, body: dict[str, Any]) -> None:
        """No answer pauses."""

    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended.

        An answer that ended with `[DONE]` is complete, even if its last event is missing.

        Raises:
            ModelError: `cut-stream`: the stream ended before the answer did; `bad-response`: it
                can't be understood; what the provider reported within the stream: `auth`,
                `not-found`, `rate-limit`, `context-length`, `bad-request` or `provider-error`.
        """
        if self._failure is not None:
            self._failure.retryable &= not self.started
            raise self._failure
        if self._ending is None and not (self._said_done and self._is_answered()):
            raise ModelError(
                "cut-stream",
                "the provider's stream ended before the answer did",
                retryable=not self.started,
            )
        if self._ending in ("length", "content-filter"):
            return ModelFinish(self._ending, self._usage)
        if not self._output.are_named:
            raise ModelError("bad-response", "a tool call has no name")
        calls = self._output.items.calls
        state = kept_state(self._output.items, stored=self._is_stored)
        provider = {self._origin: state} if state else {}
        reason: Literal["stop", "tool-calls"] = "tool-calls" if calls else "stop"
        return ModelFinish(reason, self._usage, provider=provider)

    def _is_answered(self) -> bool:
        return self._output.are_whole if self._output.items.calls else self._has_text

    def _fail(self, error: ModelError | SSEError) -> None:
        self.done = True
        if self.complete:
            return  # a complete answer isn't thrown away for what comes behind it
        self._failure = _no_stream(error) if isinstance(error, SSEError) else error

    def _hand_out(self, parts: list[ModelPart]) -> list[ModelPart]:
        ended = self.done or self._ended
        if ended:
            self._output.flush(parts)
        if self._joiner is not None:
            parts = list(self._joiner.feed(parts))
            if ended:
                parts += self._joiner.flush()
        if parts:
            self.started = True
            self._has_text = self._has_text or any(type(part) is TextPart for part in parts)
        return parts

    def _event(self, text: str, type_: str, parts: list[ModelPart]) -> None:
        event = error = None
        try:
            event = decode_event(text)
        except (ValueError, RecursionError) as exc:
            error = exc
        if event is not None and not event.is_odd and type_ != "error":
            self._take_event(event, parts)
            return
        try:
            self._take(read_odd_event(text, type_, secret=self._secret), text, type_, parts)
        except (ValueError, RecursionError) as exc:
            raise _no_stream(error or exc) from None

    def _take(
        self,
        values: Iterator[dict[str, Any] | None],
        text: str,
        type_: str,
        parts: list[ModelPart],
    ) -> None:
        """Take what was read of an odd event, whose `text` says whether halves are to be joined."""
        if r"\ud" in text.lower() and self._joiner is None:
            self._joiner = SurrogateJoiner()
        for value in values:
            if value is None:
                self._said_done = self.done = True
            elif is_response(value):
                if type_ in ENDINGS or not type_.startswith("response."):
                    self._end(read_response(value), type_, parts)
            else:
                self._take_event(read_event(value, type_), parts)
            if self.done:
                return

    def _take_event(self, event: Event, parts: list[ModelPart]) -> None:
        if self._output.take(event, parts):
            return
        if (type_ := event.type or "") in ENDINGS:
            self._end(event.response, type_, parts)
        elif event.choices is not None:
            raise ModelError("bad-response", "the answer is a chat completion: ask OpenAIModel")

    def _end(self, response: Response | None, event: str, parts: list[ModelPart]) -> None:
        """Take the end of the response, as the whole of it has it, if it is there."""
        response = response or Response()
        ending = ending_of(response, event, secret=self._secret)
        self._is_stored = response.store is True
        self._usage = read_usage(response.usage)
        self._output.end(items(response.output), parts)
        self._ending = ending
        self.done = True


def _no_stream(error: Exception | None) -> ModelError:
    return ModelError("bad-response", f"the answer is no stream of a response: {error}")
