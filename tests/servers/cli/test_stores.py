"""`trio-agent runs` and `trio-agent show`: a store as the terminal sees it."""

import signal
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import trio
from cli_kit import command, fill, finish, refused
from process_kit import Viewers, open_process, open_server
from valkey_kit import ValkeyServer, running_server

from trio_agent import MemoryStore, RunError, SQLiteStore, TextDelta
from trio_agent._events import ErrorDetail
from trio_agent.abc import Append, Entry, RunInfo, RunRecord, Store
from trio_agent.client import open_client
from trio_agent.servers.cli._stores import _sqlite_path, list_runs, list_threads, make_store
from trio_agent.servers.cli._usage import UsageError
from trio_agent.testing import StoreProxy


class TestRuns:
    async def test_all_that_there_is(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        name = f"sqlite:{tmp_path / 'runs.db'}"
        store = make_store(name)
        async with store.open():
            await fill(store, "one", TextDelta(at=0, delta="x"), finish("length"))
            await fill(store, "two", RunError(at=0, error=ErrorDetail("worker-lost", "gone")))
            await fill(store, "three", agent="other")
            # Beside the server, too.
            assert await list_runs(make_store(name, follow=True)) == 0
        when = "2023-11-14T22:13:20+00:00"
        assert [line.split("\t") for line in capsys.readouterr().out.splitlines()] == [
            ["three", "other", "active", "0 events", when],
            ["two", "a", "error worker-lost", "1 events", when],
            ["one", "a", "length", "2 events", when],
        ]
        # Its server is dead, of which the file does not tell.
        await list_runs(make_store(name, follow=True))
        assert capsys.readouterr().out.split("\t")[2] == "without a worker"
        # Another server has taken the file.
        async with SQLiteStore(tmp_path / "runs.db").open():
            await list_runs(make_store(name, follow=True))
        assert capsys.readouterr().out.split("\t")[2] == "without a worker"

    async def test_several_pages(
        self,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("trio_agent.servers.cli._stores._PAGE", 2)
        store = MemoryStore()
        for number in range(5):
            await fill(store, f"r{number}")
        await list_runs(store)
        shown = [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]
        assert shown == ["r4", "r3", "r2", "r1", "r0"]

    async def test_run_that_is_removed_meanwhile(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class Sweeping(StoreProxy):
            async def find(
                self, owner: str | None, before: str | None, limit: int, thread: str | None = None
            ) -> Sequence[RunInfo]:
                found = await super().find(owner, before, limit, thread)
                await self.delete(found[-1].record.run_id)
                return found

        monkeypatch.setattr("trio_agent.servers.cli._stores._PAGE", 1)
        store = Sweeping(MemoryStore())
        for run_id in ("one", "two"):
            await fill(store, run_id, finish())
        with pytest.raises(UsageError, match="try again"):
            await list_runs(store)


class TestThreads:
    async def test_of_one_owner_that_in_which_something_happened_last_first(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("trio_agent.servers.cli._stores._PAGE", 1)
        store = MemoryStore()
        await take_turn(store, "one", thread="a\x1b[2J")
        await take_turn(store, "two", thread="b")
        await take_turn(store, "three", thread="b", owner="ann")
        await store.create(RunRecord("four", "e", "a", 0, thread="c"))
        await list_threads(store, None)
        lines = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
        names = [(name, turns, active) for name, turns, active, _ in lines]
        expected = [("a[2J", "1 turns", "idle"), ("b", "1 turns", "idle")]
        assert sorted(names) == [*expected, ("c", "0 turns", "active four")]
        times = [when for *_, when in lines]
        assert times == sorted(times, reverse=True)
        await list_threads(store, "ann")
        assert capsys.readouterr().out.split("\t")[:2] == ["b", "1 turns"]

    @pytest.mark.parametrize(
        ("owner", "thread", "found"),
        [
            (None, None, ["three", "two", "one"]),
            (None, "b", ["two"]),
            ("ann", None, ["three"]),
            ("ann", "b", ["three"]),
            ("ann", "a", []),
        ],
    )
    async def test_runs_of_one(
        self,
        owner: str | None,
        thread: str | None,
        found: list[str],
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        store = MemoryStore()
        await take_turn(store, "one", thread="a")
        await take_turn(store, "two", thread="b")
        await take_turn(store, "three", thread="b", owner="ann")
        await list_runs(store, owner=owner, thread=thread)
        shown = [line.partition("\t")[0] for line in capsys.readouterr().out.splitlines()]
        assert shown == found


async def take_turn(store: Store, run_id: str, *, thread: str, owner: str | None = None) -> None:
    await store.create(RunRecord(run_id, "e", "a", 0, owner=owner, thread=thread))
    await store.append([Append(run_id, 1, [Entry.of(1, finish())], turn=b"[]")])


class TestBesideAServer:
    """As real processes."""

    async def follow_one(self, store: str, cwd: Path) -> None:
        async with (
            open_server(store, cwd=cwd) as server,
            open_client(await server.url()) as client,
            trio.open_nursery() as nursery,
        ):
            group = Viewers(client)
            group.up.set()
            viewer = group.add("key", "2", agent="staring")
            nursery.start_soon(viewer.run)
            await group.until(lambda: viewer.events)
            arguments = ("show", viewer.run_id, "--json", "--store", store)
            async with open_process(*arguments, cwd=cwd) as show:
                await show.until(b'"tool-call"', show.stdout)
                code, out, _ = await command("runs", "--store", store, cwd=cwd)
                assert code == 0
                assert out.split("\t")[:3] == [viewer.run_id, "staring", "active"]
                async with open_process(*arguments, cwd=cwd) as other:
                    await other.until(b'"tool-call"', other.stdout)
                    other.process.send_signal(signal.SIGINT)
                    assert await other.process.wait() == 130
                    await other.finished()
                    assert other.stderr == b""
                await client.cancel(viewer.run_id)
                assert await show.process.wait() == 1
                await show.finished()
                seen = [event.data for event in viewer.events]
                assert show.stdout.decode().splitlines() == seen

    async def test_sqlite(self, tmp_path: Path) -> None:
        store = f"sqlite:{tmp_path / 'runs.db'}"
        await self.follow_one(store, tmp_path)
        # And without it.
        code, out, _ = await command("runs", "--store", store, cwd=tmp_path)
        assert code == 0
        run_id, _, status, *_ = out.split("\t")
        assert status == "cancelled"
        code, out, err = await command("show", run_id, "--store", store, cwd=tmp_path)
        assert code == 1
        assert "word0 word1" in out
        assert "<- cancelled" in out
        assert err == ""

    async def test_valkey(self, valkey: ValkeyServer, tmp_path: Path) -> None:
        await self.follow_one(valkey.url, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("runs", "--store", "memory"), "ask it for GET /runs"),
        (("runs", "--store", "sqlite:missing.db"), "missing.db"),
        (("runs", "--store", "sqlite:text.db"), "text.db: the file is no database"),
        (("show", "x", "--store", "sqlite:."), "the database can't be opened"),
        (("runs", "--store", "sqlite:"), "--store takes"),
        (("runs",), "--store"),
        (("show", "x", "--store", "sqlite:other.db"), "another program"),
        (("show", "x", "--store", "valkey://"), "--store: the URL names no host"),
        (("show", "x", "--store", "sqlite:mine.db"), "'x'"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("TRIO_AGENT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    with sqlite3.connect(tmp_path / "other.db") as db:
        db.execute("CREATE TABLE t (x)")
    db.close()
    (tmp_path / "text.db").write_text("text " * 1000)
    trio.run(make_file, tmp_path / "mine.db")
    err = refused([*arguments], capsys)
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err


async def make_file(path: Path) -> None:
    async with SQLiteStore(path).open():
        pass


@pytest.mark.parametrize("url", ["valkey://127.0.0.1:1", "rediss://127.0.0.1:1"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--model", "m"),
        ("batch", "p", "--out", "o", "--model", "m"),
        ("runs",),
        ("show", "x"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_valkey_where_its_client_is_not_installed(
    arguments: tuple[str, ...],
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, "glide", None)
    said = refused([*arguments, "--store", url], capsys)
    assert said == (
        "trio-agent: error: --store: ValkeyStore needs valkey-glide:"
        " pip install 'trio-agent[valkey]'\n"
    )


class TestNames:
    def test_memory(self) -> None:
        assert isinstance(make_store("memory"), MemoryStore)
        with pytest.raises(UsageError, match="can't be read from outside"):
            make_store("memory", follow=True)

    @pytest.mark.parametrize("path", ["runs.db", "/var/lib/runs.db", "C:runs.db", "a b.db"])
    def test_sqlite(self, path: str) -> None:
        store = make_store(f"sqlite:{path}")
        assert isinstance(store, SQLiteStore)
        assert not store.shared

    @pytest.mark.parametrize(
        ("name", "path"),
        [
            ("sqlite:runs.db", "runs.db"),
            ("sqlite:/abs/runs.db", "/abs/runs.db"),
            ("sqlite:///runs.db", "runs.db"),
            ("sqlite:///data/runs.db", "data/runs.db"),
            ("sqlite:////abs/runs.db", "/abs/runs.db"),
        ],
    )
    def test_paths_of_sqlite(
        self, name: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also as SQLAlchemy and those that follow it write them."""
        (tmp_path / "data").mkdir()
        monkeypatch.chdir(tmp_path)
        assert isinstance(make_store(name), SQLiteStore)
        assert _sqlite_path(name.removeprefix("sqlite:"), "--store") == Path(path)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("sqlite::memory:", "for a store that is no file, give memory"),
            ("sqlite:///:memory:", "for a store that is no file, give memory"),
            ("sqlite://", "for a store that is no file, give memory"),
            ("sqlite:///", "for a store that is no file, give memory"),
            ("sqlite://me:secret@host/runs.db", "SQLite has no host"),
            ("sqlite://runs.db", "SQLite has no host"),
            ("sqlite:///runs.db?timeout=5", "without options"),
            ("sqlite:file:runs.db", "without options"),
            ("sqlite:///srv/runs.db", "no folder 'srv' here; .*slashes: sqlite:////srv/runs.db"),
            (":memory:", " takes memory, sqlite:PATH or valkey://HOST:PORT"),
            ("postgres://me:secret@h/d", " takes memory, sqlite:PATH or valkey"),
        ],
    )
    def test_no_paths_of_sqlite(
        self, name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(UsageError, match=f"^--store.*{message}") as caught:
            make_store(name)
        assert "secret" not in str(caught.value)
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("scheme", ["valkey", "valkeys", "redis", "rediss"])
    def test_valkey(self, scheme: str) -> None:
        store = make_store(f"{scheme}://localhost", lease=7)
        assert (store.lease, store.shared) == (7, True)

    @pytest.mark.parametrize(
        "name", ["", "Memory", "sqlite", "sqlite:", "postgres://h", "valkey:h", "runs.db"]
    )
    @pytest.mark.parametrize("follow", [False, True])
    def test_others(self, name: str, follow: bool) -> None:
        with pytest.raises(UsageError, match="--store takes") as caught:
            make_store(name, follow=follow)
        assert ("memory" in str(caught.value)) != follow


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "valkey"
    folder.mkdir()
    with running_server(folder) as server:
        yield server
