"""The models that a runtime has open: each once, however many runs ask it."""

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import copy_context
from typing import Final

import attrs
import trio

from .._errors import ModelError
from ..models._model import Model, unavailable

logger = logging.getLogger("trio_agent")

_IDLE: Final = 60.0
"""Seconds that a model stays open when nobody uses it."""


@attrs.define(eq=False)
class _Opened:
    users: int = 0
    # Runs that wait for it go on in the order in which they came.
    turn: trio.Lock = attrs.field(factory=trio.Lock)
    opened: trio.Event = attrs.field(factory=trio.Event)
    model: Model | None = None
    failure: Exception | None = None
    # Cancelled if nobody wants it any more before it is open.
    opening: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    # Closing an idle model is a deadline on this.
    idle: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class ModelPool:
    """Opens a model at its first use, and closes it when it was not used for a while.

    A model belongs to all who use it: its tasks have the context variables of who made the pool.
    """

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._context = copy_context()
        self._entries: dict[Model, _Opened] = {}

    @asynccontextmanager
    async def use(self, model: Model) -> AsyncIterator[Model]:
        """Yield the open model. Waits while it is being opened. A checkpoint.

        Raises:
            ModelError: it can't be opened.
        """
        entry = self._entries.get(model)
        if entry is None or entry.idle.cancel_called:
            entry = self._entries[model] = _Opened()
            self._context.run(self._nursery.start_soon, self._keep_open, model, entry)
        entry.users += 1
        entry.idle.deadline = math.inf
        try:
            async with entry.turn:
                await entry.opened.wait()
            yield await _open_model(entry)
        finally:
            entry.users -= 1
            if not entry.users:
                entry.idle.deadline = trio.current_time() + _IDLE
                if not entry.opened.is_set():
                    self._forget(model, entry)
                    entry.opening.cancel(reason="nobody wants the model any more")

    async def _keep_open(self, model: Model, entry: _Opened) -> None:
        try:
            with entry.opening:
                async with model.open() as entry.model:
                    entry.opened.set()
                    with entry.idle:
                        await trio.sleep_forever()
                    self._forget(model, entry)
        except Exception as exc:
            if entry.model is None:
                entry.failure = exc
            else:
                # Its runs are told by their requests; the next run opens it anew.
                logger.exception("model %r broke down", model)
        finally:
            entry.model = None
            self._forget(model, entry)
            entry.opened.set()

    def _forget(self, model: Model, entry: _Opened) -> None:
        if self._entries.get(model) is entry:
            del self._entries[model]


async def _open_model(entry: _Opened) -> Model:
    if entry.failure is not None:
        raise unavailable(entry.failure) from entry.failure
    if entry.model is None:
        # It was cancelled together with us, or it broke down at once.
        await trio.lowlevel.checkpoint_if_cancelled()
        raise ModelError("model-unavailable", "it broke down as soon as it was open")
    return entry.model
