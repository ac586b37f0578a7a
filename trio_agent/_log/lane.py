"""From runs into one part of a store: what they have pending is committed in groups.

One group at a time is under way, so that groups are large when the store is slow. What fails is
set apart and repeated, in halves and at last alone, while the others go on: neither a run that the
store doesn't take nor a piece that is too large for it holds up anybody else. Of one log, nothing
more is taken until the store has what was taken before; and what must be there together is never
in two pieces, however large it is.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from .._errors import StoreUnavailable
from .log import Append
from .store import Store
from .trouble import Trouble

if TYPE_CHECKING:
    from .writer import RunLog

_COMPANY: Final = 0.005
"""Seconds that deltas may wait for more, so that one commit takes them all."""

_GROUP: Final = 1 << 20
"""Bytes that are committed at once, but for what has more and must not be cut."""

_RETRY: Final = (0.05, 2.0)
"""Seconds before what failed alone is repeated: the first time, and at most."""

Group: TypeAlias = Sequence[tuple["RunLog", Append]]


class Lane:
    """Commits what the logs of one part of a store have pending.

    Args:
        patience: seconds that a log waits for a store that is away before its readers and its
            run are told. The lane itself keeps trying.
    """

    def __init__(self, store: Store, *, patience: float) -> None:
        self._store = store
        self._patience = patience
        # It can't grow: a log is in it at most once, and logs are bounded.
        self._queue: list[RunLog] = []
        self._apart = 0
        self._closing = False
        self._idle = trio.lowlevel.ParkingLot()
        self._hurry = trio.Event()
        self._trouble = Trouble("events could not be appended")

    def submit(self, log: "RunLog", *, hurry: bool) -> None:
        """Commit this log's pending entries soon, or, if `hurry`, at once."""
        if not log.queued:
            log.queued = True
            self._queue.append(log)
            self._idle.unpark()
        if hurry:
            self._hurry.set()

    def close(self) -> None:
        """Let `run` return when everything that was submitted is committed."""
        self._closing = True
        self._idle.unpark()
        self._hurry.set()

    async def run(self) -> None:
        """Commit until closed."""
        async with trio.open_nursery() as nursery:
            while await self._filled():
                with trio.move_on_after(_COMPANY):
                    await self._hurry.wait()
                if not self._closing:
                    self._hurry = trio.Event()
                await self._commit_all(nursery)

    async def _filled(self) -> bool:
        """Wait for logs with something pending; False: none will come any more."""
        while not self._queue:
            if self._closing and not self._apart:
                return False
            await self._idle.park()
        return True

    async def _commit_all(self, nursery: trio.Nursery) -> None:
        # Apart from `run`, which would hold the last logs while it waits for others.
        queue, self._queue = self._queue, []
        for group in _groups(queue):
            since = trio.current_time()
            if (failure := await self._commit(group)) is not None:
                self._apart += 1
                nursery.start_soon(self._set_apart, group, since, failure)

    async def _commit(self, group: Group) -> StoreUnavailable | None:
        """Commit a group, or return why that failed."""
        failure = await self._append(group)
        if failure is None:
            for log, _ in group:
                log.release()
        return failure

    async def _append(self, group: Group) -> StoreUnavailable | None:
        try:
            outcomes = await self._store.append([append for _, append in group])
            done = list(zip(group, outcomes, strict=True))
        except StoreUnavailable as exc:
            return exc
        except Exception as exc:
            self._trouble.tell(exc)
            return StoreUnavailable(f"the store failed by a bug ({type(exc).__name__})")
        for (log, append), outcome in done:
            log.on_outcome(append, outcome)
        return None

    async def _set_apart(self, group: Group, since: float, failure: StoreUnavailable) -> None:
        await self._repeat(group, since, failure)
        self._apart -= 1
        self._idle.unpark()

    async def _repeat(self, group: Group, since: float, failure: StoreUnavailable) -> None:
        """Commit by itself what has failed since then, however long that takes."""
        self._complain(group, since, failure)
        middle = len(group) // 2
        if not middle:
            await self._insist(*group[0], since)
            return
        async with trio.open_nursery() as nursery:
            for half in (group[:middle], group[middle:]):
                nursery.start_soon(self._try_again, half, since)

    async def _try_again(self, group: Group, since: float) -> None:
        if (failure := await self._commit(group)) is not None:
            await self._repeat(group, since, failure)

    async def _insist(self, log: "RunLog", append: Append, since: float) -> None:
        """Commit what failed alone, in pieces that get smaller while it fails."""
        entries, count = append.entries, len(append.entries)
        delay, longest = _RETRY
        while entries:
            await trio.sleep(delay)
            count = max(1, count // 2)
            while entries:
                some = log.first(entries, min(count, len(entries)))
                # Each has what is beside its own entries; the turn, that with the end.
                part = Append(append.run_id, append.fence, some, append.private, append.turn)
                piece = [(log, part)]
                if (failure := await self._append(piece)) is not None:
                    self._complain(piece, since, failure)
                    delay = min(2 * delay, longest)
                    break
                entries = entries[len(some) :]
                count *= 2
                delay, since = _RETRY[0], trio.current_time()
        log.release()

    def _complain(self, group: Group, since: float, failure: StoreUnavailable) -> None:
        if trio.current_time() - since >= self._patience:
            for log, _ in group:
                log.on_stall(failure)


def _groups(logs: Iterable["RunLog"]) -> Iterator[Group]:
    """Take what is pending in these logs, when its turn comes."""
    group: list[tuple[RunLog, Append]] = []
    size = 0
    for log in logs:
        if group and size + log.uncommitted > _GROUP:
            yield group
            group, size = [], 0
        append = log.take(_GROUP)
        if append is not None:
            group.append((log, append))
            size += append.size
    if group:
        yield group
