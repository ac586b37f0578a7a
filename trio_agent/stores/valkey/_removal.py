"""Runs that have ended are removed: one that is named, or what a retention doesn't keep.

An idempotency key lives in another slot than its run: its proposal is given an end first. A crash
in between leaves a run that still has its key.
"""

import math
from collections.abc import Sequence
from typing import Any, Final

from ..._limits import Retention
from ._calls import Calls
from ._client import ValkeyClient
from ._owned import OwnedCalls, named, who_has_more
from ._script import Call

_SURVEYED: Final = 100
"""Finished runs of each partition that are looked at in one go."""


async def expire(
    client: ValkeyClient, calls: Calls, owned: OwnedCalls, retention: Retention
) -> Sequence[str]:
    """See `Store.expire`."""
    removed = await _expire(client, calls, calls.survey(_SURVEYED), retention)
    size = retention.owner_bytes
    if size == math.inf:
        return removed
    owners = named(await client.call_all(owned.above(size)))
    if owners:
        owners = who_has_more(owners, await client.call_all(owned.shares(owners)), size)
    of_each = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=size)
    for owner in owners:
        removed += await _expire(client, calls, owned.survey(owner, _SURVEYED), of_each)
    return removed


async def _expire(
    client: ValkeyClient, calls: Calls, survey: Sequence[Call], retention: Retention
) -> list[str]:
    removed: list[str] = []
    more = True
    while more:
        surveys = await client.call_all(survey)
        chosen, more = choose(surveys, retention)
        replies = await remove(client, calls, chosen)
        more = more and any(reply != b"active" for reply in replies)
        removed += [
            run_id
            for run_id, reply in zip(chosen, replies, strict=True)
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


def choose(surveys: Sequence[Any], retention: Retention) -> tuple[list[str], bool]:
    """Choose what to remove after a survey, and tell whether to survey again then."""
    count = sum(survey[0] for survey in surveys)
    size = sum(int(survey[1]) for survey in surveys)
    # Partitions are looked at one after another; which run is older must not depend on that.
    latest = max(survey[3] for survey in surveys)
    runs = [
        (latest - survey[3] + age, run_id, int(bytes_))
        for survey in surveys
        for run_id, age, bytes_ in survey[2]
    ]
    # Behind a full page there is more, perhaps older than what other partitions still have.
    full = [
        latest - survey[3] + survey[2][-1][1] for survey in surveys if len(survey[2]) == _SURVEYED
    ]
    youngest = max(full, default=0)
    chosen: list[str] = []
    for age, run_id, bytes_ in sorted(runs, key=lambda run: (-run[0], run[1])):
        if age < youngest:
            return chosen, True
        if retention.keeps(0, now=age / 1000, runs=count, size=size):
            return chosen, False
        chosen.append(run_id.decode())
        count -= 1
        size -= bytes_
    return chosen, bool(full)
