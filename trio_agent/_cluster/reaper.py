"""Runs whose worker died: any process that shares the store closes their logs."""

import logging
from collections.abc import Callable
from typing import Final

import trio

from .._errors import CursorExpired, LogDamaged, UnknownRun
from .._log.store import Store
from .._log.trouble import Trouble
from .closing import close_log

logger = logging.getLogger("trio_agent")

_AT_ONCE: Final = 100


async def reap(store: Store, is_ours: Callable[[str], bool], every: float) -> None:
    """Close the logs of runs that nobody holds, now and `every` so many seconds. Never returns.

    Each gets exactly one `error` event, `worker-lost`: of several reapers, one gets the claim.
    Runs that live here are left alone: their leases ended because the store was away.
    """
    looking = Trouble("could not look for runs without a worker")
    closing = Trouble("run %s has lost its worker, and could not be closed")
    while True:
        try:
            after = ""
            while found := await store.orphans(after, _AT_ONCE):
                after = found[-1]
                for run_id in found:
                    if not is_ours(run_id):
                        try:
                            await _reap_run(store, run_id)
                        except Exception as exc:
                            closing.tell(exc, run_id)
        except Exception as exc:
            looking.tell(exc)
        await trio.sleep(every)


async def _reap_run(store: Store, run_id: str) -> None:
    try:
        lease = await store.claim(run_id)
        if lease is not None:
            message = "the process that worked on this run is gone"
            outcome = await close_log(store, lease, "worker-lost", message)
            logger.warning("run %s had lost its worker: %s", run_id, outcome.value)
    except LogDamaged as exc:
        logger.warning("run %s lost its worker and can't be closed: %s", run_id, exc)
    except (UnknownRun, CursorExpired):
        logger.info("run %s was removed meanwhile", run_id)
