"""Rows that are damaged: an error of their run, told to those who ask for it, and of no other."""

import logging
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
import trio
from runtime_kit import quick
from sqlite_kit import last, opened, rows
from store_kit import deltas, finished, record

from trio_agent._errors import CursorExpired, LogDamaged, StoreUnavailable, TrioAgentError
from trio_agent._limits import Retention
from trio_agent._log.inbox import Delivery
from trio_agent._log.log import Appended
from trio_agent._log.store import Lease
from trio_agent._log.thread import Turn
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores.sqlite import _rows
from trio_agent.stores.sqlite._rows import (
    as_data,
    as_deliveries,
    as_page,
    as_record,
    as_run,
    as_thread,
    as_turn,
    listable,
    text,
    warn,
)
from trio_agent.stores.sqlite._store import SQLiteStore


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """As if nothing had been warned of before."""
    warn.cache_clear()
    yield
    warn.cache_clear()


RUN = (1, 1, 0, 3, 200, 0, None, 0.5, 0, 2, 9, 0, 0)
RECORD = ("e", "a", 0, None, '{"n":1}', None, "", None, None)
THREAD = (1, "t", None, "a", 2, 9, 7)
TURN = (3, "a", None, b"[]")


def test_what_is_well() -> None:
    run = as_run("a", RUN)
    assert (run.number, run.fence, run.tail, run.cancel_reason) == (1, 1, 3, None)
    assert as_record("a", RECORD) == record("a", metadata={"n": 1})
    entries = as_page("a", [(3, b"{}"), (4, b"[]")], 2, 4)
    assert [(each.offset, each.data, each.terminal) for each in entries] == [
        (3, b"{}", False),
        (4, b"[]", True),
    ]
    deliveries = [(3, "k", b"{}"), (4, "l", b"")]
    assert as_deliveries("a", deliveries, 2, 9) == [Delivery(*each) for each in deliveries]
    assert as_deliveries("a", deliveries, 2, 1) == [Delivery(3, "k", b"{}")]
    assert as_data("a", (b"\x00",)) == b"\x00"
    thread = as_thread("t", THREAD)
    assert (thread.name, thread.owner, thread.head) == ("t", None, "a")
    assert (thread.turns, thread.size, thread.updated_at) == (2, 9, 7)
    assert as_turn("t", TURN) == (3, Turn("a", None, b"[]"))
    assert text("ü".encode()) == "ü"
    assert listable("run_1-a")


@pytest.mark.parametrize("place", range(len(RUN)))
@pytest.mark.parametrize("value", ["x", b"x", -1, 1.5])
def test_a_run_that_is_none(place: int, value: object) -> None:
    row = [*RUN[:place], value, *RUN[place + 1 :]]
    if (place, value) in [(6, "x"), (7, 1.5), *((place, -1) for place in (2, 5, 7, 8, 11, 12))]:
        as_run("a", tuple(row))
    else:
        with pytest.raises(LogDamaged, match="what is stored of run 'a' is damaged"):
            as_run("a", tuple(row))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((0, value) for value in ("", "a b", "e\n", "ü", "e" * 33, b"e", None)),
        *((1, value) for value in (b"a", None, 1)),
        *((2, value) for value in ("x", 1.5, -1, None)),
        *((3, value) for value in (b"o", 1)),
        *((4, value) for value in ("", "{", "[1]", "7", b"{}", None, "[" * 5000, '{"n":NaN}')),
        (4, '{"n":' * 5000),
        (5, b"k"),
        *((6, value) for value in (b"", None)),
        *((place, value) for place in (7, 8) for value in (b"t", 1)),
    ],
)
def test_a_record_that_is_none(place: int, value: object) -> None:
    with pytest.raises(LogDamaged):
        as_record("a", (*RECORD[:place], value, *RECORD[place + 1 :]))


