"""What a store is: the place where logs are kept, and the one contract over all of them."""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

import attrs
import trio

from .._limits import Retention
from .fitting import first_fitting
from .inbox import Delivered, Delivery
from .log import PAGE_BYTES as PAGE_BYTES, Append, Appended, Entry
from .run_info import RunInfo, RunRecord
from .thread import ThreadCursor, ThreadInfo, Turn


@attrs.frozen
class Lease:
    """The right to append to a run's log, until it is renewed no more or claimed anew."""

    run_id: str
    fence: int
    handed_over: bool = attrs.field(default=False, eq=False)
    """Whether who held the run before let go of it (`release`, `park`), and did not die."""


@attrs.frozen
class Created:
    """The outcome of a creation: `lease` is None if the idempotency key had a run already."""

    run_id: str
    lease: Lease | None


@attrs.frozen
class Page:
    """A piece of a log."""

    entries: Sequence[Entry]
    tail: int
    closed: bool
    """Whether the log has its terminal event (perhaps behind these entries)."""


class Watch(trio.abc.ReceiveChannel[str]):
    """Yields the id of a watched run when there is news of it.

    News are a new claim, a release, sleep, a new epoch, a cancel request, a delivery, other
    viewers, its removal and, if wanted, a longer log. An id says only "look again"; news that
    nobody has received yet are merged. After a lost connection all watched ids are yielded.
    """

    @abstractmethod
    def add(self, run_id: str, *, log: bool = True) -> None:
        """Watch this run, too. Its id is yielded once at the start.

        Without `log` its growing is no news: what the holder of a run wants.
        """

    @abstractmethod
    def discard(self, run_id: str) -> None:
        """Watch it no longer."""


