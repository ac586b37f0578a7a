from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from math import inf
from time import time_ns

import attrs
import trio

from trio_agent import (
    Agent,
    CursorExpired,
    LimitExceeded,
    ThreadBusy,
    ThreadMoved,
    UnknownBlob,
    UnknownRun,
    UnknownThread,
    open_runtime,
)
from trio_agent.abc import (
    Append,
    Appended,
    Created,
    Delivered,
    Delivery,
    Entry,
    Idle,
    Lease,
    NewsWatch,
    Page,
    Retention,
    RunInfo,
    RunRecord,
    Store,
    ThreadCursor,
    ThreadInfo,
    Turn,
    Watch,
    check_inbox,
    first_deliveries,
    first_page,
    first_privates,
    first_runs,
    first_turns,
    surplus,
)
from trio_agent.testing import ScriptedModel, autojump_clock, check_store


@attrs.define
class Row:
    """What is kept of a run."""

    record: RunRecord
    leased_until: float  # when somebody else can claim it: if it is parked, when it is due
    fence: int = 1
    parked: bool = False
    handed_over: bool = False
    inbox: dict[str, Delivery] = attrs.field(factory=dict)  # by key
    inbox_size: int = 0
    log: list[bytes] = attrs.field(factory=list)
    private: dict[int, bytes] = attrs.field(factory=dict)
    finished_at: float | None = None
    cancel_reason: str | None = None
    viewers: dict[str, tuple[int, float]] = attrs.field(factory=dict)

    @property
    def closed(self) -> bool:
        return self.finished_at is not None

    @property
    def size(self) -> int:
        beside = self.private.values()
        return self.record.size + self.inbox_size + sum(map(len, (*self.log, *beside)))

    @property
    def free(self) -> bool:
        return not self.closed and self.leased_until <= trio.current_time()

    def page(self, after: int, limit: int) -> list[Entry]:
        """The end of a closed log, and nothing else, is its terminal entry."""
        last = len(self.log) if self.closed else None
        return [
            Entry(offset, data, offset == last)
            for offset, data in enumerate(self.log[after : after + limit], after + 1)
        ]


@attrs.define
class ThreadRow:
    """What is kept of a thread."""

    head: str | None = None
    active: str | None = None
    turns: dict[str, Turn] = attrs.field(factory=dict)  # by run
    idle_since: float = 0
    updated_at: int = 0

    @property
    def size(self) -> int:
        return sum(len(turn.data) for turn in self.turns.values())

    def touch(self) -> None:
        self.idle_since = trio.current_time()
        self.updated_at = time_ns() // 1_000_000


