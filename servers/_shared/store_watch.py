"""Whether the store would take a run now, known before anybody asks."""

import logging
from typing import Final

import trio

from trio_agent import StoreUnavailable
from trio_agent.abc import Store

logger = logging.getLogger("trio_agent.servers")

_EVERY: Final = 1.0
"""Seconds between two looks."""

_PATIENCE: Final = 3.0
"""Seconds after which a store that has not answered counts as away."""

_SILENT: Final = f"it has not answered for {_PATIENCE:g} s"


class StoreWatch:
    """Asks a store again and again, and remembers.

    Args:
        store: it is open as long as `run` runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._problem: str | None = None
        self._asked_at: float | None = None

    @property
    def problem(self) -> str | None:
        """Why runs would not be taken now, None if they would or nobody has looked."""
        # A check may hang where it can't be cancelled, such as in a thread.
        asked_at = self._asked_at
        if asked_at is not None and trio.current_time() > asked_at + _PATIENCE:
            return _SILENT
        return self._problem

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            self._asked_at = trio.current_time()
            problem: str | None = _SILENT
            with trio.move_on_after(_PATIENCE):
                problem = await self._ask()
            self._asked_at = None
            self._remember(problem)
            await trio.sleep(_EVERY)

    async def _ask(self) -> str | None:
        try:
            await self._store.check()
        except StoreUnavailable as exc:
            return str(exc)
        except Exception:
            if self._problem is None:
                logger.exception("checking the store failed by a bug")
            return "checking it failed by a bug"
        return None

    def _remember(self, problem: str | None) -> None:
        if problem is not None and self._problem is None:
            logger.warning("not ready, the store is away: %s", problem)
        elif problem is None and self._problem is not None:
            logger.warning("the store is back")
        self._problem = problem
