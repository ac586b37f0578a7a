"""A scripted server that speaks Anthropic's Messages API, for tests over real sockets.

Its streams are those of the documentation ("Streaming messages"); what the real API refuses is
refused here, with its words (`_anthropic_rules`).
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import attrs
import trio

from ..wire._sse import format_sse
from . import _scripted_server as server
from ._anthropic_rules import refusal_of, sealed, signature_of
from ._scripted_server import Exchange, RecordedRequest, ScriptedServer, Status, status

_BURST = 64
_MODELS = {"data": [{"type": "model", "id": "scripted", "display_name": "Scripted"}]}


@attrs.frozen
class Block:
    """A piece of an answer that has its place in it. Made by the functions of this module."""

    write: Callable[[int, str], server.Step]
    """Given the index of the block and the name of the model that is asked."""
    has_index: bool = True


Step: TypeAlias = "server.Step | Block | Iterable[Step]"
"""Bytes are sent as they are; the rest is made by the functions of this module."""

Answer: TypeAlias = Iterable[Step]
"""The steps of one answer. `message_start` and `message_stop` are sent by themselves; `start` and
`end` are for who wants others."""

Script: TypeAlias = "Iterable[Answer | Callable[[RecordedRequest], Answer]]"
"""One answer for each call; a function makes its answer when it sees the request."""


def event(type: str, **fields: Any) -> bytes:  # noqa: A002 - the provider's name
    """Send any event."""
    return format_sse(json.dumps({"type": type, **fields}), event=type)


def ping() -> bytes:
    """Show that the connection is alive."""
    return event("ping")


def error(type: str = "overloaded_error", message: str = "Overloaded") -> bytes:  # noqa: A002
    """Report an error within the stream."""
    return event("error", error={"type": type, "message": message})


def refuse(code: int, type: str, message: str, **headers: str) -> Status:  # noqa: A002
    """Answer with an error, as the API writes it: the only step of its answer."""
    body = {"type": "error", "error": {"type": type, "message": message}, "request_id": "req_1"}
    return status(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def start(
    input_tokens: int = 0,
    *,
    cache_read_input_tokens: int = 0,
    cache_creation_input_tokens: int = 0,
    **message: Any,
) -> Block:
    """Begin the message, with what its input costs. Other fields of the message may be added."""
    usage = {
        "input_tokens": input_tokens,
        "cache_creation_input_tokens": cache_creation_input_tokens,
        "cache_read_input_tokens": cache_read_input_tokens,
        "output_tokens": 1,
    }

    def write(_: int, model: str) -> bytes:
        head = {"id": "msg_scripted", "type": "message", "role": "assistant", "model": model}
        ends: dict[str, Any] = {"content": [], "stop_reason": None, "stop_sequence": None}
        return event("message_start", message={**head, **ends, "usage": usage, **message})

    return Block(write, has_index=False)


def block(content_block: Mapping[str, Any], *deltas: Mapping[str, Any]) -> Block:
    """Send a content block of any type, and what is new in it piece by piece."""

    def write(index: int, _: str) -> bytes:
        return _block(index, content_block, deltas)

    return Block(write)


def text(*pieces: str, citations: Iterable[Mapping[str, Any]] = ()) -> Block:
    """Say something, in one piece or in several."""
    cited = [{"type": "citations_delta", "citation": dict(each)} for each in citations]
    said = [{"type": "text_delta", "text": piece} for piece in pieces]
    return block({"type": "text", "text": ""}, *cited, *said)


def thinking(*pieces: str, signature: str | None = None) -> Block:
    """Think, with a signature by which the thinking is known again if it comes back unchanged."""

    def write(index: int, model: str) -> bytes:
        signed = signature_of("".join(pieces), model) if signature is None else signature
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces]
        begin = {"type": "thinking", "thinking": "", "signature": ""}
        return _block(index, begin, [*deltas, {"type": "signature_delta", "signature": signed}])

    return Block(write)


def redacted_thinking(hidden: str = "hidden") -> Block:
    """Think what nobody may read."""

    def write(index: int, model: str) -> bytes:
        return _block(index, {"type": "redacted_thinking", "data": sealed(hidden, model)}, ())

    return Block(write)


def tool_use(
    id: str,  # noqa: A002 - the provider's name
    name: str,
    input: str | Iterable[str] = "{}",  # noqa: A002 - the provider's name
    *,
    type: str = "tool_use",  # noqa: A002 - the provider's name
) -> Block:
    """Call a tool, with the JSON of its input in one piece or in several.

    Of the type `server_tool_use`, it is one that the provider runs itself.
    """
    pieces = [input] if isinstance(input, str) else list(input)
    deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces]]
    return block({"type": type, "id": id, "name": name, "input": {}}, *deltas)


def output(*pieces: str, before: Answer = ()) -> Callable[[RecordedRequest], Answer]:
    """Make a whole answer that has a shape, in the way in which the request asks for it.

    It is text if there is a format, else a call of the tool that is forced, or of the last one.

    Args:
        pieces: the JSON text.
        before: what is said or called before, such as `thinking`.
    """

    def answer(request: RecordedRequest) -> Answer:
        body = request.body
        if body.get("output_config", {}).get("format"):
            return [*before, text(*pieces), finish()]
        name = body.get("tool_choice", {}).get("name") or body["tools"][-1]["name"]
        return [*before, tool_use("toolu_output", name, pieces), finish("tool_use")]

    return answer


def finish(reason: str = "end_turn", output_tokens: int = 0, **usage: Any) -> Block:
    """Say why the answer is complete, and what it cost."""

    def write(_: int, __: str) -> bytes:
        delta = {"stop_reason": reason, "stop_sequence": None}
        return event("message_delta", delta=delta, usage={"output_tokens": output_tokens, **usage})

    return Block(write, has_index=False)


def tokens(count: int, *, rate: float | None = None) -> Block:
    """Say `count` short words, each in a delta of its own.

    Args:
        count: how many.
        rate: words per second. By default as fast as the socket takes them, several in one
            write.
    """

    def write(index: int, _: str) -> server.Step:
        def word(number: int) -> bytes:
            return _delta(index, {"type": "text_delta", "text": f"word{number} "})

        async def play(exchange: Exchange) -> None:
            begun = trio.current_time()
            burst = _BURST if rate is None else 1
            for first in range(0, count, burst):
                if rate is not None:
                    await trio.sleep_until(begun + first / rate)
                await exchange.send(*map(word, range(first, min(first + burst, count))))

        begin = event("content_block_start", index=index, content_block=_EMPTY_TEXT)
        return [begin, play, event("content_block_stop", index=index)]

    return Block(write)


_EMPTY_TEXT = {"type": "text", "text": ""}


async def serve_scripted_anthropic(
    script: Script,
    *,
    port: int = 0,
    task_status: trio.TaskStatus[ScriptedServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `POST /v1/messages` and `GET /v1/models` on the loopback interface, forever.

    A request that the real API would refuse is refused, and takes no answer of the script. Each
    other call gets the next answer, and `message_stop` behind it; without a next one, a 400 that
    says so. Starting it in a nursery gives the `ScriptedServer`.

    Args:
        script: the answers. It may be infinite (`itertools.repeat`).
        port: by default any free one.
        task_status: told when the server listens.
    """
    await _serve(map(_written, script), port=port, task_status=task_status)


