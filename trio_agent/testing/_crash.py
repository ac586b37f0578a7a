"""A server that dies, without a process: what it had begun is left as it was.

- What the store has by then, it has; nothing that the dead one does gets there any more.
- It lets go of nothing: its leases lapse, and somebody else goes on.
"""

from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Self, TypeVar

import trio

from .._errors import StoreUnavailable
from .._log.log import Append, Appended
from .._log.store import Store
from ._store_proxies import StoreProxy

T = TypeVar("T")


class CrashingStore(StoreProxy):
    """One server's way to a store that outlives it. ``with`` it, the block is that server's life.

    ::

        store = MemoryStore()
        with CrashingStore(store) as door:
            async with open_runtime(store=door, agents=[agent]) as runtime:
                run = await runtime.start(agent, "hi")
                ...
                door.crash()
        async with open_runtime(store=CrashingStore(store), agents=[agent]) as runtime:
            result = await (await runtime.find(run.id)).wait()

    The store must be one that can be opened again: in memory, its leases lapse, which takes no time
    on a clock that jumps. In one process, code is cancelled where a real crash would just end it:
    a `finally` in a tool runs. Don't let it do what a test then looks for.

    Args:
        store: where the logs are.
        shared: whether other servers have it open meanwhile (`Store.shared`); by default as the
            store says.
    """

    def __init__(self, store: Store, *, shared: bool | None = None) -> None:
        super().__init__(store)
        self.crashed: bool = False
        """Whether the server is dead."""
        self._shared = store.shared if shared is None else shared
        self._life = trio.CancelScope()

    @property
    def shared(self) -> bool:
        return self._shared

    @property
    def durable(self) -> bool:
        """It is: what the store has is there after this server, if not after this process."""
        return True

    def crash(self) -> None:
        """Let the server die here and now. Its block ends at the next checkpoint of its tasks.

        A tool may call it, or a `perform` of your own, to die at an operation of the store.
        """
        self.crashed = True
        self._life.cancel(reason="the server has crashed")

    def __enter__(self) -> Self:
        self._life.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return self._life.__exit__(exc_type, exc, traceback)

    async def perform(self, operation: str, act: Callable[[], Awaitable[T]]) -> T:
        """Perform the operation, unless the server is dead.

        Raises:
            StoreUnavailable: it is.
        """
        if self.crashed:
            await trio.lowlevel.checkpoint()
            raise StoreUnavailable("the server has crashed")
        return await super().perform(operation, act)

    async def append(self, batch: Sequence[Append]) -> Sequence[Appended]:
        """Append; nothing when the server is dead, which is told so that it does not try again."""
        if self.crashed:
            await trio.lowlevel.checkpoint()
            return [Appended.FENCED] * len(batch)
        return await super().append(batch)
