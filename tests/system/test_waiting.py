"""Runs wait for a person while their servers are killed, drained and replaced.

What people say is never lost, and becomes one event.
"""

import random
import signal
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from place_kit import Place
from process_agents import ASKING, CONTINUATIONS, agents, noted
from process_forks import Forked, Way, open_forks, open_ways
from process_kit import PATIENCE, Viewer, Viewers
from thorough_kit import rounds
from valkey_kit import ValkeyServer

from trio_agent import (
    RunContinued,
    RunError,
    RunFinish,
    RunWaiting,
    SQLiteStore,
    StepDiscard,
    ToolAnswered,
    ToolResult,
    ValkeyStore,
    open_runtime,
)
from trio_agent._log.inbox import Delivered
from trio_agent._run.items import Answer, encode_item
from trio_agent.abc import Store


def said_in(viewer: Viewer) -> list[object]:
    return [event.event for event in viewer.events]


def waits(viewer: Viewer) -> bool:
    return bool(viewer.events) and isinstance(viewer.events[-1].event, RunWaiting)


async def asleep(way: Way, viewer: Viewer) -> None:
    """Wait until nobody holds it: soon behind the event that says so."""
    while (await way.http.info(viewer.run_id))["status"] != "waiting":
        pass


@asynccontextmanager
async def waiting_run(place: Place, key: str = "key") -> AsyncIterator[tuple[Viewers, Viewer]]:
    """Start a run of the first server that waits, seen through the second; see it to its end."""
    group = Viewers(place.second.http)
    viewer = group.add(key, "go", "asking")
    await place.first.start(viewer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(viewer.follow, place.second.http)
        await group.until(lambda: waits(viewer))
        await asleep(place.second, viewer)
        yield group, viewer
        await group.until(lambda: viewer.ended)


async def check_answered(place: Place, viewer: Viewer, reasons: Sequence[str]) -> None:
    """It was answered once, and went on for these reasons."""
    assert await place.check(viewer) == "stop"
    events = said_in(viewer)
    assert [e.reason for e in events if isinstance(e, RunContinued)] == list(reasons)
    assert [e.tool.id for e in events if isinstance(e, ToolAnswered)] == ["a"]
    notes = noted(place.folder)
    assert notes["paid", viewer.run_id, "b"] == 1
    assert notes["sent", viewer.run_id, "a"] == 1
    assert notes["asked", viewer.run_id, "asking"] == 2
    [*_, end] = events
    assert isinstance(end, RunFinish)
    assert end.run.text == "".join(ASKING[0][:1]) + "".join(ASKING[1])


async def answer_beside(store: Store, run_id: str) -> Delivered:
    """Answer through another process than a server's."""
    answer = Answer("a", approved=True)
    async with store.open():
        return await store.deliver(run_id, answer.key, encode_item(answer))


@pytest.mark.parametrize("beside", [False, True])
async def test_killed_while_it_waits(beside: bool, place: Place) -> None:
    async with waiting_run(place) as (_, viewer):
        await place.replace()
        info = await place.second.http.info(viewer.run_id)
        assert info["status"] == "waiting"
        if beside:
            assert await answer_beside(place.open_store(), viewer.run_id) is Delivered.DELIVERED
        else:
            await place.second.http.answer(viewer.run_id, "a", approved=True)
    await check_answered(place, viewer, ["answered"])


async def test_killed_as_it_falls_asleep(place: Place) -> None:
    """It says that it waits before it lets go of the run: who comes next says it again, or not."""
    for number in range(rounds(3, thorough=5)):
        group = Viewers(place.second.http)
        viewer = group.add(str(number), "go", "asking")
        await place.first.start(viewer)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(viewer.follow, place.second.http)
            await group.until(lambda viewer=viewer: waits(viewer))
            await place.first.server.kill()
            await place.first.server.start()
            await asleep(place.second, viewer)
            await place.second.http.answer(viewer.run_id, "a", approved=True)
        lost = sum(isinstance(event, RunWaiting) for event in said_in(viewer)) - 1
        await check_answered(place, viewer, ["worker-lost"] * lost + ["answered"])


async def test_answered_through_the_server_that_is_killed(place: Place) -> None:
    """Nobody is there when it is answered: the next server finds it."""
    async with waiting_run(place) as (_, viewer):
        for server in {place.first.server, place.second.server}:
            await server.kill()
        assert await answer_beside(place.open_store(), viewer.run_id) is Delivered.DELIVERED
        await place.second.server.start()
    await check_answered(place, viewer, ["answered"])


async def test_drained_while_it_waits(place: Place) -> None:
    """That ends at once, however long runs may go on, and nothing is lost."""
    async with waiting_run(place) as (_, viewer):
        with trio.fail_after(PATIENCE):
            await place.replace(signal.SIGTERM)
        assert place.first.server.status == 0 or place.first is place.second
        assert (await place.second.http.info(viewer.run_id))["status"] == "waiting"
        await place.second.http.answer(viewer.run_id, "a", approved=True)
    await check_answered(place, viewer, ["answered"])


async def test_answered_while_its_server_is_killed(rng: random.Random, place: Place) -> None:
    """The answer is on its way, or was taken, or its tool runs, or the model answers."""
    reasons = set()
    for number in range(rounds(5, thorough=10)):
        async with waiting_run(place, str(number)) as (group, viewer):
            moment = len(viewer.events) + rng.randrange(8)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(answer_beside, place.open_store(), viewer.run_id)
                await group.until_moment([viewer], moment)
                await place.first.server.kill()
            await place.first.server.start()
        assert await place.check(viewer) == "stop"
        events = said_in(viewer)
        assert [e.tool.id for e in events if isinstance(e, ToolAnswered)] == ["a"]
        why = [e.reason for e in events if isinstance(e, RunContinued)]
        lost = why.count("worker-lost")
        assert why[:1] == ["answered"]
        assert lost <= 1
        [sent] = [e.tool for e in events if isinstance(e, ToolResult) and e.tool.id == "a"]
        notes = noted(place.folder)
        assert (sent.status == "ok") <= notes["sent", viewer.run_id, "a"] <= 1
        assert sent.status in (("ok", "unknown") if lost else ("ok",))
        assert notes["asked", viewer.run_id, "asking"] <= 2 + lost
        reasons.update(why)
    assert "answered" in reasons


@pytest.mark.parametrize("grace", ["0"])
async def test_servers_end_and_begin_under_many_streams(place: Place) -> None:
    """A rolling restart: nothing is lost, nothing is told twice."""
    group = Viewers(place.first.http)
    ways = (place.first, place.second)
    async with trio.open_nursery() as nursery:
        for number in range(30):
            viewer = group.add(str(number), "go", "busy")
            await ways[number % 2].start(viewer)
            nursery.start_soon(
                viewer.follow, (ways[number % 2].http, ways[0].websocket)[number % 3 == 0]
            )
        for number in range(4):
            server = ways[number % 2].server
            seen = sum(len(viewer.events) for viewer in group.viewers)
            await group.until_moment(group.viewers, seen + 100)
            await server.end_by(signal.SIGTERM)
            assert server.status == 0
            await server.start()
    notes = noted(place.folder)
    went_on = 0
    for viewer in group.viewers:
        assert await place.check(viewer) == "stop"
        events = said_in(viewer)
        why = [e.reason for e in events if isinstance(e, RunContinued)]
        assert set(why) <= {"handed-over"}
        went_on += len(why)
        discarded = sum(isinstance(e, StepDiscard) for e in events)
        assert notes["asked", viewer.run_id, "busy"] <= 4 + discarded + len(why)
        for (what, run_id, *_), times in notes.items():
            assert (what, run_id) != ("paid", viewer.run_id) or times == 1
    assert went_on > 0
    assert any(viewer.reconnects for viewer in group.viewers)


async def test_a_run_that_kills_its_worker_ends(place: Place) -> None:
    group = Viewers(place.second.http)
    viewer = group.add("key", "go", "deadly")
    servers = {place.first.server, place.second.server}

    async def revive(number: int) -> None:
        server = [*servers][number]
        while True:
            await server.gone.wait()
            await server.start()

    async with trio.open_nursery() as nursery:
        for number in range(len(servers)):
            nursery.start_soon(revive, number)
        await place.first.start(viewer)
        await viewer.follow(place.second.http)
        nursery.cancel_scope.cancel()
    assert await place.check(viewer) == "worker-lost"
    *_, end = said_in(viewer)
    assert isinstance(end, RunError)
    assert "3 times in a row" in end.error.message
    assert noted(place.folder)["died", viewer.run_id, "a"] == CONTINUATIONS + 1


@pytest.mark.parametrize(
    ("agent", "why"), [("asking", "is another one now"), ("staring", "is not known here")]
)
async def test_the_next_release_can_not_go_on(agent: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "runs.db"
    async with open_forks(tmp_path) as forks:
        servers = [
            forks.server(f"sqlite:{path}", agents=agents) for agents in ("agents", "changed")
        ]
        async with open_ways(servers) as [old, new]:
            await old.server.start()
            group = Viewers(old.http)
            viewer = group.add("key", "1", agent)
            await old.start(viewer)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(viewer.follow, old.http)
                await group.until(lambda: len(viewer.events) > 1)
                nursery.cancel_scope.cancel()
            await old.server.kill()
            await new.server.start()
            if agent == "asking" and (await new.http.info(viewer.run_id))["status"] == "waiting":
                assert (
                    await answer_beside(SQLiteStore(path, follow=True), viewer.run_id)
                    is Delivered.DELIVERED
                )
            viewer.events.clear()
            await viewer.follow(new.http)
    store = SQLiteStore(path, follow=True)
    async with store.open():
        assert await viewer.check(store) == "worker-lost"
    *_, end = said_in(viewer)
    assert isinstance(end, RunError)
    assert why in end.error.message


async def test_the_next_release_leaves_it_to_the_old_one(
    valkey: ValkeyServer, tmp_path: Path
) -> None:
    """While both serve, for six leases."""
    async with open_forks(tmp_path) as forks:
        lease = ("--lease", "20")  # nobody gives up in the time of this test
        servers = [forks.server(valkey.url, *lease, agents=each) for each in ("agents", "changed")]
        async with open_ways(servers) as [old, new]:
            await old.server.start()
            await new.server.start()
            group = Viewers(new.http)
            viewer = group.add("key", "go", "asking")
            await old.start(viewer)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(viewer.follow, new.http)
                await group.until(lambda: waits(viewer))
                await asleep(new, viewer)
                await old.server.kill()
                nursery.start_soon(partial(new.http.answer, viewer.run_id, "a", approved=True))
                await trio.testing.wait_all_tasks_blocked()
                await old.server.start()
    store = ValkeyStore(valkey.url)
    async with store.open():
        assert await viewer.check(store) == "stop"
    assert noted(tmp_path)["sent", viewer.run_id, "a"] == 1


MANY = 10_000


def copy_run(path: Path, run_id: str, times: int) -> None:
    """Put so many runs into a file that are as this one."""
    db = sqlite3.connect(path, isolation_level=None)
    [[run]] = db.execute("SELECT run FROM runs WHERE run_id = ?", (run_id,))
    changed = {
        "run": "run + n",
        "run_id": "printf('%032x', n)",
        "idempotency_key": "NULL",
        "number": "NULL",
    }
    db.execute("BEGIN")
    for table in ("runs", "records", "entries", "privates"):
        columns = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        values = ", ".join(changed.get(column, column) for column in columns)
        db.execute(
            f"WITH RECURSIVE copies (n) AS"
            f" (SELECT 1 UNION ALL SELECT n + 1 FROM copies WHERE n < {times})"
            f" INSERT INTO {table} SELECT {values} FROM {table}, copies WHERE run = {run}"
        )
    db.execute("COMMIT")
    db.close()


def memory_of(server: Forked) -> int:
    """Return the bytes that are the server's own."""
    for line in Path(f"/proc/{server.pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("it tells no memory")


async def test_many_wait_and_cost_nothing(tmp_path: Path) -> None:
    """No task, and no memory; one of them is answered as if it were alone."""
    path = tmp_path / "runs.db"
    async with open_forks(tmp_path) as forks:
        server = forks.server(f"sqlite:{path}")
        async with open_ways([server]) as [way]:
            await server.start()
            place = Place(forks, way, way, tmp_path, partial(SQLiteStore, path, follow=True))
            async with waiting_run(place) as (_, viewer):
                await place.replace()
                await asleep(way, viewer)
                alone = memory_of(server)
                await server.kill()
                copy_run(path, viewer.run_id, MANY)
                await check_tasks(path, viewer.run_id)
                await server.start()
                await asleep(way, viewer)
                assert (await way.http.info(f"{MANY:032x}"))["status"] == "waiting"
                assert memory_of(server) - alone < 500 * MANY
                with trio.fail_after(10):
                    await way.http.answer(viewer.run_id, "a", approved=True)
            await check_answered(place, viewer, ["answered"])
            assert (await way.http.info(f"{MANY:032x}"))["status"] == "waiting"


async def check_tasks(path: Path, run_id: str) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_runtime(store=SQLiteStore(path), agents=agents) as runtime:
        assert (await runtime.find(run_id)).status == "waiting"
        await trio.testing.wait_all_tasks_blocked()
        assert trio.lowlevel.current_statistics().tasks_living < before + 30
