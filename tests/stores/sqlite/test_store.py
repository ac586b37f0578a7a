"""The SQLite store: real files, real processes, the real clock."""

import itertools
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing
from sqlite_kit import cannot_open, child, limit_pages, opened, rows
from store_kit import deltas, finish, finished, heard, record

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, StoreUnavailable
from trio_agent._events import AnyEvent, TextDelta
from trio_agent._limits import Retention, RuntimeLimits
from trio_agent._log.inbox import Delivered, Delivery
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Lease, Store
from trio_agent._log.subscription import Subscription
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores.sqlite._store import SQLiteStore, SQLiteStoreStatistics
from trio_agent.testing import (
    FaultyStore,
    InterruptingStore,
    ScriptedModel,
    Sweep,
    cancel_sweep,
    check_store,
)

# The contract


async def test_sqlite_keeps_the_contract(tmp_path: Path) -> None:
    numbers = itertools.count()

    @asynccontextmanager
    async def open_store() -> AsyncIterator[Store]:
        async with opened(tmp_path / f"{next(numbers)}.db") as store:
            yield store

    await check_store(open_store, lease=None)


async def test_what_was_committed_is_there_again(path: Path) -> None:
    store = SQLiteStore(path)
    assert store.durable
    full = record("a", owner="me", metadata={"ü": [1]}, idempotency_key="k", private=b"secret")
    full = attrs.evolve(full, blobs={"f0": b"file"})
    async with store.open():
        await store.create(full)
        await store.append([Append("a", 1, deltas("a", 1, 3).entries, {2: b"beside"})])
        await store.request_cancel("a", "why")
        await finished(store, "b")
        await finished(store, "c")
        await store.delete("c")
    async with store.open():
        assert (await store.create(full)).lease is None
        info = await store.info("a")
        assert (info.record, info.tail, info.cancel_reason) == (full.told(), 3, "why")
        assert await store.read_private("a", [0, 2]) == [b"secret", b"beside"]
        assert await store.read_blob("a", "f0") == b"file"
        page = await store.read("a", 1, 10)
        assert [entry.data for entry in page.entries] == [
            entry.data for entry in deltas("a", 2, 2).entries
        ]
        last = (await store.info("b")).last
        assert last is not None
        assert last.terminal
        with pytest.raises(CursorExpired):
            await store.info("c")


async def test_what_cannot_be_opened(tmp_path: Path) -> None:
    await cannot_open(tmp_path, "is a directory: give the path of a file")
    assert not Path(f"{tmp_path}.lock").exists()
    await cannot_open(tmp_path / "none" / "runs.db", "can't be opened: No such file")
    text = tmp_path / "text.db"
    text.write_text("Dear diary, " * 1000)
    await cannot_open(text / "runs.db", "can't be opened: Not a directory")
    await cannot_open(text, "the file is no database")
    assert text.read_text() == "Dear diary, " * 1000
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE theirs (x)")
    db.close()
    await cannot_open(other, "the database of another program")
    assert rows(other, "SELECT name FROM sqlite_master") == [("theirs",)]
    assert rows(other, "PRAGMA journal_mode") == [("delete",)]
    await cannot_open(tmp_path / "nothing.db", "the database can't be opened", follow=True)
    empty = tmp_path / "empty.db"
    empty.touch()
    await cannot_open(empty, "start a server of this version", follow=True)


async def test_statistics(path: Path) -> None:
    gate = threading.Event()
    async with opened(path) as store:
        assert store.statistics() == SQLiteStoreStatistics(0, 0, 0)
        async with store.watch(), trio.open_nursery() as nursery:
            for connection in (store._writer, store._reader):
                nursery.start_soon(connection.read, lambda db: gate.wait(30))
            await trio.testing.wait_all_tasks_blocked()
            for n in range(3):
                nursery.start_soon(store.create, record(f"r{n}"))
            nursery.start_soon(store.orphans, "", 1)
            await trio.testing.wait_all_tasks_blocked()
            assert store.statistics() == SQLiteStoreStatistics(writes=3, reads=1, watches=1)
            gate.set()
        assert store.statistics() == SQLiteStoreStatistics(0, 0, 0)


async def test_it_would_take_a_run(path: Path) -> None:
    async with opened(path) as store:
        await store.check()
        assert await store.find(None, None, 10) == []
        async with opened(path, follow=True) as follower:
            with pytest.raises(StoreUnavailable, match="only its server"):
                await follower.check()


def test_memory_is_no_file() -> None:
    with pytest.raises(ValueError, match="for memory there is MemoryStore"):
        SQLiteStore(":memory:")