class DictStore(Store):
    """Keeps runs in a dict, in the order of their creation, and threads in another one."""

    def __init__(self, *, lease: float = 10.0) -> None:
        self._lease = lease
        self._rows: dict[str, Row] = {}
        self._threads: dict[tuple[str | None, str], ThreadRow] = {}  # by owner and name
        self._removed: set[str] = set()  # a real store bounds what it remembers of these
        self._watches: set[NewsWatch] = set()

    @property
    def lease(self) -> float:
        return self._lease

    # Creating, appending, reading. From its checkpoint on each method is one atomic act, because
    # nothing is awaited in it. A store with I/O needs a transaction or a script for the same.

    async def create(self, record: RunRecord) -> Created:
        await trio.lowlevel.checkpoint()
        if record.idempotency_key is not None:
            for run_id, row in self._rows.items():
                known = row.record
                if (known.owner, known.idempotency_key) == (record.owner, record.idempotency_key):
                    record.check_repeats(known.digest)
                    return Created(run_id, None)
        if record.run_id in self._rows:
            raise LimitExceeded("the id is taken")
        if record.thread is not None:
            self._begin(record, record.thread)
        self._rows[record.run_id] = Row(record, trio.current_time() + self._lease)
        return Created(record.run_id, Lease(record.run_id, 1))

    def _begin(self, record: RunRecord, name: str) -> None:
        """Take the thread: one act with creating the run."""
        thread = self._threads.get((record.owner, name), ThreadRow())
        if thread.active is not None:
            raise ThreadBusy(name, thread.active)
        if thread.head != record.head:
            raise ThreadMoved(f"the thread {name!r} has another head now")
        thread.active = record.run_id
        thread.touch()
        self._threads[record.owner, name] = thread

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        await trio.lowlevel.checkpoint()
        return [self._append(append) for append in batch]

    def _append(self, append: Append) -> Appended:
        row = self._rows.get(append.run_id)
        if row is None:
            return Appended.UNKNOWN
        outcome = append.check(fence=row.fence, tail=len(row.log), closed=row.closed)
        if outcome is None:
            row.log += [entry.data for entry in append.entries]
            row.private |= append.private
            if append.terminal:
                row.finished_at = trio.current_time()
                if row.record.thread is not None:
                    self._end(row.record, row.record.thread, append.turn)
            self._tell(append.run_id, log=True)
        return outcome or Appended.COMMITTED

    def _end(self, record: RunRecord, name: str, turn: bytes) -> None:
        """Free the thread, and add the turn: one act with the terminal entry."""
        thread = self._threads[record.owner, name]
        thread.active = None
        thread.touch()
        if turn:
            thread.turns[record.run_id] = Turn(record.run_id, record.follows, turn)
            thread.head = record.run_id
        if not thread.turns:
            del self._threads[record.owner, name]

    async def read(self, run_id: str, after: int, limit: int) -> Page:
        row = await self._row(run_id)
        return Page(first_page(row.page(after, limit)), len(row.log), row.closed)

    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        row = await self._row(run_id)
        private = {0: row.record.private, **row.private}
        return first_privates(private.get(offset, b"") for offset in offsets)

    async def read_blob(self, run_id: str, digest: str) -> bytes:
        row = await self._row(run_id)
        if digest not in row.record.blobs:
            raise UnknownBlob(run_id, digest)
        return row.record.blobs[digest]

    async def info(self, run_id: str) -> RunInfo:
        return self._info(await self._row(run_id))

    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        await trio.lowlevel.checkpoint()
        run_ids = list(self._rows)
        if before is not None:
            await self._row(before)
            run_ids = run_ids[: run_ids.index(before)]
        rows = [self._rows[run_id] for run_id in reversed(run_ids)]
        if thread is not None:
            rows = [row for row in rows if row.record.in_thread(owner, thread)]
        elif owner is not None:
            rows = [row for row in rows if row.record.owner == owner]
        return first_runs(map(self._info, rows), limit)

    def _info(self, row: Row) -> RunInfo:
        now = trio.current_time()
        return RunInfo(
            record=row.record.told(),
            tail=len(row.log),
            size=row.size,
            last=row.page(len(row.log) - 1, 1)[0] if row.closed else None,
            fence=row.fence,
            leased=not (row.closed or row.free or row.parked),
            cancel_reason=row.cancel_reason,
            viewers=sum(count for count, until in row.viewers.values() if until > now),
            parked=row.parked and not row.free,
            delivered=len(row.inbox),
        )

    # Threads: who reads them, and who removes them.

    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        await trio.lowlevel.checkpoint()
        return self._thread_info(owner, thread)

    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        await trio.lowlevel.checkpoint()
        infos = [self._thread_info(*key) for key in self._threads if key[0] == owner]
        infos.sort(key=lambda info: info.cursor, reverse=True)
        return [info for info in infos if before is None or info.cursor < before][:limit]

    def _thread_info(self, owner: str | None, name: str) -> ThreadInfo:
        row = self._thread_row(owner, name)
        return ThreadInfo(
            thread=name,
            owner=owner,
            head=row.head,
            active=row.active,
            turns=len(row.turns),
            size=row.size,
            updated_at=row.updated_at,
        )

    def _thread_row(self, owner: str | None, name: str) -> ThreadRow:
        if (owner, name) not in self._threads:
            raise UnknownThread(name)
        return self._threads[owner, name]

    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        await trio.lowlevel.checkpoint()
        turns = self._thread_row(owner, thread).turns
        if last not in turns:
            raise UnknownRun(last)
        way = [turns[last]]
        while (follows := way[-1].follows) is not None:
            way.append(turns[follows])
        return first_turns(way, limit)

    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        runs = [i for i, row in self._rows.items() if row.record.in_thread(owner, thread)]
        # Runs that have added nothing to it, or have outlived it, go with its name, too.
        if not runs or (owner, thread) in self._threads:
            active = self._thread_row(owner, thread).active
            if active is not None:
                raise ThreadBusy(thread, active)
            del self._threads[owner, thread]
        for run_id in runs:
            self._remove(run_id)
        return runs

    # Who holds a run, and what others want of it.

    async def claim(self, run_id: str) -> Lease | None:
        row = await self._row(run_id)
        if not row.free:
            return None
        row.fence += 1
        row.leased_until = trio.current_time() + self._lease
        lease = Lease(run_id, row.fence, handed_over=row.handed_over)
        row.parked = row.handed_over = False
        self._tell(run_id)
        return lease

    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        await trio.lowlevel.checkpoint()
        lost = []
        for lease in leases:
            row = self._held(lease)
            if row is None or row.handed_over:
                lost.append(lease)
            else:
                row.leased_until = trio.current_time() + self._lease
        return lost

    async def release(self, lease: Lease) -> None:
        await trio.lowlevel.checkpoint()
        if (row := self._held(lease)) is not None:
            row.leased_until = trio.current_time()
            row.handed_over = True
            self._tell(lease.run_id)

    def _held(self, lease: Lease) -> Row | None:
        row = self._rows.get(lease.run_id)
        return row if row is not None and row.fence == lease.fence else None

    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        await trio.lowlevel.checkpoint()
        row = self._rows.get(lease.run_id)
        if row is None:
            return Appended.UNKNOWN
        if row.fence != lease.fence:
            return Appended.FENCED
        if row.closed:
            return Appended.CLOSED
        row.record = attrs.evolve(row.record, epoch=epoch)
        self._tell(lease.run_id)
        return Appended.COMMITTED

    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        await trio.lowlevel.checkpoint()
        row = self._held(lease)
        if row is None or row.closed or row.cancel_reason is not None or len(row.inbox) != seen:
            return False
        row.fence += 1
        row.leased_until = inf if seconds is None else trio.current_time() + seconds
        row.parked = row.handed_over = True
        self._tell(lease.run_id)
        return True

    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        row = await self._row(run_id)
        known = row.inbox.get(key)
        if known is not None and known.data == data:
            return Delivered.DELIVERED
        if row.closed:
            return Delivered.CLOSED
        if known is not None:
            return Delivered.TAKEN
        check_inbox(len(row.inbox), row.inbox_size, data)
        row.inbox[key] = Delivery(len(row.inbox) + 1, key, data)
        row.inbox_size += len(data)
        self._wake(row)
        return Delivered.DELIVERED

    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        inbox = (await self._row(run_id)).inbox
        return first_deliveries(list(inbox.values())[after:], limit)

    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        free = [run_id for run_id, row in self._rows.items() if row.free and run_id > after]
        return sorted(free)[:limit]

    async def request_cancel(self, run_id: str, reason: str) -> None:
        row = await self._row(run_id)
        if row.cancel_reason is None and not row.closed:
            row.cancel_reason = reason
            self._wake(row)

    def _wake(self, row: Row) -> None:
        if row.parked:
            row.leased_until = trio.current_time()
        self._tell(row.record.run_id)

    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        row = await self._row(run_id)
        row.viewers[worker] = (count, trio.current_time() + self._lease)
        self._tell(run_id)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[Watch]:
        await trio.lowlevel.checkpoint()
        watch = NewsWatch()
        self._watches.add(watch)
        try:
            yield watch
        finally:
            self._watches.discard(watch)
            watch.close()

    # Removing.

    async def delete(self, run_id: str) -> None:
        if not (await self._row(run_id)).closed:
            raise LimitExceeded("the run is active: cancel it first")
        self._remove(run_id)

    async def expire(self, retention: Retention) -> Sequence[str]:
        await trio.lowlevel.checkpoint()
        removed = self._expire(None, retention)
        for owner in {row.record.owner for row in self._rows.values()} | {
            o for o, _ in self._threads
        }:
            if owner is not None:
                removed += self._expire(owner, retention.of_each_owner())
        return removed

    def _expire(self, owner: str | None, retention: Retention) -> list[str]:
        """Remove what is too much of one owner's, or of all: finished runs, and idle threads."""
        runs = [
            Idle(run_id, row.finished_at, row.size)
            for run_id, row in self._rows.items()
            if row.finished_at is not None and owner in (None, row.record.owner)
        ]
        threads = [
            Idle(key, row.idle_since, row.size)
            for key, row in self._threads.items()
            if row.active is None and owner in (None, key[0])
        ]
        gone, gone_threads = surplus(
            sorted(runs, key=lambda run: run.since),
            sorted(threads, key=lambda thread: thread.since),
            retention,
            now=trio.current_time(),
            count=len(runs),
            size=sum(run.size for run in runs) + sum(thread.size for thread in threads),
        )
        for run_id in gone:
            self._remove(run_id)
        for key in gone_threads:
            del self._threads[key]
        return gone

    def _remove(self, run_id: str) -> None:
        del self._rows[run_id]
        self._removed.add(run_id)
        self._tell(run_id)

    async def _row(self, run_id: str) -> Row:
        await trio.lowlevel.checkpoint()
        if run_id in self._rows:
            return self._rows[run_id]
        if run_id in self._removed:
            raise CursorExpired("the log was removed")
        raise UnknownRun(run_id)

    def _tell(self, run_id: str, *, log: bool = False) -> None:
        for watch in self._watches:
            watch.notify(run_id, log=log)


@asynccontextmanager
async def open_empty() -> AsyncIterator[Store]:
    store = DictStore(lease=1.0)
    async with store.open():
        yield store


async def main() -> None:
    await check_store(open_empty, lease=1.0)
    print("it keeps the contract")
    async with open_runtime(store=DictStore()) as runtime:
        run = await runtime.start(Agent(model=ScriptedModel(["It ", "works."])), "Does it?")
        print((await run.wait()).text)


trio.run(main, clock=autojump_clock())
