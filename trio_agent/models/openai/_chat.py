"""The codec of OpenAI-compatible Chat Completions. Performs no I/O.

Source: the OpenAI API reference, "Chat Completions" and "Streaming". Where providers deviate
from it and the meaning is clear, the meaning wins; where it isn't, the answer is refused.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import attrs
import msgspec

from ..._errors import ModelError
from ..._events import Usage
from ...wire._sse import SSEDecoder, SSEError
from .._parts import (
    ModelFinish,
    ModelPart,
    ReasoningPart,
    TextPart,
    ToolInputPart,
)
from ._errors import clean, provider_error

_MAX_CALLS = 128
_MAX_PENDING = 1 << 20

_FINISH_REASONS: Mapping[str, Literal["stop", "length", "tool-calls", "content-filter"]] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool-calls",
    "function_call": "tool-calls",
    "content_filter": "content-filter",
}


_Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]  # what every JSON reader can represent


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: _Count | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_ToolCall] | None = None


class _Choice(msgspec.Struct):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


@attrs.define
class _OpenCall:
    """A tool call that is being written. Nothing was emitted before its name is known."""

    id: str
    name: str = ""
    pending: str = ""


class ChatDecoder:
    """Turns the bytes of one streamed answer into parts.

    `feed` never raises: what went wrong is kept until every part before it was handed out,
    sets `done`, and is raised by `finish`. So the parts don't depend on how reads cut the stream.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
    """

    def __init__(self, *, secret: str = "", think_tags: bool = False) -> None:  # noqa: ARG002
        self.done: bool = False
        """Nothing more is expected: the stream said `[DONE]`, or it can't be understood."""
        self.started: bool = False
        """Whether a part was handed out. Afterwards no failure is retryable."""
        self._sse = SSEDecoder()
        self._secret = secret
        self._failure: ModelError | None = None
        self._finish_reason = ""
        self._usage = Usage()
        self._slots: dict[int, _OpenCall] = {}
        self._calls: list[_OpenCall] = []
        self._pending = 0

    @property
    def complete(self) -> bool:
        """Whether the model said why it finished, so that only the usage may be missing."""
        return bool(self._finish_reason) and self._failure is None

    def feed(self, data: bytes) -> list[ModelPart]:
        """Take the next bytes of the response and return the parts that they complete."""
        parts: list[ModelPart] = []
        if self.done:
            return parts
        try:
            for event in self._sse.feed(data):
                if event.data == "[DONE]":
                    self.done = True
                    break
                self._chunk(_decode_chunk(event.data), parts)
        except ModelError as error:
            self._failure = error
        except (SSEError, ValueError, RecursionError) as error:
            self._failure = _bad_response(f"the answer is no chat completion stream: {error}")
        if self._failure is not None:
            self.done = True
        if parts:
            self.started = True
        return parts

    def feed_eof(self) -> list[ModelPart]:
        """Take the end of the response and return what is left."""
        return []

    def feed_whole(self, body: bytes) -> list[ModelPart]:
        """Take a whole completion, or an error, as JSON."""
        try:
            value = msgspec.json.decode(body)
            if "error" in value:
                raise provider_error(value, secret=self._secret)
            choice = value["choices"][0]
        except ModelError as error:
            self._failure = error
            self.done = True
            return []
        except (ValueError, KeyError, IndexError):
            self._failure = _bad_response("the answer is no chat completion")
            self.done = True
            return []
        choice["delta"] = choice.pop("message")
        return self.feed(b"data: " + msgspec.json.encode(value) + b"\n\ndata: [DONE]\n\n")

    def finish(self) -> ModelFinish:
        """Say how the answer ended, at the end of the stream or when `done`.

        Raises:
            ModelError: `cut-stream`: the stream ended before the model said why it finished;
                `provider-error`: the provider reported an error within the stream;
                `bad-response`: the stream can't be understood.
        """
        if self._failure is not None:
            self._failure.retryable &= not self.started
            raise self._failure
        if not self._finish_reason:
            raise ModelError(
                "cut-stream",
                "the provider's stream ended before the answer did",
                retryable=not self.started,
            )
        if any(not call.name for call in self._calls):
            raise _bad_response("a tool call has no name")
        reason = _FINISH_REASONS[self._finish_reason]
        if self._calls and reason == "stop":
            reason = "tool-calls"  # what some providers, and OpenAI's for a forced call, mean
        elif reason == "tool-calls" and not self._calls:
            raise _bad_response("the model finished to call tools, but called none")
        return ModelFinish(reason, self._usage)

    def _chunk(self, chunk: _Chunk, parts: list[ModelPart]) -> None:
        if chunk.error is not None:
            raise provider_error(chunk.error, secret=self._secret)
        for choice in chunk.choices or ():
            if choice.index != 0:
                continue
            if choice.delta is not None:
                self._delta(choice.delta, parts)
            if choice.finish_reason is not None:
                if choice.finish_reason not in _FINISH_REASONS:
                    reason = clean(choice.finish_reason, limit=40)
                    raise _bad_response(f"the finish reason {reason!r} is unknown")
                self._finish_reason = choice.finish_reason
        if chunk.usage is not None:
            prompt = chunk.usage.prompt_tokens or 0
            completion = chunk.usage.completion_tokens or 0
            total = chunk.usage.total_tokens or prompt + completion
            self._usage = Usage(prompt, completion, total)

    def _delta(self, delta: _Delta, parts: list[ModelPart]) -> None:
        # Some providers send the reasoning under both names.
        if reasoning := delta.reasoning_content or delta.reasoning:
            parts.append(ReasoningPart(reasoning))
        if delta.content:
            parts.append(TextPart(delta.content))
        if delta.refusal:
            parts.append(TextPart(delta.refusal))
        for position, fragment in enumerate(delta.tool_calls or ()):
            self._tool_call(position, fragment, parts)

    def _tool_call(self, position: int, fragment: _ToolCall, parts: list[ModelPart]) -> None:
        call = self._find_call(position, fragment)
        function = fragment.function or _Function()
        delta = function.arguments or ""
        if call.name:
            if delta:
                parts.append(ToolInputPart(call.id, call.name, delta))
        elif function.name:
            call.name = function.name
            self._pending -= len(call.pending)
            parts.append(ToolInputPart(call.id, call.name, call.pending + delta))
            call.pending = ""
        else:
            call.pending += delta
            self._pending += len(delta)
            if self._pending > _MAX_PENDING:
                raise _bad_response("the arguments of a tool call come without its name")

    def _find_call(self, position: int, fragment: _ToolCall) -> _OpenCall:
        """Find the call that a fragment continues, or begin one.

        The index tells, but not every provider counts: several calls with index 0, or without
        any, are told apart by the id and name that begin each of them.
        """
        id_ = fragment.id
        if fragment.index is None:
            slot = position
            for call in self._calls:
                if id_ and call.id == id_:
                    return call
        else:
            slot = fragment.index
        current = self._slots.get(slot)
        begins = id_ and fragment.function is not None and fragment.function.name
        if current is not None and (not begins or current.id == id_):
            return current
        call = _OpenCall(id_ or f"call_{slot}")
        if any(other.id == call.id for other in self._calls):
            raise _bad_response("two tool calls have one id")
        if len(self._calls) == _MAX_CALLS:
            raise _bad_response(f"the model called more than {_MAX_CALLS} tools at once")
        self._calls.append(call)
        self._slots[slot] = call
        return call


def _bad_response(message: str) -> ModelError:
    return ModelError("bad-response", message)
