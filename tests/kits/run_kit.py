"""Runs that no runtime has: live ones and stored ones, over a feed of the test's own."""

from collections.abc import Callable

from store_kit import record

from trio_agent._limits import OnDisconnect
from trio_agent._log.feed import Feed
from trio_agent._log.run_info import RunInfo
from trio_agent._log.store import Store
from trio_agent._run.inbox import Inbox
from trio_agent._run.live_run import LiveRun
from trio_agent._run.postbox import Postbox
from trio_agent._run.stored_run import StoredRun
from trio_agent.stores._memory import MemoryStore


def live_run(
    feed: Feed, policy: OnDisconnect = "continue", *, store: Store | None = None
) -> LiveRun:
    store = MemoryStore() if store is None else store
    return LiveRun(
        record(feed.run_id),
        feed,
        store,
        Postbox(store, lambda _: None),
        Inbox(store, feed.run_id),
        on_disconnect=policy,
        retractable=True,
    )


def stored_run(
    info: RunInfo,
    feed: Feed,
    store: Store,
    request_cancel: Callable[[str, str], None] = lambda *_: None,
) -> StoredRun:
    postbox = Postbox(store, lambda _: None)
    return StoredRun(
        info.record,
        feed,
        store,
        postbox,
        request_cancel,
        last=info.last,
        parked=info.parked,
    )
