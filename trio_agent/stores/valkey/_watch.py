"""News from Valkey: control streams are followed, and told to all watches of a store."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

import trio

from ..._errors import StoreUnavailable
from ..._log.store import Watch
from ..._log.trouble import Trouble
from .._watch import NewsWatch
from ._client import ValkeyClient, ValkeyConnector
from ._keys import Keys
from ._script import NEWS, Call
from ._scripts import FOLLOW, NEWEST_NEWS

if TYPE_CHECKING:
    from ._client import Glide

_BLOCK: Final = 5.0
"""Seconds after which a tail that has heard nothing asks again."""

_PAUSE: Final = 0.1
"""Seconds before what failed is tried again."""


class NewsDesk:
    """Where the watches of one store in this process get their news.

    That a log has grown is written to a control stream only while somebody follows the run. Who
    watches a run with its log says so in the run, and again before it lapses.

    Args:
        client: for calls.
        connector: for tails, each of which blocks its connection.
        keys: what the control streams are called.
        lease: seconds that following a run holds.
        patience: seconds that opening a watch may take.
        nursery: where tails live.
    """

    def __init__(
        self,
        client: ValkeyClient,
        connector: ValkeyConnector,
        keys: Keys,
        nursery: trio.Nursery,
        *,
        lease: float,
        patience: float,
    ) -> None:
        self._client = client
        self._connector = connector
        self._keys = keys
        self._nursery = nursery
        self._lease = lease
        self._patience = patience
        self._watches: set[_FollowingWatch] = set()
        self._unfollowed: set[str] = set()
        self._wake = trio.Event()
        self._tails: Sequence[_Tail] = ()
        self._trouble = Trouble("logs could not be followed")

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        """Open a watch; see `Store.watch`."""
        if not self._tails:
            self._open_tails()
        with trio.move_on_after(self._patience) as waiting:
            for tail in self._tails:
                await tail.ready.wait()
        if waiting.cancelled_caught:
            raise StoreUnavailable(
                f"{self._connector.address}: no news within {self._patience:g} s"
            )
        watch = _FollowingWatch(self)
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            watch.close()

    def _open_tails(self) -> None:
        streams = [partition.news for partition in self._keys.partitions]
        # In a cluster, one command can't read two slots; and the first to block blocks the rest.
        together = [[each] for each in streams] if self._connector.address.cluster else [streams]
        self._tails = [_Tail(self, self._client, each) for each in together]
        for tail in self._tails:
            self._nursery.start_soon(tail.run, self._connector)

    def notify(self, run_id: str, *, log: bool) -> None:
        """Tell all watches of a run's news."""
        for watch in self._watches:
            watch.notify(run_id, log=log)

    def notify_all(self) -> None:
        """Tell all watches that they may have missed something."""
        for watch in self._watches:
            watch.notify_all()

    def follow(self, run_id: str) -> None:
        """Let the growing of this run's log be news soon."""
        self._unfollowed.add(run_id)
        self._wake.set()

    async def keep_following(self) -> None:
        """Follow the logs that are watched. Never returns."""
        milliseconds = str(round(self._lease * 1000))
        renewal = trio.current_time()
        while True:
            with trio.move_on_at(renewal):
                await self._wake.wait()
            self._wake = trio.Event()
            run_ids = set(self._unfollowed)
            if trio.current_time() >= renewal:
                run_ids.update(*(watch.followed for watch in self._watches))
                renewal = trio.current_time() + self._lease / 3
            calls = [
                Call(FOLLOW, [self._keys.of_run(run_id).run], [milliseconds]) for run_id in run_ids
            ]
            try:
                without_gap = await self._client.call_all(calls)
            except Exception as exc:
                # Whether they were followed meanwhile can't be known.
                if not isinstance(exc, StoreUnavailable):
                    self._trouble.tell(exc)
                self._unfollowed |= run_ids
                renewal = trio.current_time() + _PAUSE
                continue
            for run_id, followed in zip(run_ids, without_gap, strict=True):
                if run_id in self._unfollowed or not followed:
                    self._unfollowed.discard(run_id)
                    self.notify(run_id, log=True)


class _FollowingWatch(NewsWatch):
    def __init__(self, desk: NewsDesk) -> None:
        super().__init__()
        self._desk = desk
        self.followed: set[str] = set()

    def add(self, run_id: str, *, log: bool = True) -> None:
        super().add(run_id, log=log)
        if log:
            self.followed.add(run_id)
            self._desk.follow(run_id)
        else:
            self.followed.discard(run_id)

    def discard(self, run_id: str) -> None:
        super().discard(run_id)
        self.followed.discard(run_id)


class _Tail:
    """Follows some control streams, on a connection of its own."""

    def __init__(self, desk: NewsDesk, client: ValkeyClient, streams: Sequence[str]) -> None:
        self.ready = trio.Event()
        """From here on, nothing is missed that isn't told by `notify_all`."""
        self._desk = desk
        self._client = client
        self._streams = streams
        self._trouble = Trouble("news could not be read")

    async def run(self, connector: ValkeyConnector) -> None:
        """Follow them whatever happens. Never returns."""
        import glide

        while True:
            try:
                async with connector.open() as connection:
                    while True:
                        try:
                            await self._follow(connection)
                        except (StoreUnavailable, glide.GlideError):
                            await trio.sleep(_PAUSE)
            except Exception as exc:
                self._trouble.tell(exc)
                await trio.sleep(_PAUSE)

    async def _follow(self, connection: "Glide") -> None:
        import glide

        newest = await self._client.call_all([Call(NEWEST_NEWS, [each]) for each in self._streams])
        positions = dict(zip(self._streams, newest, strict=True))
        self._desk.notify_all()
        self.ready.set()
        options = glide.StreamReadOptions(block_ms=round(_BLOCK * 1000), count=NEWS)
        while True:
            news = await connection.xread({**positions}, options) or {}
            told: set[tuple[bytes, bytes]] = set()
            for stream, entries in news.items():
                positions[stream.decode()] = max(entries, key=_place)
                told.update((kind, run_id) for [[kind, run_id]] in entries.values())
                if len(entries) == NEWS:
                    # Older ones may have been dropped: this tail was slow.
                    self._desk.notify_all()
            for kind, run_id in told:
                self._desk.notify(run_id.decode(), log=kind == b"log")


def _place(entry_id: bytes) -> tuple[int, int]:
    time, _, number = entry_id.partition(b"-")
    return int(time), int(number)
