"""What tests of the command share: running it to its end, a server, a conversation, a refusal."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import PIPE

import pytest
from process_kit import Process, open_process

from trio_agent import AnyEvent, RunFinish, RunSummary, Usage
from trio_agent.abc import Append, Entry, RunRecord, Store
from trio_agent.servers.cli import _main
from trio_agent.testing.openai import Script, ScriptedServer, open_scripted_openai

AGENTS = """
from trio_agent import Agent
one = Agent(name="one", model="m")
many = [Agent(name="two", model="m"), Agent(name="three", model="m")]
class inner:
    four = Agent(name="four", model="m")
print_out = None
"""


async def command(*arguments: str, cwd: Path, **env: str) -> tuple[int, str, str]:
    """Run it to its end; return its status and what it wrote."""
    async with open_process(*arguments, cwd=cwd, **env) as process:
        code = await process.process.wait()
        await process.finished()
        return code, process.stdout.decode(), process.stderr.decode()


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run it in-process: it has to refuse, with status 2; return what it says."""
    with pytest.raises(SystemExit) as caught:
        _main.main(arguments)
    assert caught.value.code == 2
    output = capsys.readouterr()
    assert output.out == ""
    return output.err


@asynccontextmanager
async def open_serve(
    script: Script, *arguments: str, cwd: Path, **env: str
) -> AsyncIterator[tuple[Process, ScriptedServer]]:
    async with open_scripted_openai(script) as provider:
        env = {"OPENAI_BASE_URL": provider.base_url, "OPENAI_API_KEY": "sk-secret-key", **env}
        async with open_process("serve", "--port", "0", *arguments, cwd=cwd, **env) as process:
            yield process, provider


@asynccontextmanager
async def open_chat(*arguments: str, cwd: Path, **env: str) -> AsyncIterator[Process]:
    async with open_process("chat", *arguments, cwd=cwd, stdin=PIPE, **env) as process:
        yield process


async def say(chat: Process, text: str) -> None:
    """Say it at the next prompt."""
    assert chat.process.stdin is not None
    await chat.process.stdin.send_all(text.encode())


async def heard(chat: Process, what: bytes, times: int) -> None:
    while chat.stdout.count(what) < times:
        await chat.news.wait()


async def prompts(chat: Process, n: int) -> None:
    """Wait until it asks for the n-th time."""
    while chat.stdout.count(b"> ") - chat.stdout.count(b"-> ") < n:
        await chat.news.wait()


async def ended(chat: Process) -> str:
    """Wait until it ends well; return what it said."""
    assert await chat.process.wait() == 0, chat.stderr
    await chat.finished()
    assert chat.stderr == b""
    return chat.stdout.decode()


def finish(reason: str = "stop") -> RunFinish:
    return RunFinish(at=0, run=RunSummary("r", "", 1, reason, Usage()))  # type: ignore[arg-type]


async def fill(store: Store, run_id: str, *events: AnyEvent, agent: str = "a") -> None:
    await store.create(RunRecord(run_id, "e", agent, 1_700_000_000_000))
    entries = [Entry.of(offset, event) for offset, event in enumerate(events, 1)]
    if entries:
        await store.append([Append(run_id, 1, entries)])
