"""Servers that are there at once, however often they are killed.

A process that has imported all forks one for each: the command itself, with signals, sockets and
files of its own. As a program, this is that process.
"""

import json
import math
import os
import signal
import sys
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from subprocess import PIPE
from typing import NoReturn

import attrs
import trio
from process_kit import PATIENCE, Viewer, environment, free_port

from trio_agent._http.transport import TransportError
from trio_agent.client import Client, open_client


@attrs.define(eq=False)
class Forked:
    """A server, killed or not, at its addresses."""

    forks: "Forks"
    port: int
    ws_port: int
    arguments: Sequence[str]
    pid: int = 0
    """0: none is running."""
    status: int = 0
    """As `subprocess` has them, of the last one."""
    ready: trio.Event = attrs.field(factory=trio.Event)
    gone: trio.Event = attrs.field(factory=trio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.ws_port}"

    async def start(self) -> None:
        """Start it, again if it was killed; return when it serves."""
        self.gone = trio.Event()
        await self.forks.fork(self)
        await self.ready.wait()

    def not_ready(self) -> None:
        if self.ready.is_set():  # else somebody may wait for it already
            self.ready = trio.Event()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)

    async def kill(self) -> None:
        """End it with SIGKILL."""
        await self.end_by(signal.SIGKILL)

    async def end_by(self, number: int) -> None:
        """Send it a signal, and return when it is gone."""
        self.not_ready()
        self.send_signal(number)
        await self.gone.wait()


@attrs.define(eq=False)
class Forks:
    """The process that forks them."""

    process: trio.Process
    stderr: bytearray = attrs.field(factory=bytearray)
    """What they all have written there."""
    _by_port: dict[int, Forked] = attrs.field(factory=dict)
    _by_pid: dict[int, Forked] = attrs.field(factory=dict)
    _wanted: list[Forked] = attrs.field(factory=list)

    def server(self, store: str, *options: str, agents: str = "agents") -> Forked:
        """Return a server of agents of `process_agents` that is still to be started."""
        port, ws_port = free_port(), free_port()
        places = ["--port", str(port), "--ws-port", str(ws_port)]
        arguments = ["serve", *places, "--agent", f"process_agents:{agents}", "--store", store]
        server = self._by_port[port] = Forked(self, port, ws_port, [*arguments, *options])
        return server

    async def fork(self, server: Forked) -> None:
        assert self.process.stdin is not None
        self._wanted.append(server)
        await self.process.stdin.send_all(json.dumps(server.arguments).encode() + b"\n")

    async def listen(self) -> None:
        """Hear what the process, and the servers, tell."""
        assert self.process.stdout is not None
        line = b""
        async for data in self.process.stdout:
            *lines, line = (line + data).split(b"\n")
            for each in lines:
                self._heard(each.decode().split())

    def _heard(self, words: Sequence[str]) -> None:
        match words:
            case "forked", pid:
                server = self._by_pid[int(pid)] = self._wanted.pop(0)
                server.pid = int(pid)
            case "ready", address, *_:
                self._by_port[int(address.rpartition(":")[2])].ready.set()
            case "gone", pid, status:
                server = self._by_pid.pop(int(pid))
                server.pid, server.status = 0, int(status)
                server.not_ready()
                server.gone.set()

    async def collect(self) -> None:
        assert self.process.stderr is not None
        async for data in self.process.stderr:
            self.stderr += data

    def kill(self) -> None:
        """End all of them, and the process."""
        for pid in self._by_pid:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()


@asynccontextmanager
async def open_forks(
    cwd: Path, *, seconds: float = PATIENCE, env: Mapping[str, str] | None = None
) -> AsyncIterator[Forks]:
    """Open a process that forks servers, for so many seconds at most; leaving kills them."""
    with trio.fail_after(seconds):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(
                partial(
                    trio.run_process,
                    [sys.executable, __file__],
                    cwd=cwd,
                    env=environment(measured=False, **(env or {})),
                    stdin=PIPE,
                    stdout=PIPE,
                    stderr=PIPE,
                    check=False,
                )
            )
            forks = Forks(process)
            nursery.start_soon(forks.listen)
            nursery.start_soon(forks.collect)
            try:
                yield forks
            finally:
                forks.kill()
            nursery.cancel_scope.cancel()


@attrs.define(eq=False)
class Way:
    """The ways to a server."""

    server: Forked
    http: Client
    websocket: Client

    async def view(self, viewer: Viewer) -> None:
        """Start a run, unless another viewer has, and see it to its end."""
        await self.start(viewer)
        await viewer.follow(self.http)

    async def view_over_websocket(self, viewer: Viewer) -> None:
        await self.start(viewer)
        await viewer.follow(self.websocket)

    async def start(self, viewer: Viewer) -> None:
        """Start the run of a viewer, however often the server is killed meanwhile."""
        while not viewer.run_id:
            await self.server.ready.wait()
            with suppress(TransportError):
                viewer.run_id = await self.http.start(
                    viewer.prompt, agent=viewer.agent, idempotency_key=viewer.key
                )


@asynccontextmanager
async def open_ways(servers: Sequence[Forked]) -> AsyncIterator[Sequence[Way]]:
    """Open the ways to these servers. Nobody gives up, however often they are killed."""
    async with AsyncExitStack() as stack:

        async def client(url: str) -> Client:
            return await stack.enter_async_context(open_client(url, patience=math.inf))

        yield [
            Way(server, await client(server.url), await client(server.ws_url)) for server in servers
        ]


def _say(*words: object) -> None:
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


def _reap(*_: object) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
            _say("gone", ended[0], os.waitstatus_to_exitcode(ended[1]))


def _serve(line: bytes) -> NoReturn:
    from trio_agent.servers.cli import main

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    status: object = 1
    try:
        main(json.loads(line))
    except SystemExit as exc:
        status = exc.code or 0
    except BaseException:  # noqa: ASYNC103 - it is the end of this process
        traceback.print_exc()
    finally:
        os._exit(status if isinstance(status, int) else 1)


def _import_all() -> None:
    import process_agents  # noqa: F401

    from trio_agent.servers.cli import main  # noqa: F401
    from trio_agent.servers.http import _hypercorn  # noqa: F401

    with suppress(ImportError):
        import glide  # noqa: F401


def _main() -> None:
    _import_all()
    signal.signal(signal.SIGCHLD, _reap)
    for line in iter(sys.stdin.buffer.readline, b""):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
        pid = os.fork()
        if not pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            _serve(line)
        _say("forked", pid)  # before it can be said that it is gone
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})


if __name__ == "__main__":
    _main()
