"""The codec of OpenAI-compatible Chat Completions. Performs no I/O.

Source: the OpenAI API reference, "Chat Completions" and "Streaming". Where providers deviate
from it and the meaning is clear, the meaning wins; where it isn't, the answer is refused.
"""

import re
from typing import Any, Literal

import attrs

from ..._events import Usage
from ..._http.words import clean
from .._parts import ModelFinish, ModelPart, ModelRequest, ReasoningPart, TextPart
from .._provider._complaint import Complaint
from .._provider._errors import bad_response, provider_error
from .._provider._finish_reason import Reason, end_of
from .._provider._output_mode import can_force, output_mode, shows_schema
from .._provider._shape import (
    OutputMode,
    Shape,
    as_shape,
    by_tool,
    check_output,
    with_schema,
)
from .._provider._stream import StreamDecoder
from ._calls import Calls
from ._chunk import Chunk, Delta, ToolCall, decode_chunk
from ._lenient import read_chunk
from ._provider_state import ProviderState
from ._request import RequestForm, encode_request
from ._think_tags import TagsSetting, ThinkTags
from ._usage import newer_usage

_DELTA = re.compile(rb'"delta"\s*:')


@attrs.frozen(kw_only=True)
class ChatCodec:
    """The language of one endpoint.

    Args:
        model: the model's name.
        form: how requests are written.
        think_tags: whether `<think>...</think>` in the text is reasoning; ``"opened"`` if it
            begins as such.
        origin: names the endpoint where answers of several are kept.
        output_mode: how an answer that has a shape is asked for; None for what suits.
    """

    model: str
    form: RequestForm = attrs.field(factory=RequestForm)
    think_tags: TagsSetting = False
    origin: str = ""
    output_mode: OutputMode | None = None

    def encode(self, request: ModelRequest) -> dict[str, Any]:
        """Return the JSON body of one streamed call; see `encode_request`."""
        if (spec := request.output) is not None:
            check_output(spec, request, option="response_format")
            if self._mode(request) == "tool":
                is_forced = can_force(self.origin, request.options)
                request = by_tool(request, spec, can_force=is_forced)
            elif not shows_schema(self.origin):
                request = with_schema(request, spec)
        return encode_request(request, self.model, self.form, origin=self.origin)

    def decoder(self, secret: str, request: ModelRequest) -> "ChatDecoder":
        """Make what decodes the answer to a request."""
        return ChatDecoder(
            secret=secret,
            think_tags=self.think_tags,
            origin=self.origin,
            shape=as_shape(request, self._mode(request)),
        )

    def _mode(self, request: ModelRequest) -> OutputMode:
        return self.output_mode or output_mode(
            self.origin, self.model, has_tools=bool(request.tools)
        )


class ChatDecoder(StreamDecoder[Chunk]):
    """Turns the bytes of one streamed answer into parts.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
        think_tags: whether `<think>...</think>` in the text is reasoning; ``"opened"`` if it
            begins as such.
        origin: whose answer it is, and who can read what is to come back with it.
        shape: how it was asked for, if it has one.
    """

    _STREAM = "chat completion stream"

    def __init__(
        self,
        *,
        secret: str = "",
        think_tags: TagsSetting = False,
        origin: str = "",
        shape: Shape | None = None,
    ) -> None:
        super().__init__(secret=secret, shape=shape)
        self._reason: Reason | None = None
        self._reason_name = ""
        self._usage = Usage()
        self._calls = Calls()
        self._origin = origin
        self._state = ProviderState()
        if think_tags:
            self._filters.append(ThinkTags(opened=think_tags == "opened", text=self._text))

    @property
    def complete(self) -> bool:
        """Whether the model said why it finished, so that only the usage may be missing."""
        return (self._reason is not None or self._said_done) and self._failure is None

    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether a body of JSON has chunks of a stream in it, and may go on in another line."""
        return _DELTA.search(body) is not None

    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended.

        An answer that ended with `[DONE]` is complete, even if nobody said why.

        Raises:
            ModelError: `cut-stream`: the stream ended before the answer did; `bad-response`: it
                can't be understood; what the provider reported within the stream: `auth`,
                `not-found`, `rate-limit`, `context-length`, `bad-request` or `provider-error`.
        """
        reason = self._reason
        self._check_end(is_told=reason is not None)
        if reason == "unknown" and not self._is_answered():
            name = clean(self._reason_name, limit=40, secret=self._secret)
            raise bad_response(f"the finish reason {name!r} is unknown")
        if reason in ("length", "content-filter"):
            return ModelFinish(reason, self._usage)  # what was cut short is nothing to go back
        if not self._calls:
            if reason == "tool-calls" and not self._has_text:
                raise bad_response("the model finished to call tools, but called none")
            return self._end("stop")
        # Some providers, and OpenAI's for a forced call, say "stop" all the same.
        if not self._calls.are_named:
            raise bad_response("a tool call has no name")
        is_final = self._calls.are_all(self._final_tool)
        return self._end("stop" if is_final else "tool-calls")

    def _end(self, reason: Literal["stop", "tool-calls"]) -> ModelFinish:
        state = self._state.finish(self._calls.extras(self._final_tool))
        provider = {self._origin: state} if state and self._origin else {}
        return ModelFinish(reason, self._usage, provider=provider)

    def _is_answered(self) -> bool:
        return self._calls.are_whole if self._calls else self._has_text

    def _end_parts(self, parts: list[ModelPart]) -> None:
        parts += self._calls.end()

    def _decode(self, text: str) -> Chunk:
        return decode_chunk(text)

    def _take_value(
        self,
        value: dict[str, Any],
        type_: str,  # noqa: ARG002 - chunks have no types
        parts: list[ModelPart],
    ) -> None:
        self._apply(read_chunk(value, whole=not (self.started or parts)), parts)

    def _apply(self, event: Chunk, parts: list[ModelPart]) -> None:
        for choice in event.choices or ():
            if choice.index != 0:
                continue
            if choice.delta is not None:
                if self._reason is None:
                    self._delta(choice.delta, parts)
                else:
                    said = len(parts)
                    self._delta(choice.delta, parts)
                    self.goes_on: bool = self.goes_on or len(parts) > said
            if choice.finish_reason is not None:
                self._finish(choice.finish_reason)
            if choice.usage is not None:
                self._usage = newer_usage(self._usage, choice.usage)
        if event.usage is not None:
            self._usage = newer_usage(self._usage, event.usage)
        if (groq := event.x_groq) is not None:
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
            parts.append(self._text(content))
        if delta.refusal:
            parts.append(TextPart(delta.refusal))
        if delta.tool_calls:
            self._calls.feed(delta.tool_calls, parts)
        elif delta.function_call is not None:
            self._calls.feed([ToolCall(function=delta.function_call)], parts)

    def _finish(self, name: str) -> None:
        if (reason := end_of(name, secret=self._secret)) is not None:
            self._reason, self._reason_name = reason, name
