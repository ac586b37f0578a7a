"""A scripted OpenAI-compatible HTTP server, for tests over real sockets."""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import trio

from ..wire._sse import format_sse
from ._openai_memory import Memory, WantsBack
from ._openai_rules import lack_of, refusal_of
from ._scripted_server import (
    Answer,
    Exchange,
    RecordedRequest,
    Script,
    ScriptedServer,
    Status,
    Step,
    open_script,
    serve_script,
    status,
)

_BURST = 64
_INDEX = re.compile(rb'"tool_calls":\s*\[\{"index":\s*(\d+)')


def delta(content: Mapping[str, Any], *, finish_reason: str | None = None) -> bytes:
    """Make a chunk with any delta."""
    choice = {"index": 0, "delta": dict(content), "finish_reason": finish_reason}
    return _chunk({"choices": [choice]})


def text(content: str) -> bytes:
    """Say a piece of the answer."""
    return delta({"content": content})


def reasoning(content: str) -> bytes:
    """Say a piece of the reasoning."""
    return delta({"reasoning_content": content})


def reasoning_details(*details: Mapping[str, Any]) -> bytes:
    """Say pieces of the reasoning as OpenRouter does; with a `text`, it comes as reasoning, too."""
    said = "".join(detail.get("text", "") for detail in details)
    return delta({"reasoning": said, "reasoning_details": [dict(detail) for detail in details]})


def tool_fragment(
    index: int,
    *,
    id: str | None = None,  # noqa: A002 - the provider's name
    name: str | None = None,
    arguments: str = "",
    thought_signature: str | None = None,
) -> bytes:
    """Write a piece of a tool call. The first piece of an index has the id and the name.

    `thought_signature` stands beside the call, where Google has it.
    """
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    call: dict[str, Any] = {"index": index, "function": function}
    if id is not None:
        call |= {"id": id, "type": "function"}
    if thought_signature is not None:
        call["extra_content"] = {"google": {"thought_signature": thought_signature}}
    return delta({"tool_calls": [call]})


def tool_call(
    id: str,  # noqa: A002 - the provider's name
    name: str,
    arguments: str | Iterable[str] = "{}",
    *,
    index: int = 0,
    thought_signature: str | None = None,
) -> list[bytes]:
    """Call a tool, with its arguments in one piece or in several."""
    fragments = [arguments] if isinstance(arguments, str) else arguments
    return [
        tool_fragment(index, id=id, name=name, thought_signature=thought_signature),
        *(tool_fragment(index, arguments=fragment) for fragment in fragments),
    ]


def output(*pieces: str, before: Answer = ()) -> Callable[[RecordedRequest], Answer]:
    """Make a whole answer that has a shape, in the way in which the request asks for it.

    It is text if there is a `response_format`, else a call of the tool that is forced, or of the
    last one.

    Args:
        pieces: the JSON text, each in a chunk of its own.
        before: what is said or called before, such as `reasoning`.
    """

    def answer(request: RecordedRequest) -> Answer:
        if request.body.get("response_format"):
            return [*before, *map(text, pieces), finish()]
        choice = request.body.get("tool_choice")
        chosen = choice if isinstance(choice, dict) else request.body["tools"][-1]
        # OpenAI's own client takes no index that is not the next one.
        index = max(_indexes(before), default=-1) + 1
        call = tool_call("call_output", chosen["function"]["name"], pieces, index=index)
        return [*before, call, finish("tool_calls")]

    return answer


def _indexes(step: Step) -> Iterator[int]:
    """Of the calls in what is said."""
    if isinstance(step, bytes):
        yield from map(int, _INDEX.findall(step))
    elif isinstance(step, Iterable):
        for each in step:
            yield from _indexes(each)


def finish(reason: str = "stop") -> bytes:
    """Say why the answer is complete."""
    return delta({}, finish_reason=reason)


