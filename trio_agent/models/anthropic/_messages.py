"""The codec of Anthropic's Messages API. Performs no I/O.

Source: Anthropic's documentation, "Messages", "Streaming messages", "Handling stop reasons". Where
gateways deviate from it and the meaning is clear, the meaning wins; where it isn't, the answer is
refused.
"""

import logging
import re
from collections.abc import Mapping
from typing import Any

import attrs

from ..._errors import ModelError
from ..._events import Usage
from ..._http.words import clean
from .._parts import ModelFinish, ModelPart, ModelRequest
from .._provider._finish_reason import Reason, end_of
from .._provider._shape import OutputMode, Shape, as_shape, by_tool, check_output
from .._provider._stream import StreamDecoder
from ._blocks import Blocks
from ._event import Counts, Delta, Event, decode_event
from ._kept import keep
from ._lenient import read_events
from ._output_mode import can_force, output_mode
from ._request import encode_request, sendable, stripped
from ._thinking import OFF, is_manual

logger = logging.getLogger("trio_agent")

_EVENT = re.compile(rb'"type"\s*:\s*"(message_(start|delta|stop)|content_block_|ping")')
_PAUSE = "pause_turn"


@attrs.frozen(kw_only=True)
class MessagesCodec:
    """The language of one endpoint.

    Args:
        model: the model's name.
        origin: names the endpoint where answers of several are kept.
        server_tools: tools that the provider runs, in its API's words.
        told: what was logged for this model already.
        output_mode: how an answer that has a shape is asked for; None for what suits.
    """

    model: str
    origin: str = ""
    server_tools: tuple[Mapping[str, Any], ...] = ()
    told: set[str] = attrs.field(factory=set)
    output_mode: OutputMode | None = None

    def encode(self, request: ModelRequest) -> dict[str, Any]:
        """Return the JSON body of one streamed call; see `encode_request`."""
        if (spec := request.output) is not None:
            check_output(spec, request, option="output_config.format")
            if self._mode(request) == "tool":
                request = by_tool(
                    request,
                    spec,
                    can_force=can_force(self.origin, request.options),
                    has_others=bool(self.server_tools),
                )
        body = encode_request(
            request, self.model, origin=self.origin, server_tools=self.server_tools
        )
        asked = request.options.get("thinking")
        if is_manual(asked) and body["thinking"] == OFF and "thinking" not in self.told:
            self.told.add("thinking")
            logger.info(
                "%s is asked without thinking where it can't think: in a tool loop that was begun"
                " without, or where a tool is forced",
                self.model,
            )
        return body

    def decoder(self, secret: str, request: ModelRequest) -> "MessagesDecoder":
        """Make what decodes the answer to a request."""
        return MessagesDecoder(
            secret=secret,
            model=self.model,
            origin=self.origin,
            shape=as_shape(request, self._mode(request)),
        )

    def _mode(self, request: ModelRequest) -> OutputMode:
        return self.output_mode or output_mode(self.origin, self.model, request)


