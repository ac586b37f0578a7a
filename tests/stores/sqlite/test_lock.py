"""One server per file, and the id of the machine's life."""

import errno
import stat
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import trio
from sqlite_kit import cannot_open, child, opened
from store_kit import record

from trio_agent._errors import StoreUnavailable
from trio_agent.stores.sqlite._lock import boot_id, is_served, serving
from trio_agent.stores.sqlite._store import SQLiteStore


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_lock_ends_with_its_context(path: Path) -> None:
    for _ in range(2):
        with suppress(KeyError), serving(path), serving(path.with_name("other.db")):
            with (
                pytest.raises(StoreUnavailable, match=r"in use by another server.*follow=True"),
                serving(path),
            ):
                pytest.fail("two servers")
            raise KeyError


def test_whether_there_is_a_server(path: Path) -> None:
    assert not is_served(path)
    with serving(path):
        assert is_served(path)
    assert not is_served(path)
    path.with_name("runs.db.lock").unlink()
    path.with_name("runs.db.lock").mkdir()  # it can't be looked at
    assert is_served(path)


def test_a_server_starts_while_somebody_looks(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ExitStack() as looking:
        looking.enter_context(serving(path))
        monkeypatch.setattr("time.sleep", lambda _: looking.close())
        with serving(path):
            assert is_served(path)


async def test_claims_end_with_the_server_for_those_who_look_on(path: Path) -> None:
    looking_on = SQLiteStore(path, follow=True)
    async with opened(path) as store:
        await store.create(record("a"))
        async with looking_on.open():
            assert (await looking_on.info("a")).leased
    async with looking_on.open():
        assert not (await looking_on.info("a")).leased
        assert [info.leased for info in await looking_on.find(None, None, 9)] == [False]


async def test_what_cannot_be_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("trio_agent.stores.sqlite._lock.lock_file", refuse)
    await cannot_open(path, "can't be locked: No locks available")
    assert not path.exists()


def test_a_file_that_is_there_stays_as_it_is(path: Path) -> None:
    path.write_bytes(b"not ours to look at")
    path.chmod(0o640)
    with serving(path):
        pass
    assert (path.read_bytes(), mode(path)) == (b"not ours to look at", 0o640)


def test_one_life_of_the_machine_has_one_id(monkeypatch: pytest.MonkeyPatch) -> None:
    assert boot_id() == boot_id() != ""
    monkeypatch.setattr(Path, "read_text", raise_os_error)
    assert boot_id() == ""


async def test_the_files_are_for_nobody_else(path: Path) -> None:
    async with opened(path) as store:
        await store.create(record("a", private=b"secret"))
        files = {each.name: mode(each) for each in path.parent.iterdir()}
    assert files == dict.fromkeys(("runs.db", "runs.db-wal", "runs.db-shm", "runs.db.lock"), 0o600)
    path.chmod(0o640)
    async with opened(path):
        assert mode(path) == 0o640


async def test_open_twice(path: Path) -> None:
    store = SQLiteStore(path)
    async with store.open():
        for each in (store, SQLiteStore(path)):
            with pytest.raises(StoreUnavailable, match="in use by another server"):
                async with each.open():
                    pytest.fail("two servers")
        follower = SQLiteStore(path, follow=True)
        async with follower.open():
            with pytest.raises(StoreUnavailable, match="open already"):
                async with follower.open():
                    pytest.fail("twice")
            assert await follower.find(None, None, 1) == []
        await store.create(record("a"))


async def test_another_server_has_the_file(path: Path) -> None:
    async with child("hold", path) as (process, lines):
        await lines.until("ready")
        await cannot_open(path, "in use by another server: stop that one")
        process.kill()
        with trio.fail_after(60):
            await process.wait()
        async with opened(path) as store:
            await store.create(record("a"))


async def test_a_machine_without_a_boot_id(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "read_text", raise_os_error)
    async with opened(path) as store:
        await store.create(record("a"))
    async with opened(path) as store:
        assert (await store.info("a")).record.epoch == "e"


def raise_os_error(path: Path) -> str:
    raise FileNotFoundError(path)
