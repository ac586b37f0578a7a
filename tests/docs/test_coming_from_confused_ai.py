"""docs/coming-from-confused-ai.md"""

import json
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest
import trio
from program_kit import EXAMPLES, REPOSITORY, run_example, serving
from trio_websocket import WebSocketConnection, open_websocket_url

from trio_agent import RunFinish
from trio_agent.testing.openai import Script, finish, pause, status, text, tool_call
from trio_agent.wire import SSEDecoder, decode_event

PAGE = REPOSITORY / "docs" / "coming-from-confused-ai.md"

NAMES = (
    "createAgent",
    "instructions",
    "apiKey",
    "agent.stream(",
    "agent.streamEvents(",
    "StreamChunk",
    "text-delta",
    "delta",
    "tool-call",
    "tool.name",
    "tool.input",
    "tool-result",
    "tool.output",
    "step-finish",
    "stepNumber",
    "run-finish",
    "AgentRunResult",
    "run.steps",
    "error",
    "ResumableStreamManager",
    "maxAgeMs",
    "maxStreams",
    "createStream",
    "saveChunk",
    "getCheckpoint",
    "getChunksSince",
    "formatSSE",
    "GET /stream",
    "/stream/:id/resume",
    "position",
    "WebSocketServer",
    "VoiceStreamSession",
)
"""The names on the page of confused-ai that trio-agent follows."""


def rows() -> list[tuple[str, str]]:
    """The first column of the page's tables, and the others."""
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    cells = [line.strip("| ").split(" | ", 1) for line in lines]
    return [(first, rest) for first, rest in cells]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_has_an_equivalent(name: str) -> None:
    assert any(name in theirs for theirs, _ in rows())


async def test_stream(tmp_path: Path) -> None:
    script: Script = [[text("A nursery "), text("waits."), finish()]]
    assert await run_example("confused_ai/stream", script, tmp_path) == "A nursery waits.\n"


async def test_stream_events(tmp_path: Path) -> None:
    call = tool_call("c1", "search", '{"query": "qubits"}')
    script: Script = [[text("Let me see."), call, finish("tool_calls")], [text("Done."), finish()]]
    assert await run_example("confused_ai/stream_events", script, tmp_path) == (
        "Let me see.\nCalling tool: search {'query': 'qubits'}\n"
        "Tool result: search ['qubits: an introduction']\n"
        "\nStep 1 done\n"
        "Done.\nStep 2 done\n"
        "Completed in 2 steps: stop\n"
    )


async def test_stream_events_of_a_run_that_fails(tmp_path: Path) -> None:
    script: Script = [[status(401, body={"error": {"message": "wrong key"}})]]
    output = await run_example("confused_ai/stream_events", script, tmp_path)
    assert output.startswith("\nStream error: auth: ")


async def test_resumable(tmp_path: Path) -> None:
    assert await run_example("confused_ai/resumable", [], tmp_path) == (
        "missed: ' world!' at 2\n1 'Hello'\n2 ' world!'\n3 ' Bye.'\n"
    )


def serve(name: str, script: Script, folder: Path) -> AbstractAsyncContextManager[str]:
    return serving(EXAMPLES / f"{name}.py", script, folder)


def chunks_of(answer: httpx.Response) -> list[dict[str, object]]:
    return [json.loads(event.data) for event in SSEDecoder().feed(answer.content)]


async def test_sse_server(tmp_path: Path) -> None:
    call = tool_call("c1", "wave", "{}")
    script: Script = [[text("Hel"), text("lo"), call, finish("tool_calls")], [text("!"), finish()]]
    async with (
        serve("confused_ai/sse_server", script, tmp_path) as line,
        httpx.AsyncClient() as client,
    ):
        [url] = json.loads(line)
        answer = await client.get(f"{url}/stream", params={"prompt": "hi"})
        assert chunks_of(answer) == [
            {"type": "text", "content": "Hel"},
            {"type": "text", "content": "lo"},
            {"type": "tool_call", "content": {"name": "wave"}},
            {"type": "text", "content": "!"},
        ]
        events = SSEDecoder().feed(answer.content)
        again = f"{url}/stream/{answer.headers['x-stream-id']}/resume"
        for position in ("2", events[1].id):
            resumed = await client.get(again, params={"position": position})
            assert SSEDecoder().feed(resumed.content) == events[2:]
        # What EventSource sends when it was cut off: no second run is paid for.
        for number, event in enumerate(events, 1):
            back = {"last-event-id": event.id}
            resumed = await client.get(f"{url}/stream?prompt=hi", headers=back)
            assert SSEDecoder().feed(resumed.content) == events[number:]
            assert resumed.status_code == (204 if number == len(events) else 200)


