"""The models that a runtime has open: each once, however many runs ask it."""

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from .._errors import ModelError, TrioAgentError
from ..models._model import Model

logger = logging.getLogger("trio_agent")

_IDLE: Final = 60.0
"""Seconds that a model stays open when nobody uses it."""


@attrs.define(eq=False)
class _Opened:
    lock: trio.Lock = attrs.field(factory=trio.Lock)
    users: int = 0
    model: Model | None = None
    # Closing an idle model is a deadline on this.
    idle: trio.CancelScope = attrs.field(factory=trio.CancelScope)


class ModelPool:
    """Opens a model at its first use, and closes it when it was not used for a while."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._entries: dict[Model, _Opened] = {}

    @asynccontextmanager
    async def use(self, model: Model) -> AsyncIterator[Model]:
        """Yield the open model. Waits while somebody else is opening it. A checkpoint.

        Raises:
            ModelError: it can't be opened.
        """
        entry = self._entries.get(model)
        if entry is None or entry.idle.cancel_called:
            entry = self._entries[model] = _Opened()
        entry.users += 1
        entry.idle.deadline = math.inf
        try:
            yield await self._opened(model, entry)
        finally:
            entry.users -= 1
            if not entry.users:
                entry.idle.deadline = trio.current_time() + _IDLE
                if entry.model is None:
                    self._forget(model, entry)

    async def _opened(self, model: Model, entry: _Opened) -> Model:
        async with entry.lock:
            if entry.model is None:
                try:
                    await self._nursery.start(self._keep_open, model, entry)
                except (TrioAgentError, ValueError, OSError) as exc:
                    raise ModelError("model-unavailable", str(exc)) from exc
            if entry.model is None:
                # It was cancelled together with us, or it broke down at once.
                await trio.lowlevel.checkpoint_if_cancelled()
                raise ModelError("model-unavailable", "it broke down as soon as it was open")
            return entry.model

    async def _keep_open(
        self, model: Model, entry: _Opened, task_status: trio.TaskStatus[None]
    ) -> None:
        try:
            async with model.open() as entry.model:
                task_status.started()
                with trio.CancelScope(deadline=entry.idle.deadline) as entry.idle:
                    await trio.sleep_forever()
                self._forget(model, entry)
        except Exception:
            if entry.model is None:
                raise
            # Its runs are told by their requests; the next run opens it anew.
            logger.exception("model %r broke down", model)
        finally:
            entry.model = None

    def _forget(self, model: Model, entry: _Opened) -> None:
        if self._entries.get(model) is entry:
            del self._entries[model]