def open_scripted_anthropic(
    script: Script, *, port: int = 0
) -> AbstractAsyncContextManager[ScriptedServer]:
    """Run `serve_scripted_anthropic` while the context lasts."""
    return server.open_script(_serve, map(_written, script), port=port)


async def _serve(
    script: server.Script, *, port: int, task_status: trio.TaskStatus[ScriptedServer]
) -> None:
    await server.serve_script(
        script,
        _respond,
        path="",
        last_words=event("message_stop"),
        refuse=lambda code, message: refuse(code, _type_of(code), message),
        port=port,
        task_status=task_status,
    )


def _respond(request: RecordedRequest) -> server.Answer | None:
    match request.method, request.path.partition("?")[0]:
        case "GET", "/v1/models":
            return [status(200, body=_MODELS)]
        case "POST", "/v1/messages":
            message = refusal_of(request)
            return None if message is None else [refuse(400, _type_of(400), message)]
        case _:
            return [refuse(404, _type_of(404), "Not Found")]


def _type_of(code: int) -> str:
    return "not_found_error" if code == 404 else "invalid_request_error"


def _written(
    answer: "Answer | Callable[[RecordedRequest], Answer]",
) -> Callable[[RecordedRequest], server.Answer]:
    def write(request: RecordedRequest) -> server.Answer:
        steps = answer(request) if callable(answer) else answer
        return _Writer(request.body["model"]).write(steps)

    return write


class _Writer:
    """Writes the blocks of one answer, each with its index."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._index = 0
        self._begun = False

    def write(self, steps: Answer) -> Iterator[server.Step]:
        for step in steps:
            if isinstance(step, Block):
                written = step.write(self._index, self._model)
                is_start = isinstance(written, bytes) and b'"message_start"' in written
                if not (self._begun or is_start):
                    yield start().write(0, self._model)
                self._begun = True
                self._index += step.has_index
                yield written
            elif isinstance(step, bytes | Status) or callable(step):
                yield step
            else:
                yield from self.write(step)


def _block(
    index: int, content_block: Mapping[str, Any], deltas: Iterable[Mapping[str, Any]]
) -> bytes:
    begin = event("content_block_start", index=index, content_block=dict(content_block))
    pieces = b"".join(_delta(index, each) for each in deltas)
    return begin + pieces + event("content_block_stop", index=index)


def _delta(index: int, delta: Mapping[str, Any]) -> bytes:
    return event("content_block_delta", index=index, delta=dict(delta))
