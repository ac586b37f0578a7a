"""The subprocess that runs llama.cpp, and its end."""

import json
import logging
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
import msgspec
import trio

from .._http import open_transport
from .._nursery import open_plain_nursery
from ._errors import LocalModelUnavailable

logger = logging.getLogger("trio_agent.local")

# By its path instead of -m: it needs nothing of this package, so it starts faster.
PROGRAM = (sys.executable, "-P", str(Path(__file__).with_name("_server.py")))

_READY_SECONDS = 120.0
_END_SECONDS = 3.0  # it is deaf while llama.cpp loads the file
_MAX_LINE = 4096
_IDLE_SECONDS = 3.0
_SLOTS_SECONDS = 10.0
_MAX_SLOTS = 1 << 20


@attrs.frozen
class ServerConfig:
    """What to serve, and how.

    Args:
        path: of the GGUF file.
        name: of the model at the endpoint.
        chat_template: Jinja source; empty for the one in the file.
        context_size: tokens per conversation.
        parallel: conversations at one time; more of them wait.
        threads: that compute; by default as many as this process may use CPUs.
    """

    path: Path
    name: str
    chat_template: str = ""
    context_size: int = attrs.field(default=4096, validator=attrs.validators.gt(0))
    parallel: int = attrs.field(default=2, validator=attrs.validators.gt(0))
    threads: int = attrs.field(
        factory=lambda: len(os.sched_getaffinity(0)), validator=attrs.validators.gt(0)
    )


@attrs.frozen
class Endpoint:
    """Where the model is now."""

    base_url: str
    api_key: str = attrs.field(repr=False)


class LocalServer:
    """A running subprocess, which is replaced when it died or does not stop computing.

    Made by `open_local_server`.
    """

    def __init__(self, config: ServerConfig, program: Sequence[str], nursery: trio.Nursery) -> None:
        self._config = config
        self._program = program
        self._nursery = nursery
        # Any web page may send requests to a loopback port: this keeps them out.
        self._api_key = secrets.token_urlsafe(16)
        self._lock = trio.Lock()
        self._process: trio.Process | None = None
        self._url = ""
        self._requests = 0

    @property
    def base_url(self) -> str:
        """Where the OpenAI-compatible API is. Changes when the subprocess is replaced."""
        return f"{self._url}/v1"

    @property
    def model_name(self) -> str:
        """The model's name there."""
        return self._config.name

    @asynccontextmanager
    async def request(self) -> AsyncGenerator[Endpoint]:
        """Ask the model only within this context. Starts the subprocess anew if it has died.

        If the context is left with an exception, `Cancelled` above all, llama.cpp should stop
        computing when the connection closes. During the processing of a prompt it does not: if
        it still computes some seconds later and nobody else asks it, it is replaced.

        Raises:
            LocalModelUnavailable: it can't be started.
        """
        async with self._lock:
            if self._process is None or self._process.poll() is not None:
                await self._start()
            self._requests += 1
        finished = False
        try:
            yield Endpoint(self.base_url, self._api_key)
            finished = True
        finally:
            self._requests -= 1
            if not finished:
                self._nursery.start_soon(self._replace_if_stuck)

    async def busy_slots(self) -> int:
        """Return how many answers llama.cpp is working at; 0 if it can't be reached.

        A checkpoint; waits 10 seconds at most.
        """
        headers = {"Authorization": f"Bearer {self._api_key}"}
        async with (
            open_transport(self._url) as transport,
            transport.stream("GET", "/slots", headers=headers) as response,
        ):
            body = await response.receive_rest(seconds=_SLOTS_SECONDS, max_bytes=_MAX_SLOTS)
        try:
            return sum(slot.is_processing for slot in _decode_slots(body))
        except msgspec.DecodeError:
            return 0

    async def _replace_if_stuck(self) -> None:
        while True:
            await trio.sleep(_IDLE_SECONDS)
            if await self.busy_slots() <= self._requests:
                return
            async with self._lock:
                if not self._requests and self._process is not None:
                    logger.info("llama.cpp still computes for nobody: it is replaced")
                    self._process.kill()
                    await self._process.wait()
                    self._process = None
                    return

    async def _start(self) -> None:
        """Start the subprocess and wait until it is ready. If cancelled, it is killed."""
        self._process = None
        process: trio.Process = await self._nursery.start(
            partial(
                trio.run_process,
                self._program,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is ours
                deliver_cancel=_end,
                check=False,
            )
        )
        try:
            with trio.move_on_after(_READY_SECONDS):
                self._url = await _introduce(process, self._config, self._api_key)
                self._process = process
        finally:
            if self._process is None:
                process.kill()
        if self._process is None:
            raise LocalModelUnavailable(
                f"llama.cpp was not ready after {_READY_SECONDS:.0f} seconds"
            )


@asynccontextmanager
async def open_local_server(
    config: ServerConfig, *, program: Sequence[str] = PROGRAM
) -> AsyncGenerator[LocalServer]:
    """Serve a GGUF file on a loopback port by a subprocess that ends with the context.

    The subprocess ends with this process, too, even if that is killed. A checkpoint.

    Raises:
        LocalModelUnavailable: when entered, if `path` is no GGUF file, `xllamacpp` or a system
            library is missing, or llama.cpp can't load the file.
    """
    check_gguf(config.path)
    async with open_plain_nursery() as nursery:
        server = LocalServer(config, program, nursery)
        async with server.request():
            pass  # starts it
        yield server
        nursery.cancel_scope.cancel("the model is closed")


async def _end(process: trio.Process) -> None:
    """End a subprocess as the death of this process would: it loses its standard input."""
    assert process.stdin is not None
    await process.stdin.aclose()
    await trio.sleep(_END_SECONDS)  # is cancelled when it ends
    process.kill()


async def _introduce(process: trio.Process, config: ServerConfig, api_key: str) -> str:
    """Tell the subprocess what to do, and return the URL that it answers with."""
    assert process.stdin is not None
    assert process.stdout is not None
    settings = {**attrs.asdict(config), "path": str(config.path), "api_key": api_key}
    line = b""
    try:
        await process.stdin.send_all(json.dumps(settings).encode() + b"\n")
        while not line.endswith(b"\n") and len(line) < _MAX_LINE:
            data = await process.stdout.receive_some(_MAX_LINE)
            if not data:
                break
            line += data
    except trio.BrokenResourceError:
        pass
    word, _, rest = line.decode(errors="replace").strip().partition(" ")
    if word == "ready":
        return rest
    if word == "error":
        await process.wait()
        raise LocalModelUnavailable(rest)
    process.kill()
    status = await process.wait()
    raise LocalModelUnavailable(
        f"llama.cpp's process ended with status {status} before it was ready"
    )


def check_gguf(path: Path) -> None:
    """Look at the beginning of a file.

    Raises:
        LocalModelUnavailable: it can't be read, or is no GGUF file.
    """
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as exc:
        raise LocalModelUnavailable(f"can't read the model: {exc}") from exc
    if magic != b"GGUF":
        raise LocalModelUnavailable(f"{path} is no GGUF file")


class _Slot(msgspec.Struct):
    is_processing: bool


def _decode_slots(body: bytes) -> list[_Slot]:
    return msgspec.json.decode(body, type=list[_Slot])