async def test_sse_server_tells_only_the_client_that_is_wrong(tmp_path: Path) -> None:
    script: Script = [[status(401)], [text("Hello"), finish()]]
    async with (
        serve("confused_ai/sse_server", script, tmp_path) as line,
        httpx.AsyncClient() as client,
    ):
        [url] = json.loads(line)
        for path, code in (("", 400), ("/nobody/resume", 404), ("/nobody/resume?position=x", 404)):
            assert (await client.get(f"{url}/stream{path}")).status_code == code
        [chunk] = chunks_of(await client.get(f"{url}/stream", params={"prompt": "hi"}))
        assert chunk["type"] == "error"
        answer = await client.get(f"{url}/stream", params={"prompt": "hi"})
        assert chunks_of(answer) == [{"type": "text", "content": "Hello"}]
        again = f"{url}/stream/{answer.headers['x-stream-id']}/resume"
        for position, code in (("-1", 400), ("7", 410), ("1", 204)):
            assert (await client.get(again, params={"position": position})).status_code == code


async def text_of_run(websocket: WebSocketConnection) -> str:
    """Receive to the end of the run."""
    while True:
        message = await websocket.get_message()
        assert isinstance(message, str)
        event = decode_event(message.encode())
        if isinstance(event, RunFinish):
            return event.run.text


async def test_websocket_server(tmp_path: Path) -> None:
    script: Script = [[text("Hello"), finish()], [text("again"), finish()]]
    async with (
        serve("confused_ai/websocket_server", script, tmp_path) as line,
        open_websocket_url(f"ws://127.0.0.1:{int(line)}") as websocket,
    ):
        for said in ("Hello", "again"):
            await websocket.send_message('{"prompt": "hi"}')
            assert await text_of_run(websocket) == said


WRONG = ("{}", '{"text": "hi"}', '{"prompt": 1}', "[]", "hi", "", b"\xff", '{"x": ' + "[" * 99_999)


async def test_websocket_server_tells_only_the_client_that_is_wrong(tmp_path: Path) -> None:
    go_on = trio.Event()
    script: Script = [[text("Hello"), pause(go_on), text("!"), finish()], [text("again"), finish()]]
    async with serve("confused_ai/websocket_server", script, tmp_path) as line:
        url = f"ws://127.0.0.1:{int(line)}"
        async with open_websocket_url(url) as other, open_websocket_url(url) as websocket:
            await other.send_message('{"prompt": "hi"}')
            assert "run-start" in str(await other.get_message())
            for message in WRONG:
                await websocket.send_message(message)
                answer = json.loads(await websocket.get_message())
                assert (answer["type"], answer["error"]["code"]) == ("error", "bad-request")
            go_on.set()
            assert await text_of_run(other) == "Hello!"
            await websocket.send_message('{"prompt": "hi"}')
            assert await text_of_run(websocket) == "again"


async def test_websocket_server_outlives_a_client_that_leaves(tmp_path: Path) -> None:
    gone = trio.Event()
    script: Script = [[text("Hello"), pause(gone), text("!"), finish()], [text("again"), finish()]]
    async with serve("confused_ai/websocket_server", script, tmp_path) as line:
        url = f"ws://127.0.0.1:{int(line)}"
        async with open_websocket_url(url) as websocket:
            await websocket.send_message('{"prompt": "hi"}')
            while "Hello" not in str(await websocket.get_message()):
                pass
        gone.set()
        async with open_websocket_url(url) as websocket:
            await websocket.send_message('{"prompt": "hi"}')
            assert await text_of_run(websocket) == "again"
