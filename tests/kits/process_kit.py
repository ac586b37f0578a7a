"""What tests of real processes share: the command, servers that are killed, viewers that go on."""

import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import Any

import attrs
import trio
from log_kit import check_log
from server_kit import SOON, Client as RawClient
from store_kit import whole_log

from trio_agent import RunError, RunFinish
from trio_agent._http.transport import TransportError
from trio_agent.abc import Store
from trio_agent.client import Client, RemoteEvent

PATIENCE = 2 * SOON
"""Seconds for processes, which start slowly on a busy machine."""


def environment(*, measured: bool = True, **more: str) -> dict[str, str]:
    """Return that of a process, with nothing that whoever runs the tests has set for us.

    Args:
        measured: with its coverage, if the tests' own is measured. A process that is killed can't
            tell its coverage; measuring it would only make it slow.
        more: what is set beside that.
    """
    ours = ("TRIO_AGENT_", "OPENAI_")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**(clean if measured else unmeasured(clean)), **more}


def unmeasured(env: Mapping[str, str]) -> dict[str, str]:
    """Return an environment whose processes do not measure their coverage."""
    return {name: value for name, value in env.items() if not name.startswith("COVERAGE_PROCESS_")}


# Processes that run tests side by side begin far enough from each other.
_ports = iter(range(20_000 + os.getpid() * 100 % 12_000, 32_768))


def free_port() -> int:
    """Return a port to restart servers on: none that a client's end of a connection may have."""
    for port in _ports:
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")


@attrs.define
class Process:
    process: trio.Process
    stdout: bytearray = attrs.field(factory=bytearray)
    stderr: bytearray = attrs.field(factory=bytearray)
    news: trio.Event = attrs.field(factory=trio.Event)
    ended: set[int] = attrs.field(factory=set)

    async def collect(self, stream: Any, into: bytearray) -> None:
        async for data in stream:
            into += data
            self._tell()
        self.ended.add(id(into))
        self._tell()

    def _tell(self) -> None:
        self.news.set()
        self.news = trio.Event()

    async def until(self, what: bytes, output: bytearray) -> None:
        while what not in output:
            assert id(output) not in self.ended, (self.stdout, self.stderr)
            await self.news.wait()

    async def finished(self) -> None:
        """Wait for all of its output."""
        while len(self.ended) < 2:
            await self.news.wait()

    async def url(self) -> str:
        """Wait for the ready line."""
        await self.until(b"\n", self.stdout)
        return self.stdout.split()[1].decode()

    async def connect(self) -> RawClient:
        host, port = (await self.url()).removeprefix("http://").split(":")
        return RawClient(await trio.open_tcp_stream(host, int(port)), f"{host}:{port}")

    async def kill(self) -> None:
        """End it with SIGKILL."""
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        """Stop it with SIGSTOP, and return when it stands still."""
        self.process.send_signal(signal.SIGSTOP)
        await trio.to_thread.run_sync(os.waitid, os.P_PID, self.process.pid, os.WSTOPPED)


@asynccontextmanager
async def open_process(
    *arguments: str,
    cwd: Path,
    stdin: bytes | int = b"",
    stderr: int = PIPE,
    seconds: float = PATIENCE,
    measured: bool = True,
    **env: str,
) -> AsyncIterator[Process]:
    """Run the command, for so many seconds at most; leaving kills what is still there."""
    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    [sys.executable, "-m", "trio_agent", *arguments],
                    cwd=cwd,
                    env=environment(measured=measured, **env),
                    stdin=stdin,
                    stdout=PIPE,
                    stderr=stderr,
                    check=False,
                )
            )
            handle = Process(process)
            nursery.start_soon(handle.collect, process.stdout, handle.stdout)
            if process.stderr is not None:
                nursery.start_soon(handle.collect, process.stderr, handle.stderr)
            yield handle
            process.kill()
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_server(
    store: str, *arguments: str, port: int = 0, cwd: Path, seconds: float = PATIENCE
) -> AsyncIterator[Process]:
    """Serve the agents of `process_agents`; ready when entered."""
    options = ["--port", str(port), "--agent", "process_agents:agents", "--store", store]
    tests = str(Path(__file__).parent)
    async with open_process(
        "serve",
        *options,
        *arguments,
        cwd=cwd,
        seconds=seconds,
        measured=False,
        PYTHONPATH=tests,
    ) as process:
        await process.url()
        yield process


async def logged(store: Store, run_id: str) -> list[tuple[str, str]]:
    """Return the cursors and the JSON of all events of a log."""
    epoch = (await store.info(run_id)).record.epoch
    entries = await whole_log(store, run_id)
    return [(f"{run_id}.{epoch}.{entry.offset}", entry.data.decode()) for entry in entries]


@attrs.define(eq=False)
class Viewers:
    """Viewers that follow a run each, over whatever happens to their server."""

    client: Client
    viewers: list["Viewer"] = attrs.field(factory=list)
    up: trio.Event = attrs.field(factory=trio.Event)
    """Set while the server can be expected to be there."""
    news: trio.Event = attrs.field(factory=trio.Event)

    def add(self, key: str, prompt: str, agent: str = "paced") -> "Viewer":
        viewer = Viewer(self, key, prompt, agent)
        self.viewers.append(viewer)
        return viewer

    def tell(self) -> None:
        self.news.set()
        self.news = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            await self.news.wait()

    async def until_moment(self, viewers: Sequence["Viewer"], count: int) -> None:
        """Wait until these have seen so many events, or all that there are."""
        await self.until(
            lambda: (
                sum(len(viewer.events) for viewer in viewers) >= count
                or all(viewer.ended for viewer in viewers)
            )
        )


@attrs.define(eq=False)
class Viewer:
    """Starts a run, and sees it to its end."""

    group: Viewers
    key: str
    prompt: str
    agent: str
    run_id: str = ""
    events: list[RemoteEvent] = attrs.field(factory=list)
    reconnects: int = 0

    @property
    def ended(self) -> bool:
        return bool(self.events) and self.events[-1].terminal

    async def run(self, follow_with: Client | None = None) -> None:
        """Do all of it."""
        while not self.run_id:
            await self.group.up.wait()
            # It may be killed in this moment: the key makes it one run.
            with suppress(TransportError):
                self.run_id = await self.group.client.start(
                    self.prompt, agent=self.agent, idempotency_key=self.key
                )
        await self.follow(follow_with or self.group.client)

    async def follow(self, client: Client) -> None:
        async with client.subscribe(self.run_id) as events:
            async for event in events:
                self.events.append(event)
                self.reconnects = events.reconnects
                self.group.tell()

    async def check(self, store: Store) -> str:
        """Compare what was seen with the log; return how the run ended."""
        seen = [(event.cursor, event.data) for event in self.events]
        assert seen == await logged(store, self.run_id)
        said = [each for event in self.events if (each := event.event) is not None]
        check_log(said)
        if isinstance(said[-1], RunError):
            return said[-1].error.code
        assert isinstance(said[-1], RunFinish)
        return said[-1].run.finish_reason
