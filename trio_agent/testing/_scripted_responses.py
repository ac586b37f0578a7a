"""A scripted provider of OpenAI's Responses, for tests over real sockets."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

import attrs
import trio

from ._responses_rules import refusal_of
from ._responses_writer import Ledger, Words, Writer
from ._scripted_server import (
    Answer,
    RecordedRequest,
    ScriptedServer,
    Status,
    Step,
    open_script,
    serve_script,
    sleep,
    status,
)

_BURST = 64

Piece: TypeAlias = "str | Step"
"""What an item says, or what happens while it does, such as `hang()`."""

ResponseStep: TypeAlias = "Step | Words | Iterable[ResponseStep]"
"""A step of any scripted server, or one that is made by the functions of this module."""

ResponseAnswer: TypeAlias = Iterable[ResponseStep]
"""The steps of one answer. Nothing follows by itself: `finish()` is usually the last."""

ResponseScript: TypeAlias = "Iterable[ResponseAnswer | Callable[[RecordedRequest], ResponseAnswer]]"
"""One answer for each call; a function makes its answer when it sees the request."""


@attrs.frozen
class _Burst:
    """Deltas that are sent in one write."""

    deltas: tuple[str, ...]


def text(*deltas: Piece, phase: str | None = None) -> Words:
    """Say a message, in pieces."""
    return _message(deltas, "output_text", {} if phase is None else {"phase": phase})


def refusal(*deltas: Piece) -> Words:
    """Refuse, in pieces."""
    return _message(deltas, "refusal", {})


def reasoning(*summaries: str, content: str = "") -> Words:
    """Think. What was thought is told in parts of a summary, or as it is.

    It has `encrypted_content` if the request asks for that.
    """

    def write(writer: Writer) -> Iterator[Step]:
        head = {"type": "reasoning", "summary": [], **writer.sealed()}
        item, place, event = writer.add(head, "rs")
        yield event
        for index, summary in enumerate(summaries):
            place["summary_index"] = index
            part = {"type": "summary_text", "text": ""}
            yield writer.event("response.reasoning_summary_part.added", **place, part=part)
            part = {"type": "summary_text", "text": summary}
            name = "response.reasoning_summary_text"
            yield writer.event(f"{name}.delta", **place, delta=summary)
            yield writer.event(f"{name}.done", **place, text=summary)
            yield writer.event("response.reasoning_summary_part.done", **place, part=part)
            item = {**item, "summary": [*item["summary"], part]}
        if content:
            place = {**place, "content_index": 0}
            yield writer.event("response.reasoning_text.delta", **place, delta=content)
            yield writer.event("response.reasoning_text.done", **place, text=content)
            item = {**item, "content": [{"type": "reasoning_text", "text": content}]}
        yield writer.end(item)

    return Words(write)


def tool_call(call_id: str, name: str, arguments: str | Iterable[Piece] = "{}") -> Words:
    """Call a tool, with its arguments in one piece or in several."""
    fragments = [arguments] if isinstance(arguments, str) else list(arguments)

    def write(writer: Writer) -> Iterator[Step]:
        head = {"type": "function_call", "call_id": call_id, "name": name}
        item, place, event = writer.add({**head, "status": "in_progress", "arguments": ""}, "fc")
        yield event
        type_ = "response.function_call_arguments"
        whole = ""
        for fragment in fragments:
            if isinstance(fragment, str):
                whole += fragment
                yield writer.event(f"{type_}.delta", **place, delta=fragment)
            else:
                yield fragment
        yield writer.event(f"{type_}.done", **place, arguments=whole)
        yield writer.end({**item, "status": "completed", "arguments": whole})

    return Words(write)


def output(
    *pieces: str, before: ResponseAnswer = ()
) -> Callable[[RecordedRequest], ResponseAnswer]:
    """Make a whole answer that has a shape, in the way in which the request asks for it.

    It is text if there is a format, else a call of the tool that is forced, or of the last one.

    Args:
        pieces: the JSON text.
        before: what is said or called before, such as `reasoning`.
    """

    def answer(request: RecordedRequest) -> ResponseAnswer:
        body = request.body
        if (body.get("text") or {}).get("format"):
            return [*before, text(*pieces), finish()]
        choice = body.get("tool_choice")
        chosen = choice if isinstance(choice, dict) else body["tools"][-1]
        return [*before, tool_call("call_output", chosen["name"], pieces), finish()]

    return answer


def item(type_: str, **fields: Any) -> Words:
    """Give an item of any type, such as `web_search_call`."""

    def write(writer: Writer) -> Iterator[Step]:
        value, _, event = writer.add({"type": type_, **fields}, type_)
        yield event
        yield writer.end(value)

    return Words(write)


def event(type_: str, **fields: Any) -> Words:
    """Send an event of any type."""
    return Words(lambda writer: iter([writer.event(type_, **fields)]))


def tokens(count: int, *, rate: float | None = None) -> Words:
    """Say a message of `count` short words, each in a delta of its own.

    Args:
        count: how many.
        rate: words per second. By default as fast as the socket takes them, several in one
            write.
    """
    words = [f"word{number} " for number in range(count)]
    if rate is None:
        bursts = [_Burst(tuple(words[i : i + _BURST])) for i in range(0, count, _BURST)]
        return _message(bursts, "output_text", {})
    return _message([each for word in words for each in (sleep(1 / rate), word)], "output_text", {})


def finish(
    *, input_tokens: int = 0, output_tokens: int = 0, cached: int = 0, thought: int = 0
) -> Words:
    """Complete the response, and say what it cost.

    Args:
        input_tokens: all of the input.
        output_tokens: all of the output.
        cached: those of the input that the provider had at hand.
        thought: those of the output that are reasoning.
    """
    usage = {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": input_tokens + output_tokens,
    }
    return _end("completed", usage=usage)


def incomplete(reason: str = "max_output_tokens") -> Words:
    """End the response before the model has."""
    return _end("incomplete", incomplete_details={"reason": reason})


def failed(code: str = "server_error", message: str = "The model failed.") -> Words:
    """Fail within the response."""
    return _end("failed", error={"code": code, "message": message})


def error(code: str, message: str) -> Words:
    """Fail within the stream, in the shape that the API sends rather than documents."""
    said = {"type": code, "code": code, "message": message, "param": None}
    return event("error", error=said)


async def serve_scripted_responses(
    script: ResponseScript,
    *,
    port: int = 0,
    task_status: trio.TaskStatus[ScriptedServer] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `POST /v1/responses` and `GET /v1/models` on the loopback interface, forever.

    What the API refuses is refused here, and costs no answer of the script. Else each call gets
    the next one; without a next one, a 400 that says so. Starting it in a nursery gives the
    `ScriptedServer`.

    Args:
        script: the answers. It may be infinite (`itertools.repeat`).
        port: by default any free one.
        task_status: told when the server listens.
    """
    ledger = Ledger()

    def respond(request: RecordedRequest) -> Answer | None:
        match request.method, request.path.partition("?")[0]:
            case "GET", "/v1/models":
                head = {"id": "scripted", "object": "model", "created": 0}
                model = {**head, "owned_by": "trio-agent"}
                return [status(200, body={"object": "list", "data": [model]})]
            case "POST", "/v1/responses":
                refused = refusal_of(request.body, ledger)
                return None if refused is None else [refused]
            case _:
                return [_error(404, f"Invalid URL ({request.method} {request.path})")]

    await serve_script(
        (_written(answer, ledger) for answer in script),
        respond,
        path="/v1",
        refuse=_error,
        port=port,
        task_status=task_status,
    )


