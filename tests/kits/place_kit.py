"""Two ways to runs whose servers are killed: over one server with SQLite, over two with Valkey."""

import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import attrs
from process_forks import Forks, Way, open_forks, open_ways
from process_kit import Viewer

from trio_agent import SQLiteStore, ValkeyStore
from trio_agent.abc import Store

LEASE = ("--lease", "1")
STORES = ("sqlite", "valkey")


@attrs.frozen(eq=False)
class Place:
    """Two ways to runs: over the same server with SQLite, over two with Valkey."""

    forks: Forks
    first: Way
    second: Way
    folder: Path
    open_store: Callable[[], Store]
    """Opens the store beside the servers."""

    async def replace(self, number: int = signal.SIGKILL) -> None:
        """End the first server; then there is the second one."""
        await self.first.server.end_by(number)
        if not self.second.server.pid:
            await self.second.server.start()

    async def check(self, viewer: Viewer) -> str:
        store = self.open_store()
        async with store.open():
            return await viewer.check(store)


@asynccontextmanager
async def open_place(valkey: str | None, folder: Path, grace: str) -> AsyncIterator[Place]:
    """Open it over this Valkey, or over SQLite, with its servers started.

    `grace` is the seconds that runs may go on behind SIGTERM.
    """
    if valkey is None:
        path = folder / "runs.db"
        name, count = f"sqlite:{path}", 1
        open_store: Callable[[], Store] = partial(SQLiteStore, path, follow=True)
    else:
        name, count = valkey, 2
        open_store = partial(ValkeyStore, name)
    async with open_forks(folder) as forks:
        options = [*LEASE, "--grace", grace]
        servers = [forks.server(name, *options) for _ in range(count)]
        async with open_ways(servers) as ways:
            for server in servers:
                await server.start()
            yield Place(forks, ways[0], ways[-1], folder, open_store)
            assert b"Traceback" not in forks.stderr, forks.stderr.decode()
