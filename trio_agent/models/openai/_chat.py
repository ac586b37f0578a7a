"""The codec of OpenAI-compatible Chat Completions. Performs no I/O.

Source: the OpenAI API reference, "Chat Completions" and "Streaming". Where providers deviate
from it and the meaning is clear, the meaning wins; where it isn't, the answer is refused.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

import attrs

from ..._errors import ModelError
from ..._events import Usage
from ..._http.words import clean
from ...wire._sse import SSEDecoder, SSEError
from .._parts import ModelFinish, ModelPart, ModelRequest, ReasoningPart, TextPart
from .._provider._complaint import Complaint
from .._provider._errors import error_from_response, provider_error
from .._provider._finish_reason import Reason, finish_reason
from .._provider._odd_event import read_odd_event
from .._provider._surrogates import SurrogateJoiner
from ._calls import Calls
from ._chunk import Chunk, Delta, ToolCall, decode_chunk
from ._lenient import read_chunk
from ._provider_state import ProviderState
from ._request import RequestForm, encode_request
from ._think_tags import ThinkTags
from ._usage import newer_usage

_DELTA = re.compile(rb'"delta"\s*:')
_MAX_EVENT = 16 << 20
"""Bytes of one chunk: images come in one piece. What isn't read of it becomes no object."""


@attrs.frozen(kw_only=True)
class ChatCodec:
    """The language of one endpoint.

    Args:
        model: the model's name.
        form: how requests are written.
        think_tags: whether `<think>...</think>` in the text is reasoning.
        origin: names the endpoint where answers of several are kept.
    """

    model: str
    form: RequestForm = attrs.field(factory=RequestForm)
    think_tags: bool = False
    origin: str = ""

    def encode(self, request: ModelRequest) -> dict[str, Any]:
        """Return the JSON body of one streamed call; see `encode_request`."""
        return encode_request(request, self.model, self.form, origin=self.origin)

    def decoder(self, secret: str) -> "ChatDecoder":
        """Make what decodes the next answer."""
        return ChatDecoder(secret=secret, think_tags=self.think_tags, origin=self.origin)


