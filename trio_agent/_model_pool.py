"""The models that a runtime has open: each once, however many runs ask it."""

import logging
from typing import Any

import trio

from ._errors import ModelError, TrioAgentError
from ._model import Model

logger = logging.getLogger("trio_agent")


class ModelPool:
    """Opens a model at its first use, and keeps it open until the nursery is cancelled."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._open: dict[Model, Model] = {}
        self._opening: dict[Model, trio.Lock] = {}

    async def get(self, model: Model) -> Model:
        """Return the open model. Waits while somebody else is opening it. A checkpoint.

        Raises:
            ModelError: it can't be opened.
        """
        async with self._opening.setdefault(model, trio.Lock()):
            if model not in self._open:
                try:
                    await self._nursery.start(self._keep_open, model)
                except (TrioAgentError, ValueError, OSError) as exc:
                    raise ModelError("model-unavailable", str(exc)) from exc
            return self._open[model]

    async def _keep_open(self, model: Model, task_status: trio.TaskStatus[Any]) -> None:
        opened = False
        try:
            async with model.open() as self._open[model]:
                opened = True
                task_status.started()
                await trio.sleep_forever()
        except Exception:
            if not opened:
                raise
            # Its runs are told by their requests; the next run opens it anew.
            logger.exception("model %r broke down", model)
        finally:
            self._open.pop(model, None)
