"""What of finished runs and idle threads is more than a retention keeps, the oldest first."""

from collections.abc import Iterable
from typing import Generic, TypeVar

import attrs

from .._limits import Retention

_K = TypeVar("_K")
_RunKey = TypeVar("_RunKey")
_ThreadKey = TypeVar("_ThreadKey")


@attrs.frozen
class Idle(Generic[_K]):
    """A finished run, or a thread in which no run is active."""

    key: _K
    """What the store calls it."""
    since: float
    """When the run ended, or the thread's last one, in seconds of the store's clock."""
    size: int


def surplus(
    runs: Iterable[Idle[_RunKey]],
    threads: Iterable[Idle[_ThreadKey]],
    retention: Retention,
    *,
    now: float,
    count: int,
    size: int,
) -> tuple[list[_RunKey], list[_ThreadKey]]:
    """Return the runs and the threads that are not kept. No more of them is read than that.

    Args:
        runs: the finished ones, the oldest first.
        threads: the idle ones, the oldest first.
        retention: what is kept.
        now: what the store's clock says.
        count: how many finished runs there are.
        size: bytes of all runs and threads that count.
    """
    # Of each the oldest that is not looked at yet; None when all that are left stay.
    more_runs, more_threads = iter(runs), iter(threads)
    run, thread = next(more_runs, None), next(more_threads, None)
    gone_runs: list[_RunKey] = []
    gone_threads: list[_ThreadKey] = []
    while run is not None or thread is not None:
        if thread is None or (run is not None and run.since <= thread.since):
            assert run is not None, "there is one of them"
            if retention.keeps(run.since, now=now, runs=count, size=size):
                run = None
                continue
            gone_runs.append(run.key)
            count -= 1
            size -= run.size
            run = next(more_runs, None)
        elif retention.keeps_thread(thread.since, now=now, size=size):
            thread = None
        else:
            gone_threads.append(thread.key)
            size -= thread.size
            thread = next(more_threads, None)
    return gone_runs, gone_threads