class MessagesDecoder(StreamDecoder[Event]):
    """Turns the bytes of one streamed answer into parts.

    Args:
        secret: the API key. A provider's message that repeats it is passed on without it.
        model: whose signatures the answer holds.
        origin: the endpoint that can read them, as `AssistantMessage.provider` names it.
        shape: how it was asked for, if it has one.
    """

    _STREAM = "stream of a message"

    def __init__(
        self,
        *,
        secret: str = "",
        model: str = "",
        origin: str = "",
        shape: Shape | None = None,
    ) -> None:
        super().__init__(secret=secret, shape=shape)
        self._model = model
        self._origin = origin
        self._blocks = Blocks(text=self._text, final_tool=self._final_tool)
        self._container: dict[str, Any] = {}
        self._before = Usage()
        """What the responses before the last pause cost."""
        self._counts: dict[str, int] = {}
        self._reason: Reason | None = None
        self._reason_name = ""
        self._has_paused = False
        """Whether the last turn of the request is this one, as far as it had come."""

    @property
    def complete(self) -> bool:
        """Whether the model said why it finished, so that only the usage may be missing."""
        return bool(self._reason_name or self._said_done) and self._failure is None

    def may_go_on(self, body: bytes | bytearray) -> bool:
        """Whether a body of JSON has events of a stream in it, and may go on in another line."""
        return _EVENT.search(body) is not None

    def finish(self) -> ModelFinish:
        """Say how the answer ended, once it is `done` or its stream has ended.

        An answer that ended with `message_stop` is complete, even if nobody said why.

        Raises:
            ModelError: `cut-stream`: the stream ended before the answer did; `bad-response`: it
                can't be understood; what the provider reported within the stream: `auth`,
                `not-found`, `rate-limit`, `context-length`, `bad-request` or `provider-error`.
        """
        self._check_end(is_told=self._reason is not None)
        if self._reason == "unknown" and not self._is_answered():
            name = clean(self._reason_name, limit=40, secret=self._secret)
            raise ModelError("bad-response", f"the stop reason {name!r} is unknown")
        if self._reason in ("length", "content-filter"):
            return ModelFinish(self._reason, self._usage())
        if self._reason == "tool-calls" and not (self._blocks.calls_tools or self._has_text):
            raise ModelError("bad-response", "the model finished to call tools, but called none")
        kept = keep(
            self._blocks.content(),
            self._model,
            str(self._container.get("id") or ""),
            shaped=self._is_shaped,
        )
        return ModelFinish(
            "tool-calls" if self._blocks.calls_others else "stop",
            self._usage(),
            provider={self._origin: kept} if kept else {},
        )

    def resume(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """Return the body of the request that goes on with a paused turn; None if it isn't.

        The turn so far goes back as its last message, and its container by its id. Then the
        decoder is ready for the response to that.

        Source: Anthropic's documentation, "Server tools" (pause_turn).
        """
        if self._reason_name != _PAUSE or self._failure is not None or self._blocks.calls_tools:
            return None
        turns = list(body["messages"])
        if self._has_paused:
            turns.pop()  # the turn, as far as it had come then
        blocks = sendable(self._blocks.content())
        self._has_paused = bool(blocks)
        if blocks:
            turns.append({"role": "assistant", "content": stripped(blocks)})
        self._before, self._counts = self._usage(), {}
        self._reason, self._reason_name = None, ""
        self._blocks.go_on()
        self._reset()
        return {**body, "messages": turns} | self._container_of(body)

    def _container_of(self, body: Mapping[str, Any]) -> dict[str, Any]:
        id_, asked = self._container.get("id"), body.get("container")
        if not id_:
            return {}
        return {"container": {**asked, "id": id_} if isinstance(asked, Mapping) else id_}

    def _is_answered(self) -> bool:
        return self._blocks.are_whole if self._blocks.calls_tools else self._has_text

    def _decode(self, text: str) -> Event:
        return decode_event(text)

    def _take_value(self, value: dict[str, Any], type_: str, parts: list[ModelPart]) -> None:
        for event in read_events(value, type_):
            self._apply(event, parts)

    def _end_parts(self, parts: list[ModelPart]) -> None:
        self._blocks.end(parts)

    def _apply(self, event: Event, parts: list[ModelPart]) -> None:
        delta, said = event.delta, len(parts)
        match event.type:
            case "content_block_delta" if delta is not None:
                self._blocks.add(event.index, delta, parts)
            case "content_block_start" if event.content_block is not None:
                self._blocks.start(event.index, event.content_block, parts)
            case "content_block_stop":
                self._blocks.stop(event.index, parts)
            case "message_start" if event.message is not None:
                self._container = event.message.container or self._container
                self._count(event.message.usage)
            case "message_delta":
                self._message(delta or Delta())
                self._count(event.usage)
            case "message_stop":
                self._said_done = self.done = True
        if self._reason_name and len(parts) > said:
            self.goes_on: bool = True

    def _message(self, delta: Delta) -> None:
        self._container = delta.container or self._container
        name = delta.stop_reason or ""
        reason = "stop" if name == _PAUSE else end_of(name, secret=self._secret)
        if reason is not None:
            self._reason, self._reason_name = reason, name

    def _count(self, counts: Counts | None) -> None:
        """Take the tokens so far. What isn't counted, or not any more, stays as it was."""
        if counts is None:
            return
        details = counts.output_tokens_details
        said = {
            "input": counts.input_tokens,
            "output": counts.output_tokens,
            "read": counts.cache_read_input_tokens,
            "written": counts.cache_creation_input_tokens,
            "thinking": details.thinking_tokens if details is not None else None,
        }
        for name, number in said.items():
            self._counts[name] = max(self._counts.get(name, 0), number or 0)

    def _usage(self) -> Usage:
        counts = self._counts.get
        cached = counts("read", 0)
        input_ = counts("input", 0) + cached + counts("written", 0)
        output = counts("output", 0)
        return self._before + Usage(input_, output, input_ + output, cached, counts("thinking", 0))