class Store(ABC):
    """Where logs are kept. `trio_agent.testing.check_store` holds yours to this contract.

    Every method but `append_nowait` is a checkpoint. Cancelling one leaves its act whole: done
    or not done. What is committed is never lost or changed.

    Raises:
        StoreUnavailable: from any method: the store can't be reached or is full.
        UnknownRun: from methods about one run: there is none, or none any more.
        CursorExpired: instead, for a while after a run was removed.
    """

    @property
    def lease(self) -> float:
        """Seconds that a claim holds; runtimes renew theirs three times as often. By default 10."""
        return 10.0

    @property
    def shared(self) -> bool:
        """Whether several servers can have it open at a time. By default not."""
        return False

    @property
    def durable(self) -> bool:
        """Whether what it has is there after this process. By default not.

        If not, runs that wait are cancelled when the runtime closes: nobody could answer them.
        """
        return False

    def partition(self, run_id: str) -> Hashable:  # noqa: ARG002
        """Name the part of the store that has a run, if one part can fail without the others.

        What is appended in one batch belongs to one part. By default there is but one.
        """
        return None

    def new_run_id(self, owner: str | None, thread: str | None) -> str:  # noqa: ARG002
        """Make the id of a new run, which is to be in this thread of this owner, if in any.

        By default 128 random bits. A store whose parts can fail without each other has all runs of
        a thread in one, and knows by their ids in which: it takes no others.
        """
        return secrets.token_hex(16)

    def open(self) -> AbstractAsyncContextManager[object]:
        """Open connections and files for as long as the context lasts. By default: nothing."""
        return nullcontext()

    @abstractmethod
    async def create(self, record: RunRecord) -> Created:
        """Create an empty log and claim it, or find the run that has this idempotency key.

        A key is free again when its run was removed. In a thread, it is one act with seeing that no
        run is active there, and that its head is still `RunRecord.head`.

        Raises:
            ThreadBusy: a run is active in the thread.
            ThreadMoved: the thread has another head.
            KeyReused: the key's run was asked for with another digest (`RunRecord.check_repeats`).
            LimitExceeded: the id is taken.
        """

    async def lookup(self, record: RunRecord) -> str | None:
        """Return the run that has this record's idempotency key, None if there is none.

        Nothing is created. By default the list of the owner's runs is searched.

        Raises:
            KeyReused: as `create`.
        """
        before = None
        while infos := await self.find(record.owner, before, 100):
            for info in infos:
                known = info.record
                # Without an owner, the list has everybody's runs.
                if (known.owner, known.idempotency_key) == (record.owner, record.idempotency_key):
                    record.check_repeats(known.digest)
                    return known.run_id
            before = infos[-1].record.run_id
        return None

    @abstractmethod
    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        """Commit all in one go; each is checked for itself, in one atomic act with its write.

        Fence, tail and not-terminal must hold. Repeating what is committed is a success. Several
        for one run are done in their order. What is private is there when its entry is. A terminal
        entry frees the run's thread. `Append.turn`, if there is one, becomes the thread's head with
        it; a thread that has no turns then is there no more.
        """

    def append_nowait(self, batch: Sequence[Append]) -> Sequence[Appended]:  # noqa: ARG002
        """Like `append`, for a store that needs no I/O.

        Raises:
            trio.WouldBlock: the store does I/O (the default).
        """
        raise trio.WouldBlock

    @abstractmethod
    async def read(self, run_id: str, after: int, limit: int) -> Page:
        """Read at most `limit` entries behind the offset `after`.

        A page ends earlier, but not before its first entry, where it would hold more than
        `PAGE_BYTES` of data: only one without entries says that there are no more.
        """

    @abstractmethod
    async def read_private(self, run_id: str, offsets: Sequence[int]) -> Sequence[bytes]:
        """Read what is private beside the entries at these offsets, empty where nothing is.

        At offset 0 is `RunRecord.private`. For whoever works on the run, and for its transcript.
        Ends earlier, but not before the first, where it would return more than `PAGE_BYTES`.
        """

    @abstractmethod
    async def read_blob(self, run_id: str, digest: str) -> bytes:
        """Read a file that was given to a run.

        Args:
            run_id: the run.
            digest: the file's SHA-256 in hexadecimal digits.

        Raises:
            UnknownBlob: it was given none with this digest.
        """

    @abstractmethod
    async def info(self, run_id: str) -> RunInfo:
        """Tell what is known of a run, without reading what is private."""

    @abstractmethod
    async def find(
        self, owner: str | None, before: str | None, limit: int, thread: str | None = None
    ) -> Sequence[RunInfo]:
        """List runs, newest first, of one owner (None: of all), behind the run `before`.

        With `thread`: those of the owner's thread (None: of one that nobody owns).

        A list ends earlier, but not before its first run, where it would hold more than
        `PAGE_BYTES` of records and terminal events: only an empty one says that there are no more.
        """

    @abstractmethod
    async def thread(self, owner: str | None, thread: str) -> ThreadInfo:
        """Tell what is known of a thread.

        Raises:
            UnknownThread: its owner has none with this name.
        """

    @abstractmethod
    async def threads(
        self, owner: str | None, before: ThreadCursor | None, limit: int
    ) -> Sequence[ThreadInfo]:
        """List the threads of one owner (None: of nobody), behind a place.

        Those in which a run began or ended last come first; of one moment, the last by name.
        """

    @abstractmethod
    async def turns(self, owner: str | None, thread: str, last: str, limit: int) -> Sequence[Turn]:
        """Read at most `limit` turns of a thread, from that of the run `last` back to the first.

        Ends earlier, but not before the first, where it would return more than `PAGE_BYTES`: go on
        with what the last one follows, until that is None.

        Raises:
            UnknownThread: its owner has none with this name.
            UnknownRun: that run has no turn in it.
        """

    @abstractmethod
    async def delete_thread(self, owner: str | None, thread: str) -> Sequence[str]:
        """Remove a thread, its turns and its runs; returns the ids of the runs that were left.

        Runs that say that they are in a thread of this name are removed, too, if there is none (any
        more): they have added nothing to it, or have outlived it. If this is cancelled, the thread
        may be gone and some of its runs not: another call removes them.

        Raises:
            ThreadBusy: a run is active in it: cancel that first.
            UnknownThread: its owner has none with this name, and there are no such runs.
        """

    @abstractmethod
    async def claim(self, run_id: str) -> Lease | None:
        """Take over a run that nobody holds and that is due; None if it is not, or is finished.

        The fence of the lease is greater than any before, so that a former holder that wakes up
        can't append any more.
        """

    @abstractmethod
    async def renew(self, leases: Sequence[Lease]) -> Sequence[Lease]:
        """Keep these runs; returns those that were lost to somebody else."""

    @abstractmethod
    async def release(self, lease: Lease) -> None:
        """Let go of a run, so that another worker can claim it at once.

        A renewal that comes late does not bring the lease back.
        """

    @abstractmethod
    async def renew_epoch(self, lease: Lease, epoch: str) -> Appended:
        """Give the log a new epoch, because its end was lost; cursors of the old are expired.

        `COMMITTED`, or why the lease does not allow it (`FENCED`, `CLOSED`, `UNKNOWN`).
        """

    @abstractmethod
    async def park(self, lease: Lease, seen: int, seconds: float | None) -> bool:
        """Let a run sleep: nobody holds it, and it is no orphan before it is due.

        A cancel request or a delivery makes it due at once. It is one act with looking whether
        there is one, and the lease's fence is spent: a renewal that comes late does not bring the
        lease back. What was appended and delivered before survives the death of the machine, too,
        if the store outlives that at all.

        Args:
            lease: of its holder.
            seen: the number of the last delivery that the holder has read.
            seconds: until it is due by itself; None: never.

        Returns:
            Whether it sleeps. If not, there is more in its inbox, somebody wants it cancelled, or
            the lease holds no more.
        """

    @abstractmethod
    async def deliver(self, run_id: str, key: str, data: bytes) -> Delivered:
        """Put something into a run's inbox, once for each key. It is news, and survives as `park`.

        Raises:
            LimitExceeded: the inbox is full (`check_inbox`).
        """

    @abstractmethod
    async def inbox(self, run_id: str, after: int, limit: int) -> Sequence[Delivery]:
        """Read at most `limit` deliveries behind the number `after`.

        Ends earlier, but not before the first, where it would return more than `PAGE_BYTES`: only
        an empty one says that there are no more.
        """

    @abstractmethod
    async def orphans(self, after: str, limit: int) -> Sequence[str]:
        """List active runs that nobody holds and that are due, in the order of their ids.

        At most `limit` of them, behind the id `after` ("": from the first on).
        """

    @abstractmethod
    async def request_cancel(self, run_id: str, reason: str) -> None:
        """Ask the holder to cancel the run; the first reason stays."""

    @abstractmethod
    async def set_viewers(self, run_id: str, worker: str, count: int) -> None:
        """Tell how many subscriptions follow the run in the process called `worker`.

        Holds for as long as a lease does, then it must be told again.
        """

    @abstractmethod
    def watch(self) -> AbstractAsyncContextManager[Watch]:
        """Open a watch that follows no run yet."""

    @abstractmethod
    async def delete(self, run_id: str) -> None:
        """Remove a finished run. Its turn stays in its thread.

        Raises:
            LimitExceeded: the run is active; cancel it first.
        """

    async def check(self) -> None:
        """See whether a run would be taken now, without changing anything. For readiness.

        By default nothing is looked at.

        Raises:
            StoreUnavailable: it would not; or it would, and would not be kept.
        """
        await trio.lowlevel.checkpoint()

    @abstractmethod
    async def expire(self, retention: Retention) -> Sequence[str]:
        """Remove the finished runs and the idle threads that `retention` doesn't keep.

        Returns the ids of the runs. Those of a thread that is removed stay until their own time.
        """


def first_privates(privates: Iterable[bytes]) -> list[bytes]:
    """Return the first of these, as many as `Store.read_private` returns at once."""
    return first_fitting(privates, len)
