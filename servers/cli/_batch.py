"""``trio-agent batch``: one agent over the lines of a file, taken up where it stopped."""

import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import attrs

from trio_agent import (
    Agent,
    ModelError,
    Retention,
    RuntimeLimits,
    StoreUnavailable,
    open_runtime,
)
from trio_agent.abc import Store

from ._bar import Bar
from ._inputs import Item, read_items
from ._results import Results, is_failure, open_results, outcome_of
from ._say import say
from ._usage import UsageError


@attrs.frozen(kw_only=True)
class BatchOptions:
    """What the command line says."""

    agent: Agent
    prompts: Path
    out: Path
    concurrency: int
    deadline: float | None
    store: Store | None
    retry_failed: bool = False
    """Whether inputs whose last result is not `stop` are run again."""


async def batch(options: BatchOptions) -> int:
    """Run what is missing in the results; returns the status of the process, 1 if any failed.

    Raises:
        UsageError: a file can't be used, another batch is writing it, the results are those of
            other inputs or of another agent, or the model can't be used.
        StoreUnavailable: the store can't be used, or not any more.
    """
    items = list(read_items(options.prompts))
    with open_results(options.out) as results:
        found = results.read(items, options.agent)
        done = {
            index: status
            for index, status in found.items()
            if not (options.retry_failed and is_failure(status))
        }
        if done:
            say(f"{len(done)} of {len(items)} were done before")
        await _run_missing(options, items, results, done)
    return _sum_up(done)


async def _run_missing(
    options: BatchOptions, items: list[Item], results: Results, done: dict[int, str]
) -> None:
    """Run what is not done, and add its statuses to those that are."""
    missing = [item for item in items if item.index not in done]
    bar = Bar(len(items), len(done), sum(map(is_failure, done.values())))
    limits = RuntimeLimits(
        max_streams=options.concurrency, retention=Retention(seconds=0, max_runs=0)
    )
    if options.store is not None:
        limits = attrs.evolve(limits, retention=Retention())
    async with open_runtime(store=options.store, limits=limits) as runtime:
        try:
            await runtime.check_model(options.agent)
        except (ModelError, ImportError) as exc:
            raise UsageError(f"the model can't be used: {exc}") from exc
        bar.show()
        async with runtime.map(
            options.agent,
            [item.value for item in missing],
            concurrency=options.concurrency,
            deadline=options.deadline,
        ) as mapping:
            async for mapped in mapping:
                if isinstance(mapped.error, StoreUnavailable):
                    raise mapped.error  # what is missing can be run later
                item = missing[mapped.index]
                outcome = outcome_of(options.agent, item, mapped, now=time.time())
                results.add(outcome)
                done[item.index] = outcome.status
                bar.step(failed=is_failure(outcome.status))


def _sum_up(done: Mapping[int, str]) -> int:
    failures = Counter(filter(is_failure, done.values()))
    if not failures:
        return 0
    kinds = ", ".join(f"{count} {status}" for status, count in sorted(failures.items()))
    say(f"failed: {kinds}; --retry-failed runs them again")
    return 1