def test_no_record_at_all() -> None:
    for row in (None, RECORD[:-1]):
        with pytest.raises(LogDamaged):
            as_record("a", row)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((place, value) for place in (0, 4, 5, 6) for value in ("x", b"x", -1, 1.5, None)),
        *((1, value) for value in (b"t", 1, None)),
        *((place, value) for place in (2, 3) for value in (b"x", 1)),
    ],
)
def test_a_thread_that_is_none(place: int, value: object) -> None:
    with pytest.raises(LogDamaged, match="what is stored of thread 't' is damaged"):
        as_thread("t", (*THREAD[:place], value, *THREAD[place + 1 :]))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((0, value) for value in ("x", None)),
        *((1, value) for value in (b"a", None, 1)),
        *((2, value) for value in (b"a", 1)),
        *((3, value) for value in ("[]", None, 1)),
    ],
)
def test_a_turn_that_is_none(place: int, value: object) -> None:
    for row in (None, (*TURN[:place], value, *TURN[place + 1 :])):
        with pytest.raises(LogDamaged, match="of thread 't' is damaged"):
            as_turn("t", row)


@pytest.mark.parametrize("value", ["x", None, 7, 1.5])
def test_data_that_are_none(value: object) -> None:
    with pytest.raises(LogDamaged):
        as_data("a", (value,))


@pytest.mark.parametrize("rows", [[], [(4, b"{}")], [(3, "{}")], [("x", b"{}")], [(3, None)]])
def test_a_page_that_begins_with_a_hole(rows: list[tuple[object, object]]) -> None:
    with pytest.raises(LogDamaged):
        as_page("a", rows, 2, 0)
    assert len(as_page("a", [(1, b"{}"), (2, b"{}"), *rows], 0, 0)) == 2


@pytest.mark.parametrize(
    "rows",
    [[], [(4, "k", b"{}")], [("x", "k", b"{}")], [(3, b"k", b"{}")], [(3, "k", None)]],
)
def test_an_inbox_with_a_hole(rows: list[tuple[object, object, object]]) -> None:
    with pytest.raises(LogDamaged):
        as_deliveries("a", rows, 2, 9)
    assert len(as_deliveries("a", [(1, "i", b"{}"), (2, "j", b"{}"), *rows], 0, 9)) == 2


def test_text_that_is_none_stays_bytes() -> None:
    assert text(b"\xff") == b"\xff"


