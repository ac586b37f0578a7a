"""A server of our own, in a process of its own.

It asks for a token that this process makes up: a loopback address is there for every user of the
machine, and the store may hold what they are not to read. Who has the token is nobody in
particular, as where none is asked for, so that other servers of the store find the same runs.
"""

import codecs
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from subprocess import PIPE
from typing import Final

import attrs
import trio

from trio_agent import ModelError
from trio_agent.abc import Model, open_plain_nursery
from trio_agent.client import Client, open_client
from trio_agent.local import LocalModel, fetch_weights, show_progress

from ._options import PREFIX
from ._say import Stderr, put, say
from ._text import printable
from ._usage import UsageError

OWN_TOKEN: Final = f"{PREFIX}OWN_TOKEN"
"""The variable that says it to a server: others can read what a command line says."""

TOKEN: Final = secrets.token_urlsafe()
"""What all servers that this process starts ask for, so that one can take another's place."""

_PROGRAM: Final = "trio_agent.servers.cli._own_server"

_NOT_INHERITED: Final = tuple(
    f"{PREFIX}{name}" for name in ("AGENT", "HOST", "ROOT_PATH", "STORE", "TOKENS", "WS_PORT")
)
"""Settings of servers for others; ours is on loopback, for us."""

_IN_USE: Final = "is in use by another server"
"""What a server says then."""

_READY: Final = 120.0
"""Seconds that the model may take to be ready."""

_SILENT: Final = 1.0
"""Seconds of waiting after which we look what for, and tell."""

_KEPT: Final = 64 << 10
"""Bytes of what a server says that are kept to be shown if it fails."""


@asynccontextmanager
async def open_server(
    model: Model | None,
    *,
    agents: Sequence[str] = (),
    settings: Mapping[str, str | None],
    verbose: bool = False,
    hint: str = "",
) -> AsyncIterator[Client]:
    """Start a server on a free port, wait until it is ready, and yield a client of it.

    Arguments and errors as for `open_process`.
    """
    process = open_process(model, agents=agents, settings=settings, verbose=verbose, hint=hint)
    async with process as server, open_client(server.url, token=TOKEN) as client:
        await server.until_ready(client)
        yield client


@asynccontextmanager
async def open_process(
    model: Model | None,
    *,
    agents: Sequence[str] = (),
    port: int = 0,
    settings: Mapping[str, str | None],
    verbose: bool = False,
    hint: str = "",
) -> AsyncIterator["ServerProcess"]:
    """Start a server, which listens when the context is entered.

    Args:
        model: what `settings` name, None if agents have their own. It is waited for, unless it
            refuses for good; the weights of the embedded one are downloaded.
        agents: as for ``--agent``; by default the default agent.
        port: where it listens; by default where nobody does.
        settings: environment variables; those that are None are left as they are.
        verbose: whether what the server says is shown at once. Otherwise it is shown if the
            server does not start, is not ready, or ends before it is told to.
        hint: what is said, too, if it does not start because another server has its file.

    Raises:
        UsageError: the server did not start, or its model can't be reached.
    """
    if isinstance(model, LocalModel) and model.path is None:
        await fetch_weights(progress=show_progress(Stderr()))
    await _problem_of(model)
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_INHERITED}
    given = {name: value for name, value in settings.items() if value}
    environment = {**inherited, **given, OWN_TOKEN: TOKEN}
    # -P: what lies in the current folder is data, not code of ours.
    command = [sys.executable, "-P", "-m", _PROGRAM, "--port", str(port)]
    for agent in agents:
        command += ["--agent", agent]
    async with open_plain_nursery() as nursery:
        # In a session of its own, so that Ctrl-C in the terminal is ours to handle.
        start = partial(
            trio.run_process,
            command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env=environment,
            check=False,
            start_new_session=True,
        )
        process: trio.Process = await nursery.start(start)
        said = _Said(verbose)
        nursery.start_soon(said.collect, process)
        try:
            server = ServerProcess(await _ready_url(process, said, hint), process, model, said)
            yield server
        finally:
            if process.poll() is not None and not said.killed:
                said.show()
            # The server drains and leaves by itself; what it says of that is news to nobody.
            said.listening.cancel(reason="the server is not needed any more")
            process.terminate()


async def _problem_of(model: Model | None) -> str | None:
    """Say why a model can't be reached now; None if it can, or if only the server knows it.

    Raises:
        UsageError: it will not get better by itself.
    """
    if model is None:
        return None
    try:
        await model.check()
    except (ModelError, ValueError, ImportError) as exc:
        if getattr(exc, "retryable", False):
            return str(exc)
        raise UsageError(f"the model can't be used: {exc}") from exc
    return None


class _Said:
    """What a server says on its standard error."""

    def __init__(self, verbose: bool) -> None:
        self.listening = trio.CancelScope()
        self.all = trio.Event()
        """Set behind the last word."""
        self.killed = False
        """Whether it was we who ended it, so that it has nothing to say."""
        self._verbose = verbose
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._kept = ""

    async def collect(self, process: trio.Process) -> None:
        assert process.stderr is not None
        with self.listening:
            async for data in process.stderr:
                self._kept = (self._kept + self._decoder.decode(data))[-_KEPT:]
                if self._verbose:
                    self.show()
        self.all.set()

    def tells(self, what: str) -> bool:
        """Whether this was said, and not shown yet."""
        return what in self._kept

    def show(self) -> None:
        """Show what was not shown yet."""
        put(printable(self._kept))
        self._kept = ""


@attrs.frozen
class ServerProcess:
    """A server that listens, and asks for `TOKEN`."""

    url: str
    _process: trio.Process
    _model: Model | None
    _said: _Said

    async def kill(self) -> None:
        """End it with SIGKILL, of which it knows nothing. A checkpoint."""
        self._said.killed = True
        self._process.kill()
        await self._process.wait()

    async def until_ready(self, client: Client) -> None:
        """Wait until its model is ready. A checkpoint.

        Raises:
            UsageError: it will not be.
        """
        problem: str | None = "it did not answer"
        told, look_again = False, trio.current_time() + _SILENT
        with trio.move_on_after(_READY):
            while (problem := await client.not_ready()) is not None:
                if trio.current_time() > look_again:
                    reason = await _problem_of(self._model) or problem
                    if not told:
                        say(f"waiting, {_READY:g} s at most: {reason}")
                    told, look_again = True, trio.current_time() + _SILENT
                await trio.sleep(0.2)
        if problem is not None:
            self._said.show()
            raise UsageError(f"the server is not ready: {problem}")


async def _ready_url(process: trio.Process, said: _Said, hint: str) -> str:
    assert process.stdout is not None
    line = b""
    while not line.endswith(b"\n") and (data := await process.stdout.receive_some()):
        line += data
    if not line:
        await said.all.wait()
        await process.wait()
        told = hint if said.tells(_IN_USE) else ""
        said.show()
        raise UsageError(f"the server did not start; see above{told}")
    return line.split()[1].decode()
