"""What has ended is removed from Valkey: a run that is named, or what is not kept.

An idempotency key lives in another slot than its run: its proposal is given an end first. A crash
in between leaves a run that still has its key.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

import attrs

from ..._limits import Retention
from ..._log.surplus import Idle, surplus
from ._calls import Calls
from ._client import ValkeyClient
from ._owned import OwnedCalls, named, who_has_more
from ._script import Call
from ._threads import ThreadCalls

_SURVEYED: Final = 100
"""Finished runs and idle threads of each partition that are looked at in one go."""


async def expire(
    client: ValkeyClient,
    calls: Calls,
    threads: ThreadCalls,
    owned: OwnedCalls,
    retention: Retention,
) -> Sequence[str]:
    """See `Store.expire`."""
    removed = await _expire(client, calls, threads, calls.survey(_SURVEYED), retention)
    size = retention.owner_bytes
    if size == math.inf:
        return removed
    owners = named(await client.call_all(owned.above(size)))
    if owners:
        owners = who_has_more(owners, await client.call_all(owned.shares(owners)), size)
    of_each = retention.of_each_owner()
    for owner in owners:
        survey = owned.survey(owner, _SURVEYED)
        removed += await _expire(client, calls, threads, survey, of_each)
    return removed


async def _expire(
    client: ValkeyClient,
    calls: Calls,
    threads: ThreadCalls,
    survey: Sequence[Call],
    retention: Retention,
) -> list[str]:
    removed: list[str] = []
    more = True
    while more:
        ended, idle, more = choose(await client.call_all(survey), retention)
        await client.call_all([threads.remove_idle(each.name, each.at) for each in idle])
        runs = [run.name for run in ended]
        replies = await remove(client, calls, runs)
        more = more and (bool(idle) or any(reply != b"active" for reply in replies))
        removed += [
            run_id
            for run_id, reply in zip(runs, replies, strict=True)
            if reply == b"removed"  # By us.
        ]
    return removed


async def remove(client: ValkeyClient, calls: Calls, run_ids: Sequence[str]) -> Sequence[bytes]:
    """Remove finished runs; return what became of each."""
    replies = await client.call_all([calls.removable(run_id) for run_id in run_ids])
    found = {
        run_id: reply
        for run_id, reply in zip(run_ids, replies, strict=True)
        if not isinstance(reply, bytes)
    }
    await client.call_all(
        [calls.forget(run_id, key.decode()) for run_id, (_, key) in found.items() if key]
    )
    removed = await client.call_all(
        [calls.remove(run_id, record) for run_id, (record, _) in found.items()]
    )
    outcomes: dict[str, bytes] = dict(zip(run_ids, replies, strict=True))
    outcomes.update(zip(found, removed, strict=True))
    return [*outcomes.values()]


@attrs.frozen
class Ended:
    """What a survey has found: a finished run, or an idle thread."""

    name: str
    """The run's id, or the thread's digest."""
    at: int
    """When it ended, in milliseconds by its partition's clock."""
    since: float
    """When it ended, in seconds: 0 is when the last partition was looked at."""


def choose(surveys: Sequence[Any], retention: Retention) -> tuple[list[Ended], list[Ended], bool]:
    """Choose what to remove after a survey: runs, threads, and whether to survey again then."""
    # Partitions are looked at one after another; which run is older must not depend on that.
    latest = max(time for time, _, _ in surveys)
    runs, more_runs = _in_view([(time, page) for time, (_, _, page), _ in surveys], latest)
    threads, more_threads = _in_view([(time, page) for time, _, (_, _, page) in surveys], latest)
    gone_runs, gone_threads = surplus(
        runs,
        threads,
        retention,
        now=0,
        count=sum(count for _, (count, _, _), _ in surveys),
        size=sum(int(size) for _, *kinds in surveys for _, size, _ in kinds),
    )
    # Where all in view go and there is more, that comes before whatever is younger.
    end = math.inf
    if len(gone_runs) == len(runs):
        end = more_runs
    if len(gone_threads) == len(threads):
        end = min(end, more_threads)
    return (
        [run for run in gone_runs if run.since <= end],
        [thread for thread in gone_threads if thread.since <= end],
        end < math.inf,
    )


def _in_view(pages: Sequence[tuple[int, Any]], latest: int) -> tuple[list[Idle[Ended]], float]:
    """Return what is surely the oldest, and since when there may be more."""
    found: list[Idle[Ended]] = []
    end = math.inf
    for time, page in pages:
        for name, age, size in page:
            since = (time - age - latest) / 1000
            found.append(Idle(Ended(name.decode(), time - age, since), since, int(size)))
        # Behind a full page there is more, perhaps older than what other partitions still have.
        if len(page) == _SURVEYED:
            end = min(end, found[-1].since)
    found.sort(key=lambda idle: (idle.since, idle.key.name))
    return [idle for idle in found if idle.since <= end], end
