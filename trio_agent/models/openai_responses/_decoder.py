"""The decoder of OpenAI's Responses. Performs no I/O.

Source: the OpenAI API reference, "Responses" and "Streaming events". Where providers deviate from
it and the meaning is clear, the meaning wins; where it isn't, the answer is refused.

A refusal is text, and its answer ends with `stop`, as with Chat Completions.
"""

import re
from typing import Any, Literal

from ..._errors import ModelError
from ..._events import Usage
from .._parts import ModelFinish, ModelPart
from .._provider._loose import items
from .._provider._shape import Shape
from .._provider._stream import StreamDecoder
from ._ending import ENDINGS, Ending, ending_of
from ._event import Event, Response, decode_event, is_response, read_event, read_response
from ._output import Output
from ._state import kept_state
from ._usage import read_usage

_EVENTS = re.compile(rb'"type"\s*:\s*"response\.')


class ResponsesDecoder(StreamDecoder[Event]):
    """Turns the bytes of one streamed response into parts.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
        origin: names the endpoint, beside what it wants back with the answer.
        shape: how it was asked for, if it has one.
    """

    _STREAM = "stream of a response"

    def __init__(self, *, secret: str = "", origin: str = "", shape: Shape | None = None) -> None:
        super().__init__(secret=secret, shape=shape)
        self._origin = origin
        self._ending: Ending | None = None
        self._is_stored = False
        self._usage = Usage()
        self._output = Output(self._text)

    @property
    def complete(self) -> bool:
        """Whether the provider said how the answer ended."""
        return (self._ending is not None or self._said_done) and self._failure is None

    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether a body of JSON has events of a stream in it, and may go on in another line."""
        return _EVENTS.search(body) is not None

    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended.

        An answer that ended with `[DONE]` is complete, even if its last event is missing.

        Raises:
            ModelError: `cut-stream`: the stream ended before the answer did; `bad-response`: it
                can't be understood; what the provider reported within the stream: `auth`,
                `not-found`, `rate-limit`, `context-length`, `bad-request` or `provider-error`.
        """
        self._check_end(is_told=self._ending is not None)
        if self._ending in ("length", "content-filter"):
            return ModelFinish(self._ending, self._usage)
        if not self._output.are_named:
            raise ModelError("bad-response", "a tool call has no name")
        others = [each for each in self._output.items.calls if each.name != self._final_tool]
        state = kept_state(
            self._output.items,
            stored=self._is_stored,
            final_tool=self._final_tool,
            shaped=self._is_shaped,
        )
        provider = {self._origin: state} if state else {}
        reason: Literal["stop", "tool-calls"] = "tool-calls" if others else "stop"
        return ModelFinish(reason, self._usage, provider=provider)

    def _is_answered(self) -> bool:
        return self._output.are_whole if self._output.items.calls else self._has_text

    def _end_parts(self, parts: list[ModelPart]) -> None:
        self._output.flush(parts)

    def _decode(self, text: str) -> Event:
        return decode_event(text)

    def _take_value(self, value: dict[str, Any], type_: str, parts: list[ModelPart]) -> None:
        if not is_response(value):
            self._apply(read_event(value, type_), parts)
        elif type_ in ENDINGS or not type_.startswith("response."):
            self._end(read_response(value), type_, parts)

    def _apply(self, event: Event, parts: list[ModelPart]) -> None:
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
