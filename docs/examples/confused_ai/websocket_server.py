from contextlib import suppress

import msgspec
import trio
from trio_websocket import (
    ConnectionClosed,
    WebSocketConnection,
    WebSocketRequest,
    serve_websocket,
)

from trio_agent import Agent
from trio_agent.wire import encode_event

agent = Agent(name="streamer", instructions="Be helpful.", model="gpt-4o-mini")


class Question(msgspec.Struct):
    prompt: str


async def handle(request: WebSocketRequest) -> None:
    with suppress(ConnectionClosed):
        websocket = await request.accept()
        while True:
            message = await websocket.get_message()
            try:
                question = msgspec.json.decode(message, type=Question)
            except (ValueError, RecursionError) as exc:
                error = {"code": "bad-request", "message": str(exc)}
                answer = msgspec.json.encode({"type": "error", "error": error})
                await websocket.send_message(answer.decode())
            else:
                await stream(question.prompt, websocket)


async def stream(prompt: str, websocket: WebSocketConnection) -> None:
    # If the client is gone, sending raises ConnectionClosed: that leaves the block,
    # and so cancels the run.
    async with agent.stream_events(prompt) as events:
        async for event in events:
            await websocket.send_message(encode_event(event).decode())


async def main() -> None:
    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, handle, "127.0.0.1", 0, None)
        print(server.port, flush=True)


trio.run(main)
