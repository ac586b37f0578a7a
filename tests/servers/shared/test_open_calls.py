"""What a run that sleeps waits for, read from the end of its log."""

from collections.abc import Sequence

import pytest
from store_kit import record

from trio_agent import AnyEvent, MemoryStore, RunWaiting, TextDelta, ToolAsked, ToolRequest
from trio_agent.abc import Append, Entry
from trio_agent.servers._shared.open_calls import OpenCall, open_calls


def asked(call_id: str, kind: str = "approval", deadline: int | None = 5) -> ToolAsked:
    return ToolAsked(
        at=1, tool=ToolRequest(call_id, "pay", {"amount": 7}), kind=kind, deadline=deadline
    )


def waits(*calls: str) -> RunWaiting:
    return RunWaiting(at=1, calls=calls)


NOISE = [TextDelta(at=1, delta="x")]
ONE = OpenCall("1", "pay", {"amount": 7}, "approval", 5)
TWO = OpenCall("2", "pay", {"amount": 7}, "input", None)


@pytest.mark.parametrize(
    ("events", "found"),
    [
        ([asked("1"), waits("1")], [ONE]),
        ([asked("1"), asked("2", "input", None), waits("1", "2")], [ONE, TWO]),
        # One was answered, and the run sleeps again.
        ([asked("1"), asked("2", "input", None), waits("1", "2"), *NOISE, waits("2")], [TWO]),
        # Much was said since; the second one stands at the edge of what is read at once.
        ([asked("1"), *NOISE * 600, asked("2", "input", None), waits("1", "2")], [ONE, TWO]),
        ([*NOISE * 3, asked("1"), *NOISE * 255, waits("1")], [ONE]),
        ([*NOISE * 3, asked("1"), *NOISE * 254, waits("1")], [ONE]),
        # It goes on, or its log says less than it should.
        ([asked("1"), waits("1"), *NOISE], []),
        ([*NOISE * 3, waits("1")], []),
    ],
    ids=lambda events: str(len(events)),
)
async def test_calls(events: Sequence[AnyEvent], found: list[OpenCall]) -> None:
    store = MemoryStore()
    async with store.open():
        created = await store.create(record("r"))
        assert created.lease is not None
        entries = [Entry.of(number, event) for number, event in enumerate(events, 1)]
        await store.append([Append("r", created.lease.fence, entries)])
        assert await open_calls(store, await store.info("r")) == found