class ChatDecoder:
    """Turns the bytes of one streamed answer into parts.

    Feed it the reads of the response and then its end, or the whole body. That never raises: what
    went wrong is kept until every part before it was handed out, sets `done`, and is raised by
    `finish`. So the parts don't depend on how reads cut the stream. What goes wrong behind a
    complete answer is passed over.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
        think_tags: whether `<think>...</think>` in the text is reasoning.
        origin: whose answer it is, and who can read what is to come back with it.
    """

    def __init__(self, *, secret: str = "", think_tags: bool = False, origin: str = "") -> None:
        self.done: bool = False
        """Nothing more is expected: the provider said `[DONE]`, or can't be understood."""
        self.started: bool = False
        """Whether a part was handed out. Afterwards no failure is retryable."""
        self.goes_on: bool = False
        """Whether the provider went on behind a reason to finish, so that this says nothing."""
        self._sse = SSEDecoder(max_size=_MAX_EVENT)
        self._secret = secret
        self._failure: ModelError | None = None
        self._reason: Reason | None = None
        self._reason_name = ""
        self._said_done = False
        self._ended = False
        self._has_text = False
        self._usage = Usage()
        self._calls = Calls()
        self._origin = origin
        self._state = ProviderState()
        self._filters: list[SurrogateJoiner | ThinkTags] = [ThinkTags()] if think_tags else []

    @property
    def complete(self) -> bool:
        """Whether the model said why it finished, so that only the usage may be missing."""
        return (self._reason is not None or self._said_done) and self._failure is None

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

        A completion becomes the parts of its message, chunks in lines become theirs; an error, as
        some gateways send it with status 200, what `finish` raises. Then the decoder is `done`,
        unless the body was cut.
        """
        parts: list[ModelPart] = []
        text = body.decode("utf-8-sig", "replace")
        try:
            self._take(read_odd_event(text, secret=self._secret), text, parts)
            # Chunks in lines are a stream, which says by itself whether it is complete.
            self._said_done = bool(parts) and not self.may_go_on(body)
        except ModelError as error:
            self._fail(error)
        except (ValueError, RecursionError):
            if text[:1] in ("{", "[") and text.rstrip()[-1:] not in ("}", "]"):
                return self._hand_out(parts)  # it was cut
        if not self.complete and self._failure is None:
            self._failure = error_from_response(200, body, {}, now=0.0, secret=self._secret)
        self.done = True
        return self._hand_out(parts)

    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether a body of JSON has chunks of a stream in it, and may go on in another line."""
        return _DELTA.search(body) is not None

    def resume(self, body: dict[str, Any]) -> None:
        """No answer pauses."""

    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended.

        An answer that ended with `[DONE]` is complete, even if nobody said why.

        Raises:
            ModelError: `cut-stream`: the stream ended before the answer did; `bad-response`: it
                can't be understood; what the provider reported within the stream: `auth`,
                `not-found`, `rate-limit`, `context-length`, `bad-request` or `provider-error`.
        """
        if self._failure is not None:
            self._failure.retryable &= not self.started
            raise self._failure
        reason = self._reason
        if reason is None and not (self._said_done and self._is_answered()):
            raise ModelError(
                "cut-stream",
                "the provider's stream ended before the answer did",
                retryable=not self.started,
            )
        if reason == "unknown" and not self._is_answered():
            name = clean(self._reason_name, limit=40)
            raise _bad_response(f"the finish reason {name!r} is unknown")
        if reason in ("length", "content-filter"):
            return ModelFinish(reason, self._usage)  # what was cut short is nothing to go back
        if not self._calls:
            if reason == "tool-calls" and not self._has_text:
                raise _bad_response("the model finished to call tools, but called none")
            return self._end("stop")
        # Some providers, and OpenAI's for a forced call, say "stop" all the same.
        if not self._calls.are_named:
            raise _bad_response("a tool call has no name")
        return self._end("tool-calls")

    def _end(self, reason: Literal["stop", "tool-calls"]) -> ModelFinish:
        state = self._state.finish(self._calls.extras)
        provider = {self._origin: state} if state and self._origin else {}
        return ModelFinish(reason, self._usage, provider=provider)

    def _is_answered(self) -> bool:
        return self._calls.are_whole if self._calls else self._has_text

    def _fail(self, error: ModelError | SSEError) -> None:
        self.done = True
        if self.complete and not self.goes_on:
            return  # a complete answer isn't thrown away for what comes behind it
        if isinstance(error, SSEError):
            error = _no_stream(error)
        self._failure = error

    def _hand_out(self, parts: list[ModelPart]) -> list[ModelPart]:
        ended = self.done or self._ended
        if ended:
            parts += self._calls.end()
        for each in self._filters:
            parts = list(each.feed(parts))
            if ended:
                parts += each.flush()
        if parts and not self._has_text:
            self.started = True
            self._has_text = any(type(part) is TextPart for part in parts)
        return parts

    def _event(self, text: str, type_: str, parts: list[ModelPart]) -> None:
        chunk = error = None
        try:
            chunk = decode_chunk(text)
        except (ValueError, RecursionError) as exc:
            error = exc
        if chunk is not None and not chunk.is_odd:
            self._chunk(chunk, parts)
            return
        try:
            self._take(read_odd_event(text, type_, secret=self._secret), text, parts)
        except (ValueError, RecursionError) as exc:
            if chunk is None:
                raise _no_stream(error or exc) from None
            self._chunk(chunk, parts)

    def _take(
        self, values: Iterator[dict[str, Any] | None], text: str, parts: list[ModelPart]
    ) -> None:
        """Take what was read of an odd event, whose `text` says whether halves are to be joined."""
        if r"\ud" in text.lower() and not any(type(f) is SurrogateJoiner for f in self._filters):
            self._filters.append(SurrogateJoiner())
        for value in values:
            if value is None:
                self._said_done = self.done = True
                return
            self._chunk(read_chunk(value, whole=not (self.started or parts)), parts)

    def _chunk(self, chunk: Chunk, parts: list[ModelPart]) -> None:
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            if choice.delta is not None:
                if self._reason is None:
                    self._delta(choice.delta, parts)
                else:
                    said = len(parts)
                    self._delta(choice.delta, parts)
                    self.goes_on = self.goes_on or len(parts) > said
            if choice.finish_reason is not None:
                self._finish(choice.finish_reason)
            if choice.usage is not None:
                self._usage = newer_usage(self._usage, choice.usage)
        if chunk.usage is not None:
            self._usage = newer_usage(self._usage, chunk.usage)
        if (groq := chunk.x_groq) is not None:
            if groq.usage is not None:
                self._usage = newer_usage(self._usage, groq.usage)
            if groq.error:
                raise provider_error(Complaint(groq.error), secret=self._secret)

    def _delta(self, delta: Delta, parts: list[ModelPart]) -> None:
        content = delta.content
        reasoning = delta.reasoning_content or delta.reasoning or delta.reasoning_text
        reasoning = reasoning or delta.thinking or delta.reasoning_in_content
        if reasoning:
            parts.append(ReasoningPart(reasoning))
        if reasoning or not content or delta.reasoning_details or delta.extra_content:
            self._state.feed(delta, reasoning)
        if content:
            parts.append(TextPart(content))
        if delta.refusal:
            parts.append(TextPart(delta.refusal))
        if delta.tool_calls:
            self._calls.feed(delta.tool_calls, parts)
        elif delta.function_call is not None:
            self._calls.feed([ToolCall(function=delta.function_call)], parts)

    def _finish(self, name: str) -> None:
        reason = finish_reason(name)
        if reason == "failed":
            name = clean(name, limit=40)
            message = f"the provider broke the answer off: {name}"
            raise ModelError("provider-error", message, retryable=True)
        if reason is not None:
            self._reason, self._reason_name = reason, name


def _no_stream(error: Exception | None) -> ModelError:
    return _bad_response(f"the answer is no chat completion stream: {error}")


def _bad_response(message: str) -> ModelError:
    return ModelError("bad-response", message)
