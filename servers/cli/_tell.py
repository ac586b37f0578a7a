"""``trio-agent answer`` and ``trio-agent say``: what a person tells a run that is under way.

A server does it at once. In a store it is put into the run's inbox; whoever works on the run takes
it from there, so that it is whole even if nobody does now.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio

from trio_agent import Run, open_run
from trio_agent.abc import Store
from trio_agent.client import Client, open_client

from ._say import say
from ._usage import UsageError

_PATIENCE: Final = 5.0
"""Seconds for who works on a run to take what is in its inbox."""

_LATER: Final = (
    "it is in the run's inbox: whoever works on the run takes it before the next step; if that is"
    " nobody, a server that is started with this store and the run's agent does"
)


async def tell_at(url: str, token: str | None, tell: Callable[[Client], Awaitable[None]]) -> int:
    """Tell a run something through its server.

    Raises:
        UsageError: that is no answer to what was asked.
    """
    async with open_client(url, token=token) as client:
        await _checked(tell(client))
    return 0


async def tell_in(store: Store, run_id: str, tell: Callable[[Run[Any]], Awaitable[None]]) -> int:
    """Tell a run something in a store, and wait a moment until it has taken it.

    Raises:
        UsageError: that is no answer to what was asked.
    """
    async with open_run(store, run_id) as run:
        with trio.move_on_after(_PATIENCE) as patience:
            await _checked(tell(run))
    if patience.cancelled_caught:
        say(_LATER)
    return 0


async def _checked(telling: Awaitable[None]) -> None:
    try:
        await telling
    except ValueError as exc:
        raise UsageError(str(exc)) from exc
