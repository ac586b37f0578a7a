"""docs/first-steps.md"""

import json
from pathlib import Path

import httpx
import pytest
from local_fakes import make_xllamacpp
from process_kit import open_process
from program_kit import EXAMPLES, run_example

from trio_agent import RunFinish
from trio_agent.testing.openai import (
    Answer,
    finish,
    open_scripted_openai,
    text,
    tool_call,
    usage,
)
from trio_agent.wire import SSEDecoder, decode_event


def weather() -> list[Answer]:
    """A question, a tool call, and the answer."""
    return [
        [tool_call("c1", "get_weather", '{"city": "Oslo"}'), finish("tool_calls"), usage(5, 2)],
        [text("Snow in "), text("Oslo."), finish(), usage(9, 3)],
    ]


async def test_hello(tmp_path: Path) -> None:
    script = [[text("A nursery "), text("waits."), finish()]]
    assert await run_example("first_steps/hello", script, tmp_path) == "A nursery waits.\n"


async def test_weather(tmp_path: Path) -> None:
    assert await run_example("first_steps/weather", weather(), tmp_path) == (
        "-> get_weather({'city': 'Oslo'})\n"
        "<- ok: Oslo: -3 degrees, snow\n"
        "Snow in Oslo.\n"
        "[stop: 19 tokens]\n"
    )


async def test_endpoint(tmp_path: Path) -> None:
    async with open_scripted_openai([[text("A bound."), finish()]]) as server:
        output = await run_example("first_steps/endpoint", [], tmp_path, server.base_url)
    assert output == "A bound.\n"
    [request] = server.requests
    assert (request.body["model"], request.body["temperature"]) == ("llama3.2", 0)


async def test_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a file of one's own, and with a stand-in for llama.cpp that answers from that file."""
    make_xllamacpp(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    said = [{"content": "Hello"}, {"content": "!"}, {}]
    answer = [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in said
    ]
    file = tmp_path / "model.gguf"
    file.write_bytes(b"GGUF" + json.dumps({"without_tools": answer}).encode())
    assert await run_example("first_steps/local", [], tmp_path, str(file)) == "Hello!\n"


async def test_story(tmp_path: Path) -> None:
    script = [[text("Once "), text("upon "), text("a time."), finish()]]
    assert await run_example("first_steps/story", script, tmp_path) == (
        "Once \n-- nobody watches --\nupon a time.\n[stop]\n"
    )


async def test_the_server_in_one_command() -> None:
    async with (
        open_scripted_openai(weather()) as provider,
        open_process(
            *("serve", "--agent", "weather:agent", "--port", "0"),
            cwd=EXAMPLES / "first_steps",
            OPENAI_BASE_URL=provider.base_url,
            OPENAI_API_KEY="sk-test",
        ) as server,
        httpx.AsyncClient(base_url=await server.url(), trust_env=False) as client,
    ):
        answer = await client.post(
            "/runs",
            json={"prompt": "What is the weather in Oslo?"},
            headers={"accept": "text/event-stream"},
        )
        last = decode_event(SSEDecoder().feed(answer.content)[-1].data.encode())
        assert isinstance(last, RunFinish)
        assert (last.run.text, last.run.steps) == ("Snow in Oslo.", 2)
        position = {"position": 4}
        resumed = await client.get(f"/stream/{last.run.id}/resume", params=position)
        assert SSEDecoder().feed(resumed.content) == SSEDecoder().feed(answer.content)[4:]
