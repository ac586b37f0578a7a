"""A run of a store, seen from beside the servers that work on it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from .._cluster.follower import Follower
from .._log.store import Store
from .._nursery import expect_trio, open_plain_nursery
from .._run.postbox import Postbox
from .._run.run import Run
from .._run.stored_run import StoredRun


@asynccontextmanager
async def open_run(store: Store, run_id: str) -> AsyncIterator[Run[Any]]:
    """Open a store and find a run in it, to watch, answer, tell or cancel it, but not to work on.

    For programs beside a server, such as with ``SQLiteStore(path, follow=True)``. Whoever watches
    so is not counted as a viewer. What a run is told is in its log when somebody works on it: if
    nobody does, `Run.answer` and `Run.say` wait for that, and cancelling them undoes nothing.

    Args:
        store: where the run is; it is open for as long as the context lasts.
        run_id: names it.

    Raises:
        UnknownRun: the store has none with this id.
        CursorExpired: not any more.
        StoreUnavailable: the store can't be opened, or can't tell.
    """
    expect_trio()
    async with store.open(), store.watch() as watch, open_plain_nursery() as nursery:
        follower = Follower(store, watch, _no_own)
        nursery.start_soon(follower.run)
        info = await store.info(run_id)
        yield StoredRun(
            info.record,
            follower.feed(info),
            store,
            Postbox(store, lambda _: None),
            lambda *what: nursery.start_soon(store.request_cancel, *what),
            last=info.last,
            parked=info.parked,
        )
        nursery.cancel_scope.cancel(reason="nobody looks at the run any more")


async def _no_own(_: str) -> None:
    raise AssertionError("no run lives here")