@pytest.mark.parametrize("run_id", ["", "a b", "../x", b"a", 7, None, "x" * 1000])
def test_ids_that_are_none_are_warned_of_once(
    run_id: object, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        assert not listable(run_id)
    [warning] = caplog.records
    assert "lists leave it out" in warning.getMessage()
    assert len(warning.getMessage()) < 200


def test_a_thread_is_warned_of_by_its_number(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        warn(7, "thread")
    warn(7)
    assert [" ".join(each.getMessage().split()[4:6]) for each in caplog.records] == [
        "thread 7",
        "run 7",
    ]


# In a file

DAMAGE = [
    *(f"UPDATE runs SET {column} = {value} WHERE run_id = 'bad'" for column, value in [
        ("fence", "'x'"), ("leased", "'x'"), ("tail", "'x'"), ("tail", "-1"), ("tail", "7"),
        ("tail", "1.5"), ("size", "'x'"), ("size", "-1"), ("news", "'x'"), ("finished_at", "'x'"),
        ("finished_at", "x'00'"), ("cancel_reason", "x'ff'"),
        ("cancel_reason", "cast(x'ff' AS TEXT)"),
        ("owner", "x'00'"), ("owner", "cast(x'ff' AS TEXT)"), ("idempotency_key", "x'00'"),
        ("run_id", "x'00'"), ("run_id", "cast(x'ff' AS TEXT)"), ("run_id", "''"),
        ("run_id", "'../x'"), ("due_at", "'x'"), ("due_at", "x'00'"), ("handed_over", "'x'"),
        ("delivered", "'x'"), ("delivered", "7"), ("delivered", "-1"), ("inbox_size", "'x'"),
        ("torn", "'x'"), ("thread", "x'00'"), ("thread", "'lost'"),
    ]),
    *(f"UPDATE records SET {column} = {value} WHERE run = 2" for column, value in [
        ("epoch", "'a b'"), ("epoch", "x'00'"), ("agent", "x'00'"), ("created_at", "'x'"),
        ("metadata", "'{'"), ("metadata", "'[1]'"), ("metadata", "cast(x'ff' AS TEXT)"),
        ("metadata", "replace(hex(zeroblob(3000)), '00', '[')"), ("digest", "x'00'"),
        ("follows", "x'00'"),
    ]),
    *(
        f"{act} WHERE run = 2"
        for table in ("privates", "blobs")
        for act in (f"UPDATE {table} SET data = 'x'", f"DELETE FROM {table}")
    ),
    "UPDATE privates SET offset = 'x' WHERE run = 2",
    *(f"UPDATE inbox SET {column} = {value} WHERE run = 2" for column, value in [
        ("number", "'x'"), ("number", "2"), ("key", "x'00'"), ("key", "cast(x'ff' AS TEXT)"),
        ("data", "'x'"), ("data", "cast(x'ff' AS TEXT)"),
    ]),
    "DELETE FROM inbox WHERE run = 2",
    "UPDATE blobs SET digest = x'00' WHERE run = 2",
    "DELETE FROM records WHERE run = 2",
    "DELETE FROM entries WHERE run = 2",
    "DELETE FROM entries WHERE run = 2 AND offset = 1",
    "DELETE FROM entries WHERE run = 2 AND offset = 2",
    "UPDATE entries SET data = '{}' WHERE run = 2 AND offset = 2",
    *(
        f"UPDATE entries SET data = x'{data.hex()}' WHERE run = 2 AND offset = {offset}"
        for data in (b"", b"{", b"\xff", b"[1]", b'{"type":"text-delta"}', b'{"type":\n"x"}')
        for offset in (1, 2, 4)
    ),
    "UPDATE entries SET offset = 'x' WHERE run = 2 AND offset = 2",
    "INSERT INTO viewers VALUES (2, 'w', 'x', 'x')",
    "UPDATE totals SET finished = 'x', size = x'00'",
    "DELETE FROM totals",
    "INSERT INTO garbage VALUES (99)",
    "DELETE FROM meta",
]  # fmt: skip


@pytest.mark.parametrize("active", [False, True], ids=["finished", "active"])
@pytest.mark.parametrize("statement", DAMAGE)
async def test_damage_is_of_one_run(path: Path, statement: str, active: bool) -> None:
    async with opened(path) as store:
        beside = {"private": b'{"messages":[]}', "blobs": {"f0": b"file"}}
        await finished(store, "a", 3, **beside)
        if active:
            await store.create(record("bad", **beside))
            await store.deliver("bad", "k", b"{}")
            await store.append([deltas("bad", 1, 4)])
        else:
            await finished(store, "bad", 3, **beside)
        await finished(store, "c", 3)
    with closing(sqlite3.connect(path)) as db:
        db.execute(statement)
        db.commit()
    with trio.fail_after(30):
        async with open_runtime(store=SQLiteStore(path)) as runtime:
            store = runtime.store
            listed = [info.record.run_id for info in await store.find(None, None, 10)]
            assert [each for each in listed if each != "bad"] == ["c", "a"]
            assert (await runtime.find("a")).status == "stop"
            assert await store.read_private("a", [0]) == [beside["private"]]
            assert await store.read_blob("a", "f0") == b"file"
            # Whoever asks for the damaged run gets an error, or an end.
            with suppress(LookupError):
                found = await runtime.find("bad")
                async with found.subscribe() as events:
                    with suppress(trio.BrokenResourceError):
                        assert [event async for event in events][-1].terminal
                with suppress(TrioAgentError):
                    await found.wait()
            for about in (store.deliver("bad", "k", b"{}"), store.inbox("bad", 0, 10)):
                with suppress(LookupError):
                    await about
            # The others begin, go on and end.
            assert (await (await runtime.start(quick(), "hi")).wait()).finish_reason == "stop"
            with suppress(LookupError):
                await store.append([deltas("bad", 5)])
                await store.renew([Lease("bad", 1)])
                await store.request_cancel("bad", "why")
                await store.delete("bad")
            for gone in (store.info("bad"), store.read_private("bad", [0])):
                with pytest.raises(LookupError):
                    await gone
            removed = await store.expire(Retention(seconds=0))
            assert {"a", "c"} <= set(removed)


async def test_a_damaged_run_harms_nobody_else_in_a_batch(path: Path) -> None:
    async with opened(path) as store:
        for run_id in ("a", "bad"):
            await store.create(record(run_id))
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE runs SET tail = 'x' WHERE run_id = 'bad'")
            db.commit()
        outcomes = await store.append([deltas("bad", 1), deltas("a", 1)])
        assert outcomes == [Appended.UNKNOWN, Appended.COMMITTED]
        assert await store.renew([Lease("bad", 1), Lease("a", 1)]) == [Lease("bad", 1)]
        assert await store.renew_epoch(Lease("bad", 1), "f") is Appended.UNKNOWN
        assert not await store.park(Lease("bad", 1), 0, None)
        await store.release(Lease("bad", 1))
        await store.release(Lease("a", 1))
        assert await store.orphans("", 1) == ["a"]
        for act in (store.info, store.claim):
            with pytest.raises(LogDamaged):
                await act("bad")
        await store.delete("bad")
        with pytest.raises(CursorExpired):
            await store.info("bad")


async def test_a_list_is_full_behind_damaged_runs(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(path) as store:
        for n in range(9):
            await finished(store, f"r{n}")
        with closing(sqlite3.connect(path)) as db:
            db.execute("UPDATE records SET metadata = '{' WHERE run IN (4, 5, 6, 9)")
            db.commit()
        for _ in range(2):
            first = await store.find(None, None, 3)
            assert [info.record.run_id for info in first] == ["r7", "r6", "r2"]
            rest = await store.find(None, "r3", 9)
            assert [info.record.run_id for info in rest] == ["r2", "r1", "r0"]
    warnings = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert len(warnings) == 4


@pytest.mark.parametrize("seed", range(24))
async def test_a_damaged_file_is_told_in_a_sentence(path: Path, seed: int) -> None:
    """Bytes anywhere in it, or its end, are not what they were."""
    async with opened(path) as store:
        for n in range(12):
            beside = {"private": b"p" * 300, "blobs": {"f0": b"b" * 300}}
            await finished(store, f"r{n}", 30, metadata={"n": "x" * 300}, **beside)
            await store.create(record(f"s{n}", thread=f"t{n}"))
            await store.append([last(f"s{n}", b"t" * 300)])
        await store.create(record("active"))
    chance = random.Random(seed)
    data = bytearray(path.read_bytes())
    if seed % 4 == 0:
        del data[chance.randrange(len(data)) :]
    for _ in range(chance.choice([5, 50, 500])):
        data[chance.randrange(len(data))] = chance.randrange(256)
    path.write_bytes(data)
    with suppress(StoreUnavailable):
        async with opened(path) as store:
            for n in range(12):
                for act in (
                    lambda: store.info(f"r{n}"),  # noqa: B023
                    lambda: store.read_private(f"r{n}", [0]),  # noqa: B023
                    lambda: store.read_blob(f"r{n}", "f0"),  # noqa: B023
                    lambda: store.read(f"r{n}", 0, 10),  # noqa: B023
                    lambda: store.find(None, f"r{n}", 10),  # noqa: B023
                    lambda: store.append([deltas("active", n + 1)]),  # noqa: B023
                    lambda: store.claim("active"),
                    lambda: store.deliver("active", f"k{n}", b"d" * 300),  # noqa: B023
                    lambda: store.inbox("active", 0, 10),
                    lambda: store.create(record(f"new{n}", idempotency_key=f"{n}")),  # noqa: B023
                    lambda: store.create(record(f"more{n}", thread=f"t{n}")),  # noqa: B023
                    lambda: store.thread(None, f"t{n}"),  # noqa: B023
                    lambda: store.threads(None, None, 10),
                    lambda: store.turns(None, f"t{n}", f"s{n}", 10),  # noqa: B023
                    lambda: store.delete_thread(None, f"t{n}"),  # noqa: B023
                    lambda: store.delete(f"r{n}"),  # noqa: B023
                    lambda: store.orphans("", 10),
                    lambda: store.expire(Retention(max_runs=5)),
                    store.check,
                ):
                    said = ""
                    try:
                        await act()
                    except TrioAgentError as exc:
                        said = str(exc)
                    assert str(path) not in said
    assert _rows.warn.cache_info().currsize <= 1000
    with suppress(sqlite3.Error):
        rows(path, "SELECT 1")
