"""The inbox of a run, as whoever works on the run reads it.

What is read is made events of at once, without an `await` between, so that a worker that dies has
taken all of it or nothing.
"""

from collections.abc import Sequence
from typing import Final

import trio

from .._errors import StoreUnavailable
from .._log.inbox import Delivery
from .._log.store import Store
from .._log.trouble import Trouble
from .items import Answer, Item, decode_item, encode_item

_PAGE: Final = 100
_AGAIN: Final = 1.0
"""Seconds until a store that is away is asked again."""


class Inbox:
    """One run's.

    Args:
        store: where it is.
        run_id: the run.
        taken: how many of its items are events already.
    """

    def __init__(self, store: Store, run_id: str, taken: int = 0) -> None:
        self.seen: int = taken
        """The number of the last item that was read."""
        self._store = store
        self._run_id = run_id
        self._known = taken
        self._news = trio.Event()
        self._trouble = Trouble("the inbox of run %s could not be read")

    @property
    def unread(self) -> bool:
        """Whether there is something to read."""
        return self._known > self.seen

    def tell(self, delivered: int) -> None:
        """There are so many items."""
        if delivered > self._known:
            self._known = delivered
            self._news.set()
            self._news = trio.Event()

    async def changed(self) -> None:
        """Wait until there is something to read. A checkpoint."""
        await trio.lowlevel.checkpoint()
        while not self.unread:
            await self._news.wait()

    async def read(self) -> Sequence[Item]:
        """Read what is unread, up to a page. A checkpoint; it waits while the store is away."""
        deliveries: Sequence[Delivery] | None = None
        while deliveries is None:
            try:
                deliveries = await self._store.inbox(self._run_id, self.seen, _PAGE)
            except StoreUnavailable as exc:
                self._trouble.tell(exc, self._run_id)
                await trio.sleep(_AGAIN)
        items = [decode_item(delivery.data) for delivery in deliveries]
        if deliveries:
            self.seen = deliveries[-1].number
            self.tell(self.seen)
        else:
            self._known = self.seen
        return items

    async def expire(self, call_id: str) -> None:
        """Say that nobody has answered this call in time, unless somebody has. A checkpoint."""
        answer = Answer(call_id, approved=False, expired=True, reason="nobody answered in time")
        try:
            await self._store.deliver(self._run_id, answer.key, encode_item(answer))
        except StoreUnavailable as exc:
            self._trouble.tell(exc, self._run_id)
            await trio.sleep(_AGAIN)
        else:
            self.tell(self.seen + 1)
