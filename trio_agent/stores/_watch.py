"""News of runs, merged until somebody looks."""

import trio

from .._log.store import Watch


class NewsWatch(Watch):
    """A ready-made `Watch` for a store: the store calls `notify`, the watch merges and yields.

    All methods but `receive` and `aclose` are synchronous and belong into one Trio thread.
    """

    def __init__(self) -> None:
        # Whether the growth of the log is news, too.
        self._watched: dict[str, bool] = {}
        # A dict as an ordered set: what was new first is looked at first.
        self._news: dict[str, None] = {}
        self._waiting = trio.lowlevel.ParkingLot()
        self._closed = False

    @property
    def watched(self) -> frozenset[str]:
        """The runs that are watched now."""
        return frozenset(self._watched)

    def add(self, run_id: str, *, log: bool = True) -> None:
        """Watch this run, too; see `Watch.add`."""
        self._watched[run_id] = log
        self.notify(run_id)

    def discard(self, run_id: str) -> None:
        """Watch it no longer."""
        self._watched.pop(run_id, None)
        self._news.pop(run_id, None)

    def notify(self, run_id: str, *, log: bool = False) -> None:
        """There is news of a run; `log`: only that its log is longer."""
        wants_log = self._watched.get(run_id)
        if wants_log is not None and (wants_log or not log):
            self._news[run_id] = None
            self._waiting.unpark()

    def notify_all(self) -> None:
        """News may have been missed: yield every watched run."""
        for run_id in self._watched:
            self.notify(run_id)

    async def receive(self) -> str:
        """Return the id of a run that has news. A checkpoint; if cancelled, none was taken."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not (self._news or self._closed):
            await self._waiting.park()
        if self._closed:
            raise trio.ClosedResourceError("this watch is closed")
        run_id = next(iter(self._news))
        del self._news[run_id]
        await trio.lowlevel.cancel_shielded_checkpoint()
        return run_id

    async def aclose(self) -> None:
        """Close the watch. A checkpoint."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close the watch; who is receiving gets `trio.ClosedResourceError`."""
        self._closed = True
        self._waiting.unpark_all()
