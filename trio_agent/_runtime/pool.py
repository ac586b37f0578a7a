"""What a runtime has open for its runs: each model and each source of tools once.

It is opened at its first use, in a task of its own, and closed when it was not used for a while. It
belongs to all who use it: its tasks have the context variables of who made the pool.
"""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import copy_context
from typing import Final, Generic, TypeVar

import attrs
import trio

from .._errors import ModelError, ToolSourceError
from .._nursery import split_stops
from ..models._model import Model, unavailable
from ..tools._source import OpenTools, ToolSource

logger = logging.getLogger("trio_agent")

_IDLE: Final = 60.0
"""Seconds that something stays open when nobody uses it."""

KeyT = TypeVar("KeyT")
OpenT = TypeVar("OpenT")


@attrs.define(eq=False)
class _Opened(Generic[OpenT]):
    users: int = 0
    # Runs that wait for it go on in the order in which they came.
    turn: trio.Lock = attrs.field(factory=trio.Lock)
    opened: trio.Event = attrs.field(factory=trio.Event)
    value: OpenT | None = None
    failure: BaseException | None = None
    # Cancelled if nobody wants it any more before it is open.
    opening: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    # Closing an idle model is a deadline on this.
    idle: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class Pool(ABC, Generic[KeyT, OpenT]):
    """Opens things of one kind.

    Args:
        nursery: where they are kept open.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._context = copy_context()
        self._entries: dict[KeyT, _Opened[OpenT]] = {}

    @abstractmethod
    def _open(self, key: KeyT) -> AbstractAsyncContextManager[OpenT]:
        """Return what opens it."""

    @abstractmethod
    def _refusal(self, failure: BaseException | None) -> Exception:
        """Say to its users why it is not open; None: it broke down as soon as it was.

        Raises:
            BaseException: the failure means a bug.
        """

    @asynccontextmanager
    async def use(self, key: KeyT) -> AsyncIterator[OpenT]:
        """Yield what is open. Waits while it is being opened. A checkpoint.

        Raises:
            BaseException: it can't be opened; the pool's kind says which.
        """
        entry = self._entries.get(key)
        if entry is None or entry.idle.cancel_called:
            entry = self._entries[key] = _Opened()
            self._context.run(self._nursery.start_soon, self._keep_open, key, entry)
        entry.users += 1
        entry.idle.deadline = math.inf
        try:
            async with entry.turn:
                await entry.opened.wait()
            yield await self._value(entry)
        finally:
            entry.users -= 1
            if not entry.users:
                entry.idle.deadline = trio.current_time() + _IDLE
                if not entry.opened.is_set():
                    self._forget(key, entry)
                    entry.opening.cancel(reason="nobody wants it any more")

    async def _keep_open(self, key: KeyT, entry: _Opened[OpenT]) -> None:
        try:
            with entry.opening:
                async with self._open(key) as entry.value:
                    entry.opened.set()
                    with entry.idle:
                        await trio.sleep_forever()
                    self._forget(key, entry)
        except BaseException as exc:  # noqa: ASYNC103 - what has to go on is raised again
            stop, failures = split_stops(exc)
            if failures and entry.value is None:
                entry.failure = failures[0] if len(failures) == 1 else exc
            elif failures:
                # Its runs are told by their requests; the next run opens it anew.
                logger.error("%r broke down", key, exc_info=exc)
            if stop is not None:
                raise stop from None  # noqa: ASYNC104
        finally:
            entry.value = None
            self._forget(key, entry)
            entry.opened.set()

    def _forget(self, key: KeyT, entry: _Opened[OpenT]) -> None:
        if self._entries.get(key) is entry:
            del self._entries[key]

    async def _value(self, entry: _Opened[OpenT]) -> OpenT:
        if entry.failure is not None:
            raise self._refusal(entry.failure) from entry.failure
        if entry.value is None:
            # It was cancelled together with us, or it broke down at once.
            await trio.lowlevel.checkpoint_if_cancelled()
            raise self._refusal(None)
        return entry.value


class ModelPool(Pool[Model, Model]):
    """The models. Those that can't be opened are a `ModelError` of their users."""

    def _open(self, key: Model) -> AbstractAsyncContextManager[Model]:
        return key.open()

    def _refusal(self, failure: BaseException | None) -> Exception:
        if failure is None:
            return ModelError("model-unavailable", "it broke down as soon as it was open")
        return unavailable(failure)


class SourcePool(Pool[ToolSource, OpenTools]):
    """The sources of tools. Those that can't be opened are a `ToolSourceError` of their users."""

    def _open(self, key: ToolSource) -> AbstractAsyncContextManager[OpenTools]:
        return key.open()

    def _refusal(self, failure: BaseException | None) -> Exception:
        match failure:
            case None:
                return ToolSourceError("a source of tools broke down as soon as it was open")
            case ToolSourceError():
                # A new one each time: several runs may raise it, each with its own traceback.
                return ToolSourceError(*failure.args)
        raise failure