def usage(
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cached_tokens: int | None = None,
    reasoning_tokens: int | None = None,
) -> bytes:
    """Say what the answer cost; OpenAI does so after the finish."""
    counts: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    if cached_tokens is not None:
        counts["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    if reasoning_tokens is not None:
        counts["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return _chunk({"choices": [], "usage": counts})


def tokens(count: int, *, rate: float | None = None) -> Step:
    """Say `count` short words, each in a chunk of its own.

    Args:
        count: how many.
        rate: words per second. By default as fast as the socket takes them, several in one
            write.
    """

    async def play(exchange: "Exchange") -> None:
        start = trio.current_time()
        burst = _BURST if rate is None else 1
        for first in range(0, count, burst):
            if rate is not None:
                await trio.sleep_until(start + first / rate)
            words = range(first, min(first + burst, count))
            await exchange.send(*(text(f"word{number} ") for number in words))

    return play


async def serve_scripted_openai(
    script: Script,
    *,
    port: int = 0,
    strict: bool = False,
    wants_back: WantsBack | None = None,
    knows_schemas: bool = True,
    can_force: bool = True,
    task_status: trio.TaskStatus[ScriptedServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `POST /v1/chat/completions` and `GET /v1/models` on the loopback interface, forever.

    Each call gets the next answer of the script, and `[DONE]` behind it; without a next one, a
    400 that says so. Starting it in a nursery gives the `ScriptedServer`.

    Args:
        script: the answers. It may be infinite (`itertools.repeat`).
        port: by default any free one.
        strict: whether requests that OpenAI would refuse get a 400 in its words, and no answer
            of the script: calls without results, content parts out of place, and so on.
        wants_back: what a tool loop must bring back unmodified, or else it is refused as its
            provider would: `"reasoning_content"` (DeepSeek), `"thought_signature"` (Google) or
            `"reasoning_details"` (OpenRouter). Then the server is strict, too.
        knows_schemas: whether a `response_format` may be a JSON Schema; DeepSeek refuses that.
        can_force: whether a tool may be forced; DeepSeek refuses that while it thinks.
        task_status: told when the server listens.
    """
    memory = None if wants_back is None else Memory(wants_back)

    def fault_of(body: Any) -> str | None:
        fault = refusal_of(body) if strict or memory is not None else None
        if fault is None and memory is not None:
            fault = memory.refusal_of(body["messages"])
        if fault is None and not (knows_schemas and can_force):
            fault = lack_of(body, knows_schemas=knows_schemas, can_force=can_force)
        return fault

    await serve_script(
        script if memory is None else memory.listen(script),
        partial(_respond, fault_of=fault_of),
        path="/v1",
        last_words=b"data: [DONE]\n\n",
        refuse=_error,
        port=port,
        task_status=task_status,
    )


def open_scripted_openai(
    script: Script,
    *,
    port: int = 0,
    strict: bool = False,
    wants_back: WantsBack | None = None,
    knows_schemas: bool = True,
    can_force: bool = True,
) -> AbstractAsyncContextManager[ScriptedServer]:
    """Run `serve_scripted_openai` while the context lasts."""
    serve = partial(
        serve_scripted_openai,
        strict=strict,
        wants_back=wants_back,
        knows_schemas=knows_schemas,
        can_force=can_force,
    )
    return open_script(serve, script, port=port)


def _respond(request: RecordedRequest, *, fault_of: Callable[[Any], str | None]) -> Answer | None:
    match request.method, request.path:
        case "GET", "/v1/models":
            model = {"id": "scripted", "object": "model", "created": 0, "owned_by": "trio-agent"}
            return [status(200, body={"object": "list", "data": [model]})]
        case "POST", "/v1/chat/completions":
            fault = fault_of(request.body)
            return None if fault is None else [_error(400, fault)]
        case _:
            return [_error(404, f"there is no {request.method} {request.path}")]


def _chunk(fields: Mapping[str, Any]) -> bytes:
    head = {"id": "chatcmpl-scripted", "object": "chat.completion.chunk", "created": 0}
    return format_sse(json.dumps({**head, "model": "scripted", **fields}))


def _error(code: int, message: str) -> Status:
    return status(code, body={"error": {"message": message}})
