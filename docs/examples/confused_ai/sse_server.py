import json
from typing import Final

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from trio_agent import (
    Agent,
    Cursor,
    CursorExpired,
    CursorInvalid,
    LimitExceeded,
    ResumableStreamManager,
    RunError,
    Runtime,
    TextDelta,
    ToolCall,
    TrioAgentError,
    UnknownRun,
    open_runtime,
)

STATUS: Final = {
    CursorInvalid: 400,
    UnknownRun: 404,
    CursorExpired: 410,
    LimitExceeded: 503,
}
SSE: Final = {"content-type": "text/event-stream", "cache-control": "no-cache"}

agent = Agent(name="streamer", instructions="Be helpful.", model="gpt-4o-mini")
streams = ResumableStreamManager(max_age=5 * 60, max_streams=1000)


async def produce(runtime: Runtime, stream_id: str, prompt: str) -> None:
    """Live in the application's nursery: a client that leaves changes nothing."""
    try:
        run = await runtime.start(agent, prompt)
        async with run.subscribe() as events:
            async for event in events:
                match event:
                    case TextDelta(delta=delta):
                        streams.save_chunk(stream_id, "text", delta)
                    case ToolCall(tool=tool):
                        streams.save_chunk(stream_id, "tool_call", {"name": tool.name})
                    case RunError(error=error):
                        streams.save_chunk(stream_id, "error", error.message)
    except TrioAgentError as exc:
        streams.save_chunk(stream_id, "error", str(exc))
    streams.complete(stream_id)


class Frames(trio.abc.ReceiveChannel[bytes]):
    """The chunks of a stream, saved ones and new ones, as server-sent events."""

    def __init__(self, stream_id: str, after: int | str) -> None:
        self._stream_id = stream_id
        self._chunks = streams.subscribe(stream_id, after=after)

    async def receive(self) -> bytes:
        return streams.format_sse(self._stream_id, await self._chunks.receive())

    async def aclose(self) -> None:
        await self._chunks.aclose()


def follow(stream_id: str, after: int | str) -> Response:
    complete = streams.checkpoint(stream_id).complete
    if complete and not streams.chunks_since(stream_id, after):
        return Response(status_code=204)  # tells EventSource not to come again
    frames = Frames(stream_id, after)
    headers = {**SSE, "x-stream-id": stream_id}
    close = BackgroundTask(frames.aclose)
    return StreamingResponse(frames, headers=headers, background=close)


async def stream(request: Request) -> Response:
    if cursor := request.headers.get("last-event-id"):
        # EventSource was cut off and comes back.
        return follow(Cursor.parse(cursor).run_id, cursor)
    if "prompt" not in request.query_params:
        raise HTTPException(400, "say something: /stream?prompt=...")
    stream_id = streams.create_stream()
    prompt = request.query_params["prompt"]
    state = request.app.state
    state.nursery.start_soon(produce, state.runtime, stream_id, prompt)
    return follow(stream_id, 0)


async def resume(request: Request) -> Response:
    position = request.query_params.get("position", "0")
    after = int(position) if position.isdecimal() else position
    return follow(request.path_params["id"], after)


async def refuse(_: Request, exc: Exception) -> Response:
    return JSONResponse({"error": str(exc)}, STATUS.get(type(exc), 500))


async def main() -> None:
    app = Starlette(
        routes=[Route("/stream", stream), Route("/stream/{id}/resume", resume)],
        exception_handlers={TrioAgentError: refuse},
    )
    config = Config()
    config.bind = ["127.0.0.1:0"]
    async with open_runtime() as runtime, trio.open_nursery() as nursery:
        app.state.runtime, app.state.nursery = runtime, nursery
        addresses = await nursery.start(serve, app, config)
        print(json.dumps(addresses), flush=True)


trio.run(main)