def open_scripted_responses(
    script: ResponseScript, *, port: int = 0
) -> AbstractAsyncContextManager[ScriptedServer]:
    """Run `serve_scripted_responses` while the context lasts."""
    return open_script(serve_scripted_responses, script, port=port)


def _written(
    answer: ResponseAnswer | Callable[[RecordedRequest], ResponseAnswer], ledger: Ledger
) -> Callable[[RecordedRequest], Answer]:
    def play(request: RecordedRequest) -> Answer:
        steps = answer(request) if callable(answer) else answer
        return _steps(steps, Writer(request.body, ledger))

    return play


def _steps(step: ResponseStep, writer: Writer) -> Iterator[Step]:
    if isinstance(step, Words):
        if begin := writer.begin():
            yield begin
        yield from step.write(writer)
    elif isinstance(step, bytes | Status) or callable(step):
        yield step
    else:
        for each in step:
            yield from _steps(each, writer)


def _message(deltas: Iterable["Piece | _Burst"], type_: str, fields: dict[str, Any]) -> Words:
    name = "text" if type_ == "output_text" else "refusal"
    more: dict[str, Any] = {"annotations": []} if type_ == "output_text" else {}

    def write(writer: Writer) -> Iterator[Step]:
        head = {"type": "message", "role": "assistant", "content": [], **fields}
        item, place, event = writer.add({**head, "status": "in_progress"}, "msg")
        place["content_index"] = 0
        part = {"type": type_, name: "", **more}
        yield event + writer.event("response.content_part.added", **place, part=part)
        whole = ""
        for delta in deltas:
            if isinstance(delta, str | _Burst):
                burst = (delta,) if isinstance(delta, str) else delta.deltas
                whole += "".join(burst)
                name_ = f"response.{type_}.delta"
                yield b"".join(writer.event(name_, **place, delta=each) for each in burst)
            else:
                yield delta
        part = {**part, name: whole}
        yield writer.event(f"response.{type_}.done", **place, **{name: whole})
        yield writer.event("response.content_part.done", **place, part=part)
        yield writer.end({**item, "status": "completed", "content": [part]})

    return Words(write)


def _end(status_: str, **fields: Any) -> Words:
    def write(writer: Writer) -> Iterator[Step]:
        yield writer.event(f"response.{status_}", response=writer.response(status_, **fields))

    return Words(write)


def _error(code: int, message: str) -> Status:
    said = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    return status(code, body={"error": said})
