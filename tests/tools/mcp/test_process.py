"""A server as a process of ours."""

import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

pytest.importorskip("mcp", reason="pip install 'trio-agent[mcp]'")

import anyio
from mcp.shared.message import SessionMessage
from mcp_kit import PATIENCE
from mcp_types import JSONRPCNotification, JSONRPCRequest

from trio_agent.tools.mcp import _process
from trio_agent.tools.mcp._process import open_process
from trio_agent.tools.mcp._where import Command


@asynccontextmanager
async def started(program: str, lost: list[str]) -> AsyncIterator[tuple]:
    where = Command(sys.executable, ("-c", program), {}, None)
    with trio.fail_after(PATIENCE):
        async with open_process("kit", where, lost.append) as streams:
            yield streams


NOTE = '{"jsonrpc": "2.0", "method": "note"}'
ECHO = "import sys\nfor line in sys.stdin: sys.stdout.write(line); sys.stdout.flush()"


@pytest.mark.parametrize(
    ("program", "messages", "end"),
    [
        (f"print('{NOTE}')", 1, "its process ended with status 0"),
        (f"print('{NOTE}' * 1); print('{NOTE}')", 2, "its process ended with status 0"),
        # Cut in the middle, and without an end.
        (f"import sys; sys.stdout.write('{NOTE}')", 0, "its process ended with status 0"),
        # What is no message.
        (f"print('Hello!'); print(); print('[]'); print('{NOTE}')", 1, "ended with status 0"),
        (
            f"import os; os.write(1, bytes([255, 254, 10])); print('{NOTE}')",
            1,
            "its process ended with status 0",
        ),
        ("import sys; sys.exit(9)", 0, "its process ended with status 9"),
        ("import os; os.kill(os.getpid(), 9)", 0, "its process was ended by signal 9"),
        (
            "import sys; sys.stdout.write('x' * (17 * 2**20))",
            0,
            "it sent a message of more than 16 MiB",
        ),
    ],
)
async def test_reads_messages(program: str, messages: int, end: str) -> None:
    lost: list[str] = []
    async with started(program, lost) as (reading, _):
        got = [each async for each in reading]
    assert [type(each.message) for each in got] == [JSONRPCNotification] * messages
    assert lost[0].endswith(end)


async def test_complains_once(caplog: pytest.LogCaptureFixture) -> None:
    async with started("print('hush'); print('hush')", []) as (reading, _):
        assert [each async for each in reading] == []
    assert len(caplog.records) == 1
    assert "what is no MCP message" in caplog.text
    assert "hush" not in caplog.text


async def test_what_closed_its_output_but_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_GRACE", 0.05)
    lost: list[str] = []
    program = "import os, sys; os.close(1); sys.stdin.read()"
    async with started(program, lost) as (reading, _):
        assert [each async for each in reading] == []
    assert lost == ["it closed its standard output"]


async def test_writes_whole_messages_whoever_is_cancelled() -> None:
    async with started(ECHO, []) as (reading, writing):
        large = {"text": "x" * 1_000_000}
        first = SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=1, method="large", params=large))
        second = SessionMessage(JSONRPCRequest(jsonrpc="2.0", id=2, method="small"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writing.send, first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        await writing.send(second)
        assert [(await reading.receive()).message for _ in range(2)] == [
            first.message,
            second.message,
        ]


async def test_writing_to_what_has_ended() -> None:
    async with started("", []) as (reading, writing):
        assert [each async for each in reading] == []
        message = SessionMessage(JSONRPCNotification(jsonrpc="2.0", method="note"))
        # The first one finds that nobody reads.
        await writing.send(message)
        with pytest.raises(anyio.BrokenResourceError):
            await writing.send(message)


@pytest.mark.parametrize(
    "program",
    [
        "import sys; print('@', flush=True); sys.stdin.read()",
        "import signal; print('@', flush=True); signal.pause()",
        "import signal; signal.signal(15, signal.SIG_IGN); print('@', flush=True); signal.pause()",
        "while True: print('@' * 1000, flush=True)",
    ],
    ids=["on the end of its input", "on SIGTERM", "on SIGKILL", "while it writes"],
)
async def test_ends_with_the_context(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_GRACE", 0.2)
    async with started(program, []) as (reading, _):
        process = reading._process
        await process.stdout.receive_some(1)
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)


async def test_what_it_leaves_behind_is_ended(tmp_path: Path) -> None:
    pipe = str(tmp_path / "pipe")
    os.mkfifo(pipe)
    async with trio.lowlevel.FdStream(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)) as held:
        program = (
            "import os, sys, time\n"
            f"held = open({pipe!r}, 'w')\n"
            "if not os.fork(): time.sleep(1000)\n"
            "print('@', flush=True); sys.stdin.read()"
        )
        async with started(program, []) as (reading, _):
            await reading._process.stdout.receive_some(1)
        with trio.fail_after(PATIENCE):
            # It comes to its end when nobody can write to it any more.
            assert await held.receive_some() == b""


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO])
async def test_standard_error(
    level: int, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(level, "trio_agent")
    program = "import sys; sys.stderr.write('one\\n' + 't' * 2000)"
    async with started(program, []) as (reading, _):
        assert [each async for each in reading] == []
        await trio.testing.wait_all_tasks_blocked()
    assert capfd.readouterr().err == ""
    said = "".join(record.message for record in caplog.records)
    if level == logging.DEBUG:
        assert said.startswith("MCP server kit: oneMCP server kit: ttt")
    else:
        assert said == ""