async def test_a_file_that_is_removed_takes_no_more_runs(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.sqlite._place._LOOK", 0.0)
    go = trio.Event()
    limits = RuntimeLimits(store_patience=0.1, closing_bound=0.1)
    model = ScriptedModel(["a", go, "b"])
    async with open_runtime(store=SQLiteStore(path), limits=limits) as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        async with run.subscribe() as events:
            while not isinstance(await events.receive(), TextDelta):
                pass
            path.unlink()
            go.set()
            with pytest.raises(StoreUnavailable, match="removed or replaced"):
                await runtime.start(make_agent(), "hi")
            with pytest.raises(trio.BrokenResourceError):
                async for _ in events:
                    pass
        with pytest.raises(StoreUnavailable, match="removed or replaced"):
            await runtime.store.check()


async def test_retention_does_not_follow_a_clock_that_is_set(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    async with opened(path) as store:
        await finished(store, "before")
        for day in (86_400, -86_400):
            monkeypatch.setattr(time, "time", lambda day=day: real() + day)
            await finished(store, f"at{day}")
            assert await store.expire(Retention(seconds=300)) == []
        assert await store.expire(Retention(max_runs=1)) == ["before", "at86400"]


async def test_what_was_said_counts(path: Path) -> None:
    async with opened(path) as store:
        for n in range(3):
            await finished(store, f"r{n}", private=b"x" * 100_000)
        assert (await store.info("r0")).size > 100_000
        assert await store.expire(Retention(max_bytes=250_000)) == ["r0"]
    async with opened(path) as store:
        assert await store.expire(Retention(max_bytes=250_000)) == []
        assert await store.expire(Retention(max_bytes=150_000)) == ["r1"]


async def test_what_must_survive_the_machine_is_forced_to_the_disk(path: Path) -> None:
    async with opened(path) as store:
        db, _ = store._writer._open()
        forced: list[bool] = []

        def note(statement: str) -> None:
            if statement.startswith("PRAGMA synchronous"):
                forced.append(statement.endswith("FULL"))

        acts: list[tuple[Callable[[], Awaitable[object]], bool]] = [
            (lambda: store.create(record("a")), False),
            (lambda: store.append([deltas("a", 1)]), False),
            (lambda: store.deliver("a", "k", b"{}"), True),
            (lambda: store.park(Lease("a", 1), 1, 0), True),
            (lambda: store.claim("a"), True),
            (lambda: store.release(Lease("a", 3)), False),
            (lambda: store.request_cancel("a", "why"), False),
        ]
        db.set_trace_callback(note)
        for act, expected in acts:
            forced.clear()
            assert await act() is not False
            assert forced == ([True, False] if expected else [])


# Several processes


@pytest.mark.parametrize("moment", [1, 20, 200])
async def test_what_was_acknowledged_survives_sigkill(path: Path, moment: int) -> None:
    acknowledged = 0
    async with child("append", path) as (process, lines):
        with trio.fail_after(60), suppress(EOFError):
            for _ in range(moment):
                acknowledged = int(await lines.receive())
            process.kill()
            while True:
                acknowledged = int(await lines.receive())
    async with opened(path) as store:
        info = await store.info("a")
        assert info.tail >= acknowledged >= moment
        assert (info.record.epoch, info.leased) == ("e", False)
        entries = (await store.read("a", 0, info.tail + 1)).entries
        assert [entry.event for entry in entries] == [
            TextDelta(at=0, delta=str(n + 1)) for n in range(info.tail)
        ]
        lease = await store.claim("a")
        assert lease is not None
        more = deltas("a", info.tail + 1, fence=lease.fence)
        assert await store.append([more]) == [Appended.COMMITTED]


async def test_a_follower_in_another_process(path: Path) -> None:
    async with opened(path) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a", log=False)
        await heard(watch, "a")
        async with child("follow", path) as (_, lines):
            await lines.until("0")
            await store.append([deltas("a", 1, 2)])
            await lines.until("2")
            await store.append([deltas("a", 3)])
            await lines.until("3")
            await heard(watch, "a")
            assert (await store.info("a")).cancel_reason == "from afar"
            await store.append([finish("a", 4)])
            await lines.until("4")
            await store.delete("a")
            await lines.until("CursorExpired")


async def test_an_answer_through_another_process(path: Path) -> None:
    async with opened(path) as store, store.watch() as watch:
        created = await store.create(record("a"))
        assert created.lease is not None
        assert await store.park(created.lease, 0, None)
        watch.add("a", log=False)
        await heard(watch, "a")
        async with child("answer", path) as (_, lines):
            await lines.until("DELIVERED")
            await heard(watch, "a")
        assert await store.orphans("", 10) == ["a"]
        assert await store.inbox("a", 0, 10) == [Delivery(1, "k", b"from afar")]


async def test_a_follower_looks_on(path: Path) -> None:
    async with opened(path) as store, opened(path, follow=True) as follower:
        await store.create(record("a"))
        await store.append([deltas("a", 1, 2)])
        assert await follower.info("a") == await store.info("a")
        assert await follower.find(None, None, 5) == await store.find(None, None, 5)
        assert len((await follower.read("a", 0, 10)).entries) == 2
        assert await follower.renew([Lease("a", 1), Lease("a", 2)]) == [Lease("a", 2)]
        assert await follower.orphans("", 1) == []
        assert await follower.expire(Retention(max_runs=0)) == []
        assert await follower.deliver("a", "k", b"{}") is Delivered.DELIVERED
        assert await follower.inbox("a", 0, 10) == await store.inbox("a", 0, 10) != []
        await follower.set_viewers("a", "f", 2)
        assert (await store.info("a")).viewers == 2
        refused: list[Callable[[], Awaitable[object]]] = [
            lambda: follower.create(record("b")),
            lambda: follower.append([deltas("a", 3)]),
            lambda: follower.claim("a"),
            lambda: follower.release(Lease("a", 1)),
            lambda: follower.park(Lease("a", 1), 1, None),
            lambda: follower.renew_epoch(Lease("a", 1), "f"),
            lambda: follower.delete("a"),
        ]
        for call in refused:
            with pytest.raises(StoreUnavailable, match="only its server can do this"):
                await call()


# Runs


def make_agent(count: int = 20) -> Agent:
    return Agent(model=ScriptedModel([f"word{n} " for n in range(count)]))


async def follow(events: Subscription) -> list[AnyEvent]:
    with events:
        return [event async for event in events]


async def events_of(store: Store, run_id: str) -> list[AnyEvent]:
    page = await store.read(run_id, 0, 1000)
    assert page.closed
    return [event for entry in page.entries if (event := entry.event) is not None]


async def test_a_run_and_its_readers(path: Path) -> None:
    store = SQLiteStore(path)
    seen: list[list[AnyEvent]] = []
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(make_agent(), "hi")

        async def live() -> None:
            seen.append(await follow(run.subscribe()))

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(live)
        result = await run.wait()
        seen.append(await follow(run.subscribe()))
        tail = await follow(run.subscribe(after=15))
    async with opened(path) as again:
        log = await events_of(again, run.id)
    assert result.text == "".join(f"word{n} " for n in range(20))
    assert seen == [log] * 4
    assert tail == log[15:]
    assert [event.terminal for event in log] == [False] * (len(log) - 1) + [True]


async def test_runs_are_committed_in_groups(path: Path) -> None:
    store = FaultyStore(SQLiteStore(path))
    async with open_runtime(store=store) as runtime:
        runs = [await runtime.start(make_agent(50), "hi") for _ in range(20)]
        for run in runs:
            await run.wait()
        for run in runs:
            assert len(await events_of(store, run.id)) == 50 + 5
    assert store.calls["append"] < 100


async def test_a_run_waits_for_room_on_the_disk(path: Path) -> None:
    store = SQLiteStore(path)
    go = trio.Event()
    model = ScriptedModel(["a", go, "x" * 100_000, "b"])
    async with open_runtime(store=store) as runtime:
        run = await runtime.start(Agent(model=model), "hi")
        with run.subscribe() as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    break
            await limit_pages(store, 1)
            go.set()
            with pytest.raises(StoreUnavailable, match="disk is full"):
                await store.create(record("probe", private=b"x" * 100_000))
            await limit_pages(store, 1_000_000)
            rest = [event async for event in events]
        assert (await run.wait()).text == "a" + "x" * 100_000 + "b"
        assert rest[-1].terminal
        assert len(await events_of(store, run.id)) == 1 + 1 + 3 + 3


def test_cancelled_at_every_operation(tmp_path: Path) -> None:
    numbers = itertools.count()

    async def scenario(sweep: Sweep) -> None:
        path = tmp_path / f"{next(numbers)}.db"
        with sweep:
            store = InterruptingStore(SQLiteStore(path), sweep.point)
            async with open_runtime(store=store) as runtime:
                run = await runtime.start(make_agent(3), "hi", idempotency_key="k")
                with run.subscribe() as events:
                    async for _ in events:
                        pass
                await run.wait()
        async with opened(path) as after:
            runs = await after.find(None, None, 10)
            assert len(runs) <= 1
            for info in runs:
                if info.tail:
                    log = await events_of(after, info.record.run_id)
                    assert [event.terminal for event in log] == [False] * (len(log) - 1) + [True]
                else:
                    assert info.active
                    assert not info.leased

    assert cancel_sweep(scenario, steps=False, clock=lambda: None) >= 8
