"""The programs of README.md, run as they stand there."""

import json
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from subprocess import PIPE

import httpx
import trio
from server_kit import SOON
from trio_websocket import open_websocket_url

from trio_agent import RunFinish
from trio_agent.testing.openai import (
    Script,
    finish,
    open_scripted_openai,
    pause,
    text,
    tool_call,
    usage,
)
from trio_agent.wire import SSEDecoder, decode_event

README = Path(__file__).parent.parent / "README.md"
PROGRAMS = dict(
    re.findall(r"<!-- test: ([a-z-]+) -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
)


async def run_program(name: str, script: Script, tmp_path: Path) -> str:
    """Return what the program wrote."""
    file = tmp_path / f"{name.replace('-', '_')}.py"
    file.write_text(PROGRAMS[name])
    with trio.fail_after(3 * SOON):
        async with open_scripted_openai(script) as server:
            env = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"}
            command = [sys.executable, "-W", "error", str(file)]
            done = await trio.run_process(
                command,
                env=env,
                cwd=tmp_path,
                capture_stdout=True,
                capture_stderr=True,
                check=False,
            )
    assert (done.returncode, done.stderr) == (0, b"")
    return str(done.stdout.decode())


def test_which_programs_there_are() -> None:
    assert set(PROGRAMS) == {
        "first-program",
        "runtime",
        "seed-sse",
        "seed-websocket",
        "testing",
    }
    assert README.read_text().count("<!-- test:") == len(PROGRAMS)


async def test_first_program(tmp_path: Path) -> None:
    script = [
        [text("A nursery "), text("waits."), finish()],
        [
            tool_call("c1", "get_weather", ['{"city": ', '"Oslo"}']),
            finish("tool_calls"),
            usage(5, 2),
        ],
        [text("Snow in "), text("Oslo."), finish(), usage(9, 3)],
    ]
    output = await run_program("first-program", script, tmp_path)
    assert output == (
        "A nursery waits.\n[get_weather {'city': 'Oslo'}]\nSnow in Oslo.\n2 steps, 19 tokens\n"
    )


async def test_runtime(tmp_path: Path) -> None:
    script = [[text("Once "), text("upon "), pause(trio.Event())]]
    first, batch, receipt = (await run_program("runtime", script, tmp_path)).splitlines()
    assert first.startswith("RunStart(")
    assert "RunStart" not in batch
    assert batch.startswith("[StepStart(")
    assert receipt.startswith("Receipt(outcome='cancelled'")


@asynccontextmanager
async def serving(name: str, script: Script, tmp_path: Path) -> AsyncIterator[str]:
    """Run a program that serves; yield its first line."""
    file = tmp_path / f"{name.replace('-', '_')}.py"
    file.write_text(PROGRAMS[name])
    with trio.fail_after(3 * SOON):
        async with open_scripted_openai(script) as server, trio.open_nursery() as nursery:
            env = {**os.environ, "OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "sk-test"}
            start = partial(
                trio.run_process, [sys.executable, str(file)], stdout=PIPE, env=env, check=False
            )
            process: trio.Process = await nursery.start(start)
            assert process.stdout is not None
            line = b""
            while not line.endswith(b"\n"):
                data = await process.stdout.receive_some()
                assert data, "it ended"
                line += data
            yield line.decode()
            nursery.cancel_scope.cancel()


async def test_seed_sse(tmp_path: Path) -> None:
    script = [[text("Hel"), text("lo"), tool_call("c1", "wave", ["{}"]), finish("tool_calls")]]
    script += [[text("!"), finish()]]
    async with serving("seed-sse", script, tmp_path) as line, httpx.AsyncClient() as client:
        [url] = json.loads(line)
        answer = await client.get(f"{url}/stream", params={"prompt": "hi"})
        events = SSEDecoder().feed(answer.content)
        assert [json.loads(event.data) for event in events] == [
            {"type": "text", "content": "Hel"},
            {"type": "text", "content": "lo"},
            {"type": "tool_call", "content": {"name": "wave"}},
            {"type": "text", "content": "!"},
        ]
        again = f"{url}/stream/{answer.headers['x-stream-id']}/resume"
        resumed = await client.get(again, params={"position": 2})
        assert SSEDecoder().feed(resumed.content) == events[2:]


async def test_seed_websocket(tmp_path: Path) -> None:
    script = [[text("Hello"), finish()], [text("again"), finish()]]
    async with (
        serving("seed-websocket", script, tmp_path) as line,
        open_websocket_url(f"ws://127.0.0.1:{int(line)}") as websocket,
    ):
        for said in ("Hello", "again"):
            await websocket.send_message('{"prompt": "hi"}')
            events = []
            while not events or not events[-1].terminal:
                event = decode_event((await websocket.get_message()).encode())
                assert event is not None
                events.append(event)
            assert isinstance(events[-1], RunFinish)
            assert events[-1].run.text == said


async def test_testing(tmp_path: Path) -> None:
    number, _, places = (await run_program("testing", [], tmp_path)).partition(" ")
    assert int(number) > 20
    assert places == "places\n"
