"""Runs as they stand in lists."""

import msgspec
import pytest
from store_kit import finish, record

from trio_agent._events import ErrorDetail, RunError
from trio_agent._log.log import Append, Entry
from trio_agent._run.listed import ListedRun, RunPage, listed
from trio_agent.stores._memory import MemoryStore

FAILED = Append("r", 1, [Entry.of(1, RunError(at=0, error=ErrorDetail("odd", "it broke")))])


@pytest.mark.parametrize(
    ("end", "status", "error"),
    [
        (None, "active", None),
        (finish("r", 1), "stop", None),
        (FAILED, "error", ErrorDetail("odd", "it broke")),
    ],
)
async def test_what_is_shown(end: Append | None, status: str, error: ErrorDetail | None) -> None:
    store = MemoryStore()
    await store.create(record("r", owner="ann", metadata={"n": 1}, created_at=7))
    if end is not None:
        await store.append([end])
    found = listed(await store.info("r"))
    assert found == ListedRun("r", "a", status, 7, {"n": 1}, "ann", error)
    read = msgspec.json.decode(msgspec.json.encode(RunPage((found,), "r")), type=RunPage)
    assert read == RunPage((found,), "r")


async def test_a_run_that_sleeps_waits() -> None:
    store = MemoryStore()
    created = await store.create(record("r"))
    assert created.lease is not None
    assert await store.park(created.lease, 0, None)
    assert listed(await store.info("r")).status == "waiting"
    await store.request_cancel("r", "enough")
    assert listed(await store.info("r")).status == "active"
