"""What a run comes behind that is to start in a thread."""

from contextlib import suppress
from typing import Final

import attrs

from .._errors import LogDamaged, ThreadBusy, ThreadMoved, UnknownRun, UnknownThread
from .._log.run_info import RunRecord
from .._log.store import Store
from .._messages import AnyMessage
from .._run.branch import Branch
from .._run.turns import no_turn, read_history


@attrs.frozen
class Before:
    """What a run comes behind, as its thread stood when that was looked at."""

    messages: tuple[AnyMessage, ...] = ()
    follows: str | None = None
    head: str | None = None

    def over(self, record: RunRecord) -> RunRecord:
        """Return the record of a run that comes behind it."""
        return attrs.evolve(record, follows=self.follows, head=self.head)


NOTHING_BEFORE: Final = Before()


class Conversations:
    """The threads of a store.

    Args:
        store: where they are.
        max_bytes: of what was said before a run, at most.
    """

    def __init__(self, store: Store, max_bytes: int) -> None:
        self._store = store
        self._max_bytes = max_bytes

    async def look(self, record: RunRecord, branch: Branch) -> Before:
        """See what a run is to come behind. A checkpoint.

        Raises:
            ThreadBusy: a run is active in its thread. If that is to be cancelled, nothing else is
                in the way.
            ThreadMoved: the thread was removed in this moment.
            TooLarge: too much was said in it.
            ValueError: the thread has no turn of the run that it is to follow.
            LogDamaged, StoreUnavailable: what was said can't be read.
        """
        assert branch.thread is not None, "it is in a thread"
        head, active = await self._stand(record.owner, branch.thread)
        if active is not None and branch.on_busy == "reject":
            raise ThreadBusy(branch.thread, active)
        before = Before((), head if branch.after is None else branch.after or None, head)
        said = await self._said(before.over(record))
        if said is None:
            if branch.after is not None:
                raise no_turn(branch.thread, branch.after)
            # Whoever looks again and again would do so for ever.
            if (await self._stand(record.owner, branch.thread))[0] == head:
                raise LogDamaged(f"what was said in {branch.thread!r} is not there")
            raise ThreadMoved(f"the thread {branch.thread!r} was removed")
        if active is not None:
            raise ThreadBusy(branch.thread, active)
        return attrs.evolve(before, messages=said)

    async def _stand(self, owner: str | None, thread: str) -> tuple[str | None, str | None]:
        """Return the head of a thread and its active run; of one that is not there, neither."""
        with suppress(UnknownThread):
            info = await self._store.thread(owner, thread)
            return info.head, info.active
        return None, None

    async def _said(self, record: RunRecord) -> tuple[AnyMessage, ...] | None:
        with suppress(UnknownThread, UnknownRun):
            return await read_history(self._store, record, self._max_bytes)
        return None
